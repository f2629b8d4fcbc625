"""Dead letters come back: exported, corrected and replayed, each once, whatever happens in between."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consumers import worker
from producers.publish import IN_FLIGHT
from segmenter import topics
from segmenter.errors import UsageError
from segmenter.events import DEAD_LETTERS, Event, InvalidRecord, dead_letters, encode, key_of
from segmenter.events.sharding import shard_of
from segmenter.operations.dead_letters.lines import decode
from segmenter.operations.dead_letters.lines import key_of as position_of
from segmenter.operations.dead_letters.replay import HEADER, read_corrected
from segmenter.operations.reconcile import reconcile
from segmenter.settings import Settings
from tests import verbs
from tests.loop.helpers import START_MS, publish, publish_raw, rows
from tests.loop.test_loop import USERS, reconciled

HOSTILE = [*USERS, "{3}", "a b", "line\nline\u2028line", "views:0:7", "dead-letter", "'\"\\", "=1+1", "🦆" * 128]
LARGE = b'{"user_id": "u1", "time_ms": 1, "query": "' + b"x" * 300_000 + b'"}'
LETTERS = IN_FLIGHT + 2_000

Verb = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def verb(environment: dict[str, str], tmp_path: Path) -> Verb:
    """`segmenter dead-letters` with these arguments, in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return verbs.run("dead-letters", *arguments, environment=environment, folder=tmp_path)

    return run


def exported(verb: Verb, file: Path) -> list[dict[str, Any]]:
    run = verb("export", str(file))
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def write(file: Path, lines: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def replayed(verb: Verb, file: Path) -> tuple[int, int, int, list[tuple[int, str]]]:
    """Exit code, published, published before, and (line, reason) of those that are still invalid."""
    run = verb("replay", str(file), "--json")
    assert run.returncode in (0, 1), run.stderr
    report = json.loads(run.stdout)
    still_invalid = [(line["line"], line["reason"]) for line in report["still_invalid"]]
    return run.returncode, report["published"], report["published_before"], still_invalid


def headers(settings: Settings) -> Counter[bytes]:
    """How often each position is in a header on the log; every such record is where its key belongs."""
    names = list(topics.event_topics(settings))
    found: Counter[bytes] = Counter()
    for batch in topics.read_to(settings, topics.beginnings(settings, names), topics.ends(settings, names)):
        for record in batch:
            if marks := [value for name, value in record.headers if name == HEADER]:
                assert record.partition == shard_of(record.key or b"", settings.partitions)
                found.update(marks)
    return found


def text(event: Event) -> str:
    return encode(event).decode()


def test_what_is_no_dead_letter_hides_none(settings: Settings, verb: Verb, tmp_path: Path) -> None:
    """A record that somebody else put on the topic is named, and the letters around it are listed."""
    topics.ensure_topics(settings)
    publish_raw(settings, "clickstream", [(b"u1", b"[1]")])
    worker.run(settings, once=True)
    publish_raw(settings, DEAD_LETTERS, [(b"", b"click!"), (b"k", None), (b"x", b'{"topic": 1}')])
    run = verb("--json")
    assert run.returncode == 0 and json.loads(run.stdout)["total"] == 1
    assert run.stderr.count("is not a dead letter") == 3 and "Traceback" not in run.stderr


def test_what_was_corrected_counts_once_live_and_in_the_batch(settings: Settings, verb: Verb, tmp_path: Path) -> None:
    """Hostile ids too; the old letters stay listed, and the next replay of the same file publishes nothing."""
    file = tmp_path / "letters.jsonl"
    publish(settings, "clickstream", [Event(user, START_MS, duration_ms=1) for user in HOSTILE])
    for topic in ("clickstream", "searches"):
        publish_raw(settings, topic, [(key_of(user), b'{"user_id": 7}') for user in HOSTILE])
    assert worker.run(settings, once=True).dead_letters == 2 * len(HOSTILE)

    lines = exported(verb, file)
    times = [line["timestamp_ms"] for line in lines]
    assert (len(lines), times) == (2 * len(HOSTILE), sorted(times))
    expected: Counter[tuple[str, str]] = Counter()
    for number, line in enumerate(lines):
        event = Event(line["key"], START_MS + number, duration_ms=number)
        line["value"] = text(event) if number % 2 else json.loads(encode(event))
        expected[line["topic"].removeprefix(settings.topic_prefix), line["key"]] += 1
    write(file, lines)
    assert replayed(verb, file) == (0, len(lines), 0, [])
    assert worker.run(settings, once=True).records == len(lines)

    profiles = {user.decode(): row.profile for user, row in rows(settings).items()}
    assert {user: profile[0] for user, profile in profiles.items()} == {
        user: 1 + expected["clickstream", user] for user in HOSTILE
    }
    assert {user: profile[3] for user, profile in profiles.items()} == {
        user: expected["searches", user] for user in HOSTILE
    }
    assert reconciled(settings).equal
    assert replayed(verb, file) == (0, 0, len(lines), [])
    assert worker.run(settings, once=True).records == 0
    assert reconcile(settings)[1].equal
    assert json.loads(verb("--json").stdout)["total"] == len(lines)
    assert set(headers(settings).values()) == {1}


def test_the_still_invalid_are_told_and_can_follow_later(settings: Settings, verb: Verb, tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    values = [b"click!", b"[1]", b'{"user_id": "u1", "time_ms": -1}', None, text(Event("u9", START_MS)).encode()]
    publish_raw(settings, "views", [(b"u1", value) for value in values])
    worker.run(settings, once=True)
    lines = exported(verb, file)
    assert [line["value"] for line in lines] == [value if value is None else value.decode() for value in values]
    wrong_key = (0, 1, 0, [])
    assert [line["reason"] for line in lines] == ["malformed", "malformed", "invalid", "empty", "wrong_key"]

    left = [(1, "malformed"), (2, "malformed"), (3, "invalid"), (4, "empty")]
    assert replayed(verb, file) == (1, 1, 0, left)
    shown = verb("replay", str(file))
    assert f"line 4 {settings.topic_prefix}views:" in shown.stdout and "empty: the value is null" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "published 0, published before 1, still invalid 4"

    lines[1]["value"] = {"user_id": "u1", "time_ms": START_MS}
    write(file, lines)
    assert replayed(verb, file) == (1, 1, 1, [left[0], *left[2:]])
    write(file, [lines[1], lines[4]])
    assert replayed(verb, file) == (0, 0, 2, wrong_key[3])
    worker.run(settings, once=True)
    assert {user: row.profile[4] for user, row in rows(settings).items()} == {b"u1": 1, b"u9": 1}


def test_a_large_value_comes_back_whole(settings: Settings, verb: Verb, tmp_path: Path) -> None:
    """The dead letter keeps 4 kB of it; the topic still holds the rest, bytes that are not text, too."""
    binary = b"\xff" + LARGE
    publish_raw(settings, "searches", [(b"u1", LARGE), (b"u1", b"[]"), (b"u1", binary), (b"u1", b"\xfe")])
    worker.run(settings, once=True)
    file = tmp_path / "letters.jsonl"
    lines = exported(verb, file)
    assert [line["value"] for line in lines[:2]] == [LARGE.decode(), "[]"]
    assert [base64.b64decode(line["value_base64"]) for line in lines[2:]] == [binary, b"\xfe"]
    assert not any("cut" in line for line in lines)
    large = (1, "too_large")
    assert replayed(verb, file) == (1, 0, 0, [large, (2, "malformed"), (3, "too_large"), (4, "malformed")])

    lines[0]["value"] = lines[0]["value"].replace("x" * 300_000, "shoes")
    lines[1]["value"] = text(Event("u2", START_MS))
    del lines[2]
    lines[2]["value_base64"] = base64.b64encode(encode(Event("ü", START_MS))).decode()
    write(file, lines)
    assert replayed(verb, file) == (0, 3, 0, [])
    worker.run(settings, once=True)
    assert {user: row.profile[3] for user, row in rows(settings).items()} == {b"u1": 1, b"u2": 1, "ü".encode(): 1}


@pytest.mark.parametrize("offset", [0, 99])
def test_a_value_that_the_log_no_longer_holds_stays_cut(
    settings: Settings, verb: Verb, tmp_path: Path, offset: int
) -> None:
    """At the letter's place is another record, or none: the line says so and waits for the whole value."""
    publish(settings, "views", [Event(f"u{n}", START_MS) for n in range(20)])
    where = (f"{settings.topic_prefix}views", 0, offset)
    letter = dead_letters.describe(*where, START_MS, b"u1", LARGE, InvalidRecord("too_large", "300 kB"))
    published = [(dead_letters.letter_key(letter), dead_letters.encode(letter))] * 2
    producer = topics.open_producer(settings)
    topics.produce_all(producer, settings, topics.dead_letter_topic(settings), published)
    producer.close()

    file = tmp_path / "letters.jsonl"
    (line,) = exported(verb, file)
    assert (line["cut"], line["value"]) == (True, LARGE[:4_096].decode())
    line["value"] = text(Event("u1", START_MS))
    write(file, [line])
    assert replayed(verb, file) == (1, 0, 0, [(1, "cut")])
    del line["cut"]
    write(file, [line])
    assert replayed(verb, file) == (0, 1, 0, [])


PLACE = {"topic": "views", "partition": 0, "offset": 0}
LINE = {**PLACE, "reason": "invalid", "detail": "", "timestamp_ms": 0, "value": text(Event("u1", START_MS))}
BASE64 = {name: value for name, value in LINE.items() if name != "value"}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (LINE | {"topic": "purchases"}, "there is no topic 'purchases'; allowed: clickstream, searches, views"),
        (LINE | {"offset": -1}, "Expected `int` >= 0 - at `$.offset`"),
        (LINE, "it has the same position as line 1"),
        (LINE | {"value": 7}, "Expected `str`, got `int`"),
        (LINE | {"value": "\ud800"}, "truncated"),
        (LINE | {"value_base64": "AA=="}, "there are both value and value_base64"),
        (LINE | {"cut": "no"}, "Expected `bool`"),
        (BASE64, "there is neither value nor value_base64"),
        (BASE64 | {"value_base64": "="}, "value_base64 is not base64"),
        ("{", "truncated"),
        ("[]", "Expected `object`, got `array`"),
        ("\xff", "malformed"),
        ('{"value": ' + "[" * 9_999 + "]" * 9_999 + "}", "recursion"),
        ('{"topic": "views"}', "missing required field `partition`"),
    ],
)
def test_a_line_of_another_sort_is_named(tmp_path: Path, bad: Any, words: str) -> None:
    """By its number in the file, blank lines counted."""
    file = tmp_path / "letters.jsonl"
    file.write_text(f"{json.dumps(LINE)}\n\n{bad if isinstance(bad, str) else json.dumps(bad)}\n", "latin-1")
    with pytest.raises(UsageError) as raised:
        read_corrected(file, Settings(), START_MS)
    assert str(raised.value).startswith(f"line 3 of {file} is not as") and words in str(raised.value)


def test_a_file_with_such_a_line_is_refused_whole(settings: Settings, verb: Verb, tmp_path: Path) -> None:
    """Nothing is published, and one line on standard error says which line it is."""
    topics.ensure_topics(settings)
    file = tmp_path / "letters.jsonl"
    write(file, [line(settings, 0), line(settings, 1) | {"topic": "views"}])
    run = verb("replay", str(file))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1].startswith(f"error: line 2 of {file} ")
    assert headers(settings) == {}


def test_what_cannot_be_read_or_written_is_named(settings: Settings, verb: Verb, tmp_path: Path) -> None:
    """An export never takes the place of a file, and leaves nothing half-written behind."""
    topics.ensure_topics(settings)
    (tmp_path / "corrected.jsonl").write_text("somebody's work")
    for arguments, words in (
        (["export", "corrected.jsonl"], "exists and may have been corrected"),
        (["export", "--jsn"], "There is no such option"),
        (["export", "none/letters.jsonl"], "none/letters.jsonl cannot be written: No such file or directory"),
        (["replay", "none.jsonl"], "none.jsonl cannot be read: No such file or directory"),
    ):
        run = verb(*arguments)
        assert (run.returncode, run.stdout) == (2, "")
        assert words in run.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["corrected.jsonl"]
    assert (tmp_path / "corrected.jsonl").read_text() == "somebody's work"


def test_an_export_that_cannot_be_written_whole_leaves_nothing(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    """A file that could be taken for all of it would hide what is missing."""
    publish_raw(settings, "views", [(b"u1", b"x" * 3_000)])
    worker.run(settings, once=True)
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh"]
    words = [*limited, sys.executable, "-m", "segmenter", "dead-letters", "export", "letters.jsonl"]
    run = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert "letters.jsonl cannot be written: File too large" in run.stderr
    assert list(tmp_path.glob("letters*")) == []


def test_standard_output_takes_an_export(settings: Settings, verb: Verb) -> None:
    publish_raw(settings, "views", [(b"u1", b"[]")])
    worker.run(settings, once=True)
    run = verb("export", "-", "--json")
    assert json.loads(run.stdout)["value"] == "[]"
    assert json.loads(run.stderr.splitlines()[-1]) == {"file": "-", "exported": 1, "cut": 0}


def line(settings: Settings, offset: int) -> dict[str, Any]:
    """A corrected line."""
    event = Event(f"u{offset % 99}", START_MS)
    return LINE | {"topic": f"{settings.topic_prefix}views", "offset": offset, "value": text(event)}


REPLAY_KILLED = """
import contextlib, os, signal, sys
from pathlib import Path
from segmenter.operations.dead_letters.replay import replay
from segmenter.settings import load
left = int(sys.argv[2])
def acknowledged(records):
    global left
    left -= records
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
@contextlib.contextmanager
def progress(stage, total):
    yield acknowledged if stage == "publishing" else print
replay(load(), Path(sys.argv[1]), 1_700_000_000_000, progress)
"""


@pytest.mark.parametrize("acknowledged", [1, LETTERS])
def test_a_replay_that_is_killed_is_finished_by_the_next(
    settings: Settings, environment: dict[str, str], verb: Verb, tmp_path: Path, acknowledged: int
) -> None:
    """Killed with many records under way, or before it could say that it was done: each is on the log once."""
    topics.ensure_topics(settings)
    file = tmp_path / "letters.jsonl"
    lines = [line(settings, number) for number in range(LETTERS)]
    write(file, lines)
    words = [sys.executable, "-c", REPLAY_KILLED, str(file), str(acknowledged)]
    assert subprocess.run(words, env=environment, check=False).returncode == -signal.SIGKILL
    there = len(headers(settings))
    assert 0 < there < LETTERS if acknowledged == 1 else there == LETTERS
    code, published, before, still_invalid = replayed(verb, file)
    assert (code, published + before, still_invalid) == (0, LETTERS, [])
    assert before >= there
    wanted = {position_of(decode(json.dumps(each).encode())) for each in lines}
    assert headers(settings) == dict.fromkeys(wanted, 1)
    assert worker.run(settings, once=True).records == LETTERS
    assert sum(row.profile[4] for row in rows(settings).values()) == LETTERS
