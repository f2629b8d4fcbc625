"""The compose file and the Dockerfile, as far as they can be checked without an engine."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
import yaml

from segmenter import __version__
from segmenter.cli import VERBS, build
from segmenter.cli.snapshot import seconds_of
from segmenter.operations.health import Role
from segmenter.settings import PREFIX, Settings, load

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def filled(text: str) -> str:
    """``text`` as compose reads it when no variable is set.

    >>> filled("redis://:${PASSWORD:-secret}@redis")
    'redis://:secret@redis'
    """
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def settings(service: dict[str, Any]) -> Settings:
    """The settings that a service of ours starts with."""
    return load(ROOT / "tests", {name: filled(str(value)) for name, value in service["environment"].items()})


def waited_for(name: str) -> dict[str, str]:
    return {other: how["condition"] for other, how in SERVICES[name].get("depends_on", {}).items()}


def test_the_parts_and_the_system_are_there() -> None:
    assert set(SERVICES) - set(OURS) == {"kafka", "redis", "mysql"}
    assert set(OURS) == {"migrate", "worker", "sink", "snapshots", "generate", "replay"}


@pytest.mark.parametrize("image", [service["image"] for service in SERVICES.values()])
def test_every_image_is_pinned(image: str) -> None:
    assert re.fullmatch(r"[a-z/]+:\d+(\.\d+)+", image)


def test_the_base_images_are_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim-\w+", base) for base in bases)


def test_our_image_and_kafka_are_the_versions_that_are_tested() -> None:
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    (broker,) = ElementTree.parse(ROOT / ".ci/kafka/pom.xml").findall(
        ".//m:dependency[m:artifactId='kafka_2.13']", space
    )
    assert {service["image"] for service in OURS.values()} == {f"segmenter:{__version__}"}
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{broker.findtext('m:version', namespaces=space)}"


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_finds_the_parts(name: str) -> None:
    service = OURS[name]
    assert all(variable.startswith(PREFIX) for variable in service["environment"])
    found = settings(service)
    listeners = filled(SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"])
    assert f"//{found.kafka}," in listeners + ","
    redis_password = filled(SERVICES["redis"]["command"][-1])
    assert found.redis_url == f"redis://default:{redis_password}@redis:6379/0"
    mysql = {variable: filled(value) for variable, value in SERVICES["mysql"]["environment"].items()}
    login = f"{mysql['MYSQL_USER']}:{mysql['MYSQL_PASSWORD']}"
    assert found.warehouse_url == f"mysql+pymysql://{login}@mysql:3306/{mysql['MYSQL_DATABASE']}?charset=utf8mb4"


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_runs_a_verb(name: str) -> None:
    service = OURS[name]
    command = service["command"] if isinstance(service["command"], list) else shlex.split(service["command"])
    verb = [*service.get("entrypoint", ["segmenter"]), *command][1]
    assert verb in {verb for verbs in VERBS.values() for verb in verbs}
    assert (ROOT / f"segmenter/cli/{verb}.py").exists()


@pytest.mark.parametrize("role", ["worker", "sink"])
def test_each_role_is_checked_by_itself(role: str) -> None:
    assert SERVICES[role]["healthcheck"]["test"] == ["CMD", "segmenter", "status", "--check", role]
    assert role in get_args(Role)


def test_snapshots_are_taken_far_more_often_than_kafka_forgets_and_old_ones_go() -> None:
    """By default it forgets after a week; the service goes on whatever happens."""
    service = SERVICES["snapshots"]
    name, bound, _ = build().parse_args(service["command"])
    assert name.__name__ == "snapshot" and service["restart"] == "unless-stopped"
    assert 60 <= seconds_of(bound.arguments["every"]) <= 3_600
    assert 2 <= bound.arguments["keep"] <= 100


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_waits_until_what_it_needs_is_ready(name: str) -> None:
    for other, condition in waited_for(name).items():
        ready = "service_healthy" if other not in OURS else "service_completed_successfully"
        assert condition == ready
        assert "healthcheck" in SERVICES[other] or other in OURS


@pytest.mark.parametrize("name", ["kafka", "redis", "mysql"])
def test_a_part_keeps_its_data_and_is_open_to_this_machine_alone(name: str) -> None:
    (volume,) = SERVICES[name]["volumes"]
    assert volume.split(":")[0] in COMPOSE["volumes"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_redis_evicts_nothing_and_writes_everything_down() -> None:
    command = SERVICES["redis"]["command"]
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given["--maxmemory-policy"] == "noeviction"
    assert given["--appendonly"] == "yes"


def test_mysql_takes_no_files_from_who_asks_it() -> None:
    """Nothing here loads files by LOAD DATA LOCAL, which is off by default for a reason."""
    assert not [option for option in SERVICES["mysql"]["command"] if "infile" in option]


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\w+)", DOCKERFILE, re.MULTILINE)
    assert users == ["segmenter"]
    assert DOCKERFILE.index("USER segmenter") < DOCKERFILE.index("ENTRYPOINT")
