"""A warehouse with a snapshot, and a PostgreSQL server where one is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from segmenter import warehouse
from segmenter.operations.export import export
from segmenter.settings import Settings
from segmenter.warehouse import Warehouse

PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/opt/homebrew/bin")]


@pytest.fixture
def settings(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of this warehouse alone; few users are read at once."""
    monkeypatch.setattr(export, "USERS_OF_A_GROUP", 10)
    monkeypatch.setattr(export, "USERS_OF_AN_INSERT", 10)
    return Settings(warehouse_url=warehouse_url)


@pytest.fixture
def database(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse, with its schema."""
    with warehouse.connect(settings) as opened:
        warehouse.migrate(opened, now_ms=1)
        yield opened


class Postgres:
    """A PostgreSQL server of our own, on a free port of 127.0.0.1, with a database for each test."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries, self._folder = binaries, folder
        with socket.create_server(("127.0.0.1", 0)) as held:
            self._port = held.getsockname()[1]
        self._run("initdb", "--username=tester", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c fsync=off -k {self._folder}"
        self._run("pg_ctl", "start", "--wait", f"--log={self._folder}/log", f"--options={options}")

    def stop(self) -> None:
        """End it at once, as when it is killed."""
        self._run("pg_ctl", "stop", "--mode=immediate")

    def url(self, database: str = "postgres") -> str:
        """Of a database; this password is not asked for."""
        return f"postgresql+psycopg://tester:s3cret@127.0.0.1:{self._port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        command = [self._binaries / program, f"--pgdata={self._folder}/data", *arguments]
        done = subprocess.run(
            command, user=user, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The server, for the whole run."""
    found = shutil.which("initdb", path=os.pathsep.join(map(str, PLACES))) or shutil.which("initdb")
    if not found:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    try:
        server = Postgres(Path(found).parent, folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)
