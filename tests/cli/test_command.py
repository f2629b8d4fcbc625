"""The command line: exit codes, one-line errors, what is imported when, and the verbs that start and stop the parts."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cyclopts import App

import segmenter
from segmenter import cli, embedded

HEAVY = ("pandas", "numpy", "river", "scipy", "sklearn", "matplotlib", "fastapi")
VERBS = [verb for verbs in cli.VERBS.values() for verb in verbs]
ROOT = str(Path(segmenter.__file__).parents[1])

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def _environ(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMENTER_")}
    path = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
    return {**clean, "PYTHONPATH": path, "COLUMNS": "200", **variables}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Run ``segmenter`` in an empty folder; a stack that it leaves there is stopped after the test."""

    def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "segmenter", *arguments]
        return subprocess.run(words, cwd=tmp_path, env=_environ(**variables), capture_output=True, text=True)

    yield command
    embedded.stop(tmp_path / ".segmenter")


def _script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout.strip() == segmenter.__version__
    shown = run("--help")
    assert shown.returncode == 0
    for verb in VERBS:
        assert f" {verb} " in shown.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_begins_with_a_sentence(verb: str, run: Run) -> None:
    shown = run(verb, "--help")
    assert shown.returncode == 0, shown.stderr
    usage, _, text = shown.stdout.partition("\n")
    assert usage.startswith(f"Usage: segmenter {verb}")
    assert ". " in text or ".\n" in text


@pytest.mark.parametrize("arguments", [["--help"], ["lookup", "--help"], ["up", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['segmenter', *{arguments!r}]\n"
        "from segmenter.cli import main\n"
        "try: main()\n"
        f"finally: print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    shown = subprocess.run(_script(code), env=_environ(), capture_output=True, text=True)
    assert (shown.returncode, shown.stderr.strip()) == (0, "[]")


def test_the_command_itself_imports_no_verb() -> None:
    code = "import sys; from segmenter import cli; cli.build(); "
    code += "print([n for n in sys.modules if 'segmenter.cli.' in n])"
    assert subprocess.run(_script(code), env=_environ(), capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_a_documented_function_of_its_module(verb: str) -> None:
    name = verb.replace("-", "_")
    found = getattr(importlib.import_module(f"segmenter.cli.{name}"), name)
    assert isinstance(found, App) or found.__doc__


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"),
    [
        (["dwn"], {}, 2, 'error: Unknown command "dwn". Did you mean "down"?'),
        (["verify", "--digest", "--repair"], {}, 2, "error: --digest only reads: leave --repair out, or --digest."),
        (["up", "--jsn"], {}, 2, "error: Unknown option: --jsn. Did you mean --json?"),
        (["up"], {"SEGMENTER_PARTITIONS": "0"}, 2, "error: SEGMENTER_PARTITIONS is '0'; allowed: a whole number"),
        (
            ["up"],
            {"SEGMENTER_REDIS": "x"},
            2,
            "error: SEGMENTER_REDIS is not a variable; the nearest is SEGMENTER_REDIS_URL",
        ),
        (
            ["lookup", "u1"],
            {},
            3,
            "error: no stack here: run `segmenter up`, or set SEGMENTER_REDIS_URL",
        ),
    ],
)
def test_errors_are_one_line_with_the_exit_code(
    arguments: list[str], variables: dict[str, str], code: int, words: str, run: Run
) -> None:
    ended = run(*arguments, **variables)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (code, "", 1)
    assert ended.stderr.startswith(words)


def test_up_and_down(run: Run, tmp_path: Path) -> None:
    begun = run("up", "--json")
    stack = json.loads((tmp_path / ".segmenter" / "stack.json").read_text())
    shown = json.loads(begun.stdout)
    assert (shown["kafka"], shown["pid"], shown["started"]) == (stack["kafka"], stack["pid"], True)
    assert shown["redis_url"].startswith("redis://default:***@127.0.0.1:")
    again = run("up")
    assert again.returncode == 0
    assert again.stdout.startswith("The embedded parts were up already:")
    assert stack["kafka"] in again.stdout
    password = stack["redis_url"].removeprefix("redis://default:").partition("@")[0]
    assert password not in begun.stdout + begun.stderr + again.stdout + again.stderr
    assert run("down").stdout.startswith("The embedded parts are stopped.")
    ended = run("down")
    assert (ended.returncode, ended.stdout) == (0, "No embedded parts run in .segmenter.\n")


def test_config_show(run: Run, tmp_path: Path) -> None:
    (tmp_path / "segmenter.toml").write_text('group = "night"\n')
    variables = {"SEGMENTER_REDIS_URL": "redis://:s3cret@cache:6379/0"}
    shown = run("config", "show", "--json", **variables)
    values = json.loads(shown.stdout)
    assert values["group"] == {"value": "night", "source": "segmenter.toml"}
    assert values["redis_url"] == {"value": "redis://:***@cache:6379/0", "source": "SEGMENTER_REDIS_URL"}
    table = run("config", "show", **variables).stdout
    for line in ("night", "segmenter.toml", "redis://:***@cache:6379/0", "SEGMENTER_REDIS_URL", "default"):
        assert line in table
    assert "s3cret" not in shown.stdout + table


def test_a_reader_that_goes_away_is_no_defect(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "segmenter", "config", "show", "--json"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        ended = subprocess.run(words, cwd=tmp_path, env=_environ(), stdout=nobody, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_completion_knows_every_verb() -> None:
    script = cli.build().generate_completion(shell="bash")
    for verb in VERBS:
        assert verb in script


LOOP = """
import os, signal, sys, threading
from segmenter.cli import common
try:
    with common.stopping(0.2 if "silent" in sys.argv else None) as stop:
        print("ready", flush=True)
        while not stop.is_set():  # as the loops do: a handler may not set what is waited for
            threading.Event().wait(0.01)
        print("in order", flush=True)
        if "again" in sys.argv:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait()
        if "silent" in sys.argv:
            threading.Event().wait()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("number", "arguments", "code"),
    [
        (signal.SIGTERM, [], 0),
        (signal.SIGINT, [], 130),
        (signal.SIGINT, ["again"], 130),
        (signal.SIGTERM, ["silent"], 143),
    ],
)
def test_a_loop_ends_in_order_on_a_signal(number: signal.Signals, arguments: list[str], code: int) -> None:
    process = subprocess.Popen([*_script(LOOP), *arguments], env=_environ(), stdout=subprocess.PIPE, text=True)
    with process, ExitStack() as at_end:
        at_end.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.read() == "in order\n"
        assert process.wait() == code


def test_progress_is_one_line_where_nobody_watches(capfd: pytest.CaptureFixture[str]) -> None:
    from segmenter.cli import common

    with common.progress("published", total=3) as advance:
        advance(1)
        advance(2_000)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("published: 2,001 in ") and err.count("\n") == 1


def test_log_lines_are_json_where_nobody_watches() -> None:
    code = (
        "import logging, structlog; from segmenter import logs; logs.setup('info')\n"
        "structlog.get_logger().debug('hidden'); structlog.get_logger().info('seen', shard=3)\n"
        "logging.getLogger('kafka').info('hidden'); logging.getLogger('kafka').warning('slow %s', 'broker')"
    )
    ended = subprocess.run(_script(code), env=_environ(), capture_output=True, text=True)
    ours, theirs = map(json.loads, ended.stderr.splitlines())
    assert (ours["event"], ours["level"], ours["shard"], ended.stdout) == ("seen", "info", 3, "")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("slow broker", "warning", "kafka")
