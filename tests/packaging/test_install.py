"""scripts/install in the situations of real machines, on a tiny project whose build needs no network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
TOOLS = ("sh", "cat", "cksum", "dirname", "grep", "rm")

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "tiny"
version = "1"
optional-dependencies = { demo = [], parquet = [], dev = [], duckdb = [], fuzz = [] }
"""

BACKEND = '''
"""Builds an editable wheel of one module with nothing but the standard library."""
import zipfile

FILES = {
    "tiny.py": "",
    "tiny-1.dist-info/METADATA": """Metadata-Version: 2.1
Name: tiny
Version: 1
Provides-Extra: demo
Provides-Extra: parquet
Provides-Extra: dev
Provides-Extra: duckdb
Provides-Extra: fuzz
""",
    "tiny-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: backend\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
}


def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    record = "".join(f"{path},,\\n" for path in [*FILES, "tiny-1.dist-info/RECORD"])
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in {**FILES, "tiny-1.dist-info/RECORD": record}.items():
            wheel.writestr(path, text)
    return name
'''


class Machine:
    """A checkout of the tiny project, and a PATH that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.path = folder / "bin"
        self.path.mkdir()
        (self.checkout / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts/install", self.checkout / "scripts/install")
        (self.checkout / "pyproject.toml").write_text(PROJECT)
        (self.checkout / "constraints.txt").write_text("")
        (self.checkout / "backend.py").write_text(BACKEND)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.path / tool).symlink_to(found)

    def has(self, name: str, script: str = f'exec "{sys.executable}" "$@"') -> None:
        """Put a command on PATH: by default the Python that runs this test."""
        command = self.path / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)

    def install(self, python: str = "") -> subprocess.CompletedProcess[str]:
        variables = {"PATH": str(self.path), "PYTHON": python, "HOME": str(self.checkout), "PIP_NO_INDEX": "1"}
        command = [str(self.path / "sh"), str(self.checkout / "scripts/install")]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    def imports_the_project(self) -> bool:
        command = [str(self.path / "sh"), "-c", ".venv/bin/python -c 'import tiny'"]
        return subprocess.run(command, cwd=self.checkout, capture_output=True, check=False).returncode == 0

    def has_uv(self) -> None:
        """Put an installer on PATH that is quicker than pip, with a Python for it; it notes what it is asked."""
        self.has("python3")
        self.has(
            "uv",
            f"""echo "$*" >>"{self.path}/asked"
            case $1 in
                venv) exec "$4" -m venv --without-pip .venv;;
                pip) exec .venv/bin/python -c 'import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "tiny.py").touch()';;
            esac""",
        )

    def asked(self) -> list[str]:
        return (self.path / "asked").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """A machine on which the installation is done."""
    machine.has_uv()
    done = machine.install()
    assert done.returncode == 0, done.stderr
    return machine


def test_it_fills_an_environment_and_says_with_what(machine: Machine) -> None:
    machine.has("python3")
    done = machine.install()
    assert (done.returncode, done.stdout) == (0, "")
    assert f"Python {VERSION} in .venv by venv" in done.stderr
    assert machine.imports_the_project()


def test_uv_is_used_when_it_is_there(installed: Machine) -> None:
    assert installed.imports_the_project()
    assert installed.asked() == [
        f"venv --quiet --python {installed.path}/python3 .venv",
        "pip install --python .venv/bin/python --quiet --constraint constraints.txt --editable .[demo,dev,duckdb,fuzz]",
    ]


def test_while_it_is_fresh_nothing_is_asked(installed: Machine) -> None:
    (installed.path / "python3").unlink()
    (installed.path / "uv").unlink()
    again = installed.install()
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints.txt"])
def test_other_requirements_make_it_anew(installed: Machine, file: str) -> None:
    with (installed.checkout / file).open("a") as requirements:
        requirements.write("\n# changed\n")
    assert "in .venv by uv" in installed.install().stderr
    assert len(installed.asked()) == 4


def test_what_was_interrupted_is_repaired(installed: Machine) -> None:
    (installed.checkout / ".venv/.installed").unlink()
    (installed.checkout / ".venv/pyvenv.cfg").unlink()
    assert not installed.imports_the_project()
    assert installed.install().returncode == 0
    assert installed.imports_the_project()


def test_a_python_that_went_away_is_replaced(installed: Machine) -> None:
    python = installed.checkout / ".venv/bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert installed.install().returncode == 0
    assert installed.imports_the_project()


def test_a_checkout_that_moved_is_installed_anew(installed: Machine) -> None:
    installed.checkout = installed.checkout.rename(installed.checkout.with_name("moved"))
    assert "in .venv by uv" in installed.install().stderr


def test_a_failed_installation_leaves_no_stamp(machine: Machine) -> None:
    machine.has_uv()
    machine.has("uv", f'test $1 != pip && exec "{sys.executable}" -m venv --without-pip .venv')
    done = machine.install()
    assert done.returncode == 1
    assert "Run it again" in done.stderr
    assert not (machine.checkout / ".venv/.installed").exists()


LIKE_DEBIAN = f"""case "$*" in
    "-m venv .venv") "{sys.executable}" -m venv --without-pip .venv; exit 1;;
    "-m pip "*) exit 1;;
esac
exec "{sys.executable}" "$@" """
"""A Python whose package of ensurepip is not installed: `venv` fails half-way."""


def test_without_ensurepip_the_pip_of_the_system_serves(machine: Machine) -> None:
    machine.has("python3", LIKE_DEBIAN)
    machine.has("pip3", f'exec "{sys.executable}" -m pip "$@"')
    done = machine.install()
    assert "venv without pip, filled by: pip3" in done.stderr, done.stderr
    assert machine.imports_the_project()


@pytest.mark.parametrize(
    ("manager", "words"),
    [("apt-get", f"sudo apt-get install python{VERSION}-venv"), ("brew", "brew install python@3.13")],
)
def test_without_any_pip_one_line_says_what_to_install(machine: Machine, manager: str, words: str) -> None:
    machine.has("python3", LIKE_DEBIAN)
    machine.has(manager, "exit 0")
    done = machine.install()
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"install: {machine.path}/python3 can make no virtual environment. Try: {words}"
    ]
    assert not (machine.checkout / ".venv").exists()


def test_without_any_python_one_line_says_what_to_install(machine: Machine) -> None:
    machine.has("apt-get", "exit 0")
    done = machine.install()
    assert done.returncode == 1
    assert done.stderr == "install: no Python 3.11 or newer on PATH. Try: sudo apt-get install python3 python3-venv\n"


def test_a_python_that_is_asked_for_must_be_one(machine: Machine) -> None:
    machine.has_uv()
    machine.has("python3.8", "exit 1")
    done = machine.install(python="python3.8")
    assert done.returncode == 1
    assert done.stderr == "install: PYTHON=python3.8 is not a Python 3.11 or newer that runs.\n"


@pytest.mark.parametrize(
    ("commands", "chosen"),
    [
        ({"python3.14", "python3.13", "python3.12"}, "python3.13"),
        ({"python3.14", "python3.13", "redis-server"}, "python3.14"),
        ({"python3.14"}, "python3.14"),
        ({"python3.12", "python3.11"}, "python3.12"),
        ({"python3.11"}, "python3.11"),
    ],
)
def test_it_prefers_the_newest_python_for_which_there_is_a_redis(
    machine: Machine, commands: set[str], chosen: str
) -> None:
    machine.has_uv()
    for command in commands:
        machine.has(command)
    assert machine.install().returncode == 0
    assert machine.asked()[0] == f"venv --quiet --python {machine.path}/{chosen} .venv"


def test_a_shim_that_does_not_run_is_passed_over(machine: Machine) -> None:
    machine.has_uv()
    machine.has("python3.13", "exit 127")
    assert machine.install().returncode == 0
    assert machine.asked()[0] == f"venv --quiet --python {machine.path}/python3 .venv"


def test_on_musl_it_says_what_is_not_there(machine: Machine) -> None:
    machine.has_uv()
    machine.has("ldd", "echo 'musl libc (x86_64)' >&2; exit 1")
    assert "set SEGMENTER_KAFKA to a Kafka of your own" in machine.install().stderr
    assert machine.asked()[1].endswith(".[parquet,dev]")


def test_without_a_redis_it_says_how_to_get_one(machine: Machine) -> None:
    machine.has_uv()
    machine.has("apt-get", "exit 0")
    assert "Try: sudo apt-get install redis-server, or set SEGMENTER_REDIS_URL" in machine.install().stderr
