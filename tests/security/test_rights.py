"""A user with the rights of a role can do what it is for, over TLS, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis

from segmenter.store.connection import connect
from tests.security.guarded import Guarded
from tests.users.files import read_all

Until = Callable[[Callable[[], object]], None]

pytestmark = pytest.mark.xdist_group("security")  # they share servers of their own


def refused(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of a command that was refused."""
    assert (done.returncode, done.stdout) == (code, ""), done
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.stderr.endswith(f"{line}\n") and "Traceback" not in done.stderr, done.stderr
    return line


def test_the_whole_loop_with_the_least_rights(guarded: Guarded) -> None:
    """Each command as the user that the page names for it."""
    for words, users in (
        (["generate", "--events", "3000", "--users", "300", "--invalid", "5"], {"kafka": "producer"}),
        (["worker", "--once"], {"kafka": "worker", "redis": "worker"}),
        (["refit"], {"redis": "worker"}),
        (["rename", "highly_engaged", "Our fans"], {"redis": "worker"}),
        (["sink", "--once"], {"kafka": "sink", "warehouse": "sink"}),
        (["snapshot"], {"warehouse": "snapshot"}),
        (["snapshot", "--keep", "1"], {"warehouse": "snapshot"}),
        (["summary", "refresh"], {"warehouse": "snapshot"}),
        (["reconcile"], {"warehouse": "snapshot"}),
        (["summary", "show", "u1"], {}),
        (["segments"], {}),
        (["status"], {}),
        (["dead-letters"], {}),
        (["config", "show"], {}),
    ):
        done = guarded.run(*words, **users)
        assert done.returncode == 0, (words, done)
    verdict = json.loads(guarded.run("reconcile", "--full", "--json").stdout)
    assert [verdict[name] for name in ("compared", "differing", "missing", "extra")] == [300, 0, 0, 0]


def test_attributes_are_loaded_by_one_user_and_read_by_another(guarded: Guarded, tmp_path: Path) -> None:
    """Twice, and the view grows; the reader may look at it, and load nothing."""
    file, mapping = tmp_path / "users.csv", tmp_path / "users.toml"
    file.write_text("who,age,region\nu1,35,north\n")
    for column in ("age", "region"):
        attribute = f'{column} = {{ column = "{column}", type = "category" }}'
        mapping.write_text(f'format = "csv"\ncolumns.user_id = "who"\nattributes.{attribute}')
        done = guarded.run("users", "load", str(file), "--mapping", str(mapping), warehouse="loader")
        assert done.returncode == 0, done
    assert json.loads(guarded.run("users", "show", "u1", "--json").stdout)["attributes"][0]["value"] == "35"
    reader = guarded.settings("reader", "reader", "reader")
    assert read_all(reader.warehouse_url, "SELECT age, region FROM users") == [("35", "north")]
    line = refused(guarded.run("users", "load", str(file), "--mapping", str(mapping)), 2)
    assert re.search("command denied|Access denied", line) and "'reader'" in line


def test_what_goes_wrong_is_repaired_with_the_rights_for_it(guarded: Guarded, tmp_path: Path, until: Until) -> None:
    """A snapshot restored to Redis, what is kept beside the rows verified, a dead letter corrected and published."""
    assert guarded.run("snapshot", warehouse="snapshot").returncode == 0
    until(lambda: guarded.run("restore", "--replace", redis="admin", STALE_AFTER_MS="1000").returncode == 0)
    assert guarded.run("sink", "--once", kafka="sink", warehouse="sink").returncode == 0
    assert guarded.run("restore", "--from-raw", "--replace", redis="admin", STALE_AFTER_MS="1000").returncode == 0
    assert guarded.run("generate", "--events", "0", "--invalid", "1", kafka="producer").returncode == 0
    assert guarded.run("worker", "--once", kafka="worker", redis="worker").returncode == 0
    assert guarded.run("verify", "--repair", redis="admin").returncode == 0
    letters = tmp_path / "letters"
    assert guarded.run("dead-letters", "export", str(letters)).returncode == 0
    corrected = json.loads(letters.read_text().splitlines()[0]) | {"value": {"user_id": "u1", "time_ms": 1}}
    letters.write_text(json.dumps({name: value for name, value in corrected.items() if name != "value_base64"}))
    done = guarded.run("dead-letters", "replay", str(letters), kafka="admin")
    assert done.returncode == 0, done


def test_the_reader_is_told_since_when_a_part_is_away(guarded: Guarded) -> None:
    """From what the sink has left with its group."""
    assert guarded.run("generate", "--events", "5", kafka="producer").returncode == 0
    assert guarded.run("sink", "--once", kafka="sink", warehouse="sink").returncode == 0
    done = guarded.run("status", "--json", WAREHOUSE_URL="mysql+pymysql://reader:x@127.0.0.1:1/segments")
    assert json.loads(done.stdout)["unreachable"]["warehouse"]["since_ms"] is not None


def test_the_reader_of_redis_may_look_up_but_not_write(guarded: Guarded) -> None:
    assert guarded.run("lookup", "nobody").returncode == 0
    line = refused(guarded.run("worker", "--once", kafka="worker", redis="reader"), 2)
    assert "does not allow user 'reader' to do that" in line
    assert "'info'" in line


def test_a_command_within_a_script_that_is_not_allowed_is_named(guarded: Guarded) -> None:
    """A user who may do all but HSET fails in the script that opens a shard."""
    root = connect(guarded.settings("worker", "root", "reader"))
    assert root.execute_command("ACL", "SETUSER", "worker", "-hset") in (b"OK", "OK")
    try:
        line = refused(guarded.run("worker", "--once", kafka="worker", redis="worker"), 2)
    finally:
        root.execute_command("ACL", "SETUSER", "worker", "+hset")
        root.close()
    assert "redis.call('HSET', KEYS[1], 'token'" in line


@pytest.mark.parametrize("user", ["worker", "reader", "admin"])
def test_what_no_user_of_redis_may(guarded: Guarded, user: str) -> None:
    client = connect(guarded.settings("worker", user, "reader"))
    for command in (
        ["GET", "other:key"],
        ["SET", "other:key", "1"],
        ["FLUSHALL"],
        ["CONFIG", "GET", "*"],
        ["KEYS", "*"],
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command)
    client.close()


def test_rights_that_are_missing_in_kafka(guarded: Guarded) -> None:
    """To publish, to read, to be in the group, and to create a topic."""
    line = refused(guarded.run("generate", "--events", "10", kafka="sink"), 2)
    assert "does not allow user 'sink' to Write" in line
    line = refused(guarded.run("sink", "--once", kafka="producer", warehouse="sink"), 2)
    assert "does not allow user 'producer' to Read topic '" in line
    line = refused(guarded.run("worker", "--once", kafka="worker", redis="worker", GROUP="another"), 2)
    assert "does not allow user 'worker' to Read group 'another." in line
    line = refused(guarded.run("generate", "--events", "10", kafka="producer", TOPIC_PREFIX="new."), 2)
    assert "topic 'new.clickstream'" in line


def test_rights_that_are_missing_in_the_warehouse(guarded: Guarded) -> None:
    line = refused(guarded.run("sink", "--once", kafka="sink", warehouse="reader"), 2)
    assert re.search("INSERT.* command denied to user 'reader'.* for table `segments`.`(meta|sink_heartbeat)`", line)
    line = refused(guarded.run("snapshot", warehouse="reader"), 2)
    assert re.search("INSERT.* command denied to user 'reader'.* for table `segments`.`meta`", line)
    line = refused(guarded.run("reconcile", warehouse="reader"), 2)
    assert "command denied to user 'reader'" in line and "docs/security.md" in line


def test_a_wrong_password_is_refused_at_once(guarded: Guarded) -> None:
    variables = guarded.variables("worker", "worker", "sink")
    redis_url, warehouse_url = (
        variables[f"SEGMENTER_{part}_URL"].replace(guarded.passwords[user], "wr0ng")
        for part, user in (("REDIS", "worker"), ("WAREHOUSE", "sink"))
    )
    for line in (
        refused(guarded.run("generate", "--events", "1", kafka="producer", KAFKA_PASSWORD="wr0ng"), 2),
        refused(guarded.run("worker", "--once", kafka="worker", REDIS_URL=redis_url), 2),
        refused(guarded.run("sink", "--once", kafka="sink", WAREHOUSE_URL=warehouse_url), 2),
    ):
        assert "wr0ng" not in line


@pytest.mark.parametrize(
    ("words", "users"),
    [
        (["generate", "--events", "1"], {"kafka": "producer"}),
        (["lookup", "u1"], {"redis": "reader"}),
        (["reconcile"], {"warehouse": "reader"}),
    ],
)
def test_a_certificate_of_another_authority_is_not_trusted(
    guarded: Guarded, words: list[str], users: dict[str, str]
) -> None:
    line = refused(guarded.run(*words, **users, TLS_CA=str(guarded.stranger)), 3)
    assert "CERTIFICATE_VERIFY_FAILED" in line and "SEGMENTER_TLS_CA" in line


def test_who_speaks_without_tls_is_told_to_look_at_that(guarded: Guarded) -> None:
    line = refused(guarded.run("generate", "--events", "1", kafka="producer", KAFKA_TLS="off"), 3)
    assert "SEGMENTER_KAFKA_TLS" in line
    plain = guarded.variables("reader", "reader", "reader")["SEGMENTER_REDIS_URL"].replace("rediss:", "redis:")
    line = refused(guarded.run("lookup", "u1", REDIS_URL=plain), 3)
    assert "rediss://" in line


def test_no_secret_is_in_the_list_of_processes(guarded: Guarded, until: Until) -> None:
    """Neither as an argument of the worker, while it runs, nor of a process that it starts, nor in what it logs."""
    client = connect(guarded.settings("worker", "reader", "reader"))
    before = client.hget("seg:shard:0", "beat_ms")
    with subprocess.Popen(
        guarded.command("worker"),
        env=guarded.environment(kafka="worker", redis="worker", LOG_LEVEL="debug"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as worker:
        try:
            until(lambda: client.hget("seg:shard:0", "beat_ms") != before)
            processes = psutil.Process(worker.pid)
            for process in (processes, *processes.children(recursive=True)):
                guarded.shows_no_secret(Path(f"/proc/{process.pid}/cmdline").read_text())
        finally:
            worker.terminate()
        said, _ = worker.communicate()
    client.close()
    assert worker.returncode == 0
    assert "shard acquired" in said
    guarded.shows_no_secret(said)


def test_the_settings_show_no_secret(guarded: Guarded, tmp_path: Path) -> None:
    """As text, in `config show`, and when a value is wrong."""
    guarded.shows_no_secret(f"{guarded.settings('worker', 'worker', 'sink')!r}")
    wrong = guarded.passwords["worker"]
    for name in ("REDIS_URL", "WAREHOUSE_URL"):
        assert "allowed:" in refused(guarded.run("config", "show", **{name: wrong}), 2)
    assert guarded.run("--help").returncode == 0
    secret = tmp_path / "kafka"
    secret.write_text(guarded.passwords["reader"] + "\n")
    environment = guarded.environment(KAFKA_PASSWORD_FILE=str(secret))
    del environment["SEGMENTER_KAFKA_PASSWORD"]
    done = subprocess.run(guarded.command("status"), env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    guarded.shows_no_secret(done.stdout + done.stderr)
