"""Parts that need a login, each with the users of docs/security.md and their rights; real parts only."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from segmenter.embedded.supervisor import listens
from tests.conftest import REAL
from tests.security import certificates, servers
from tests.security.granting import grant, users
from tests.security.guarded import Guarded

collect_ignore_glob = [] if REAL else ["test_*.py"]


@pytest.fixture(params=["real"])
def parts(request: pytest.FixtureRequest) -> str:
    """``real``: no embedded part needs a login."""
    return str(request.param)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """The three parts, empty, in which only one user can do anything."""
    folder = tmp_path_factory.mktemp("guarded")
    certificates.make(folder / "trusted")
    certificates.make(folder / "other")
    passwords = {user: f"s3cret-{secrets.token_hex(8)}" for user in (servers.ROOT, *sorted(users()))}
    password, signed = passwords[servers.ROOT], folder / "trusted"
    served = {
        "redis": servers.redis(folder / "redis", signed, password),
        "mariadb": servers.mariadb(folder / "mariadb", signed, password),
        "kafka": servers.kafka(folder / "kafka", signed, passwords),
    }
    with ExitStack() as at_end:
        for name, (command, _) in served.items():
            at_end.enter_context(servers.running(command, folder / f"{name}.log"))
        ports = {name: port for name, (_, port) in served.items()}
        yield Guarded(ports, passwords, signed / "ca.pem", folder / "other" / "ca.pem")


@pytest.fixture(scope="session")
def granted() -> list[Guarded]:
    """The parts whose users have their rights by now."""
    return []


@pytest.fixture
def guarded(
    parts: str, started: Guarded, granted: list[Guarded], until: Callable[[Callable[[], object]], None]
) -> Guarded:
    """The parts as docs/security.md has them, with topics and tables, and 100 events that the worker has read."""
    if not granted:
        for port in started.ports.values():
            until(lambda port=port: listens(port))  # type: ignore[misc]
        grant(started)
        granted.append(started)
        for done in (
            started.run("generate", "--events", "100", "--users", "10", kafka="admin"),
            started.run("migrate", warehouse="admin"),
            started.run("worker", "--once", kafka="worker", redis="worker"),
        ):
            assert done.returncode == 0, done
    return started
