"""`segmenter generate` and `segmenter replay`, as typed at a prompt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from segmenter.settings import Settings
from tests import verbs

OnTheLog = Callable[[], list[tuple[str, int, bytes | None, bytes | None]]]
ROWS = "who,visit,what,at,did\nu,s,a1,10,look\nu,s,a2,40,look\n,s,a3,50,look\nv,s,a4,noon,look\n"


def segmenter(folder: Path, *arguments: str, **variables: str) -> CompletedProcess[str]:
    return verbs.run(*arguments, environment=variables, folder=folder)


def printed(run: CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def addresses(settings: Settings) -> dict[str, str]:
    return {
        "SEGMENTER_KAFKA": settings.kafka,
        "SEGMENTER_REDIS_URL": settings.redis_url,
        "SEGMENTER_WAREHOUSE_URL": settings.warehouse_url,
        "SEGMENTER_TOPIC_PREFIX": settings.topic_prefix,
        "SEGMENTER_PARTITIONS": str(settings.partitions),
    }


def test_generate_publishes_what_it_says(settings: Settings, on_the_log: OnTheLog, tmp_path: Path) -> None:
    arguments = ["--events", "200", "--users", "20", "--invalid", "5", "--json"]
    report = printed(segmenter(tmp_path, "generate", *arguments, **addresses(settings)))
    assert (report["published"], report["events"], report["invalid"]) == (205, 200, 5)
    assert sum(report["personas"].values()) == 20
    assert len(on_the_log()) == 205


def test_replay_publishes_and_tells_what_it_refused(
    settings: Settings, on_the_log: OnTheLog, tmp_path: Path, mapping_file: Callable[..., Path]
) -> None:
    (tmp_path / "e.csv").write_text(ROWS)
    report = printed(
        segmenter(tmp_path, "replay", "e.csv", "--mapping", str(mapping_file()), "--json", **addresses(settings))
    )
    assert (report["read"], report["published"], report["durations"]) == (4, 2, "none")
    assert {reason: tally["first"] for reason, tally in report["refused"].items()} == {"no user": [3], "no time": [4]}
    assert {(topic, key) for topic, _, key, _ in on_the_log()} == {("views", b"u")}
    assert len(on_the_log()) == 2


def test_a_preview_needs_no_stack(tmp_path: Path, mapping_file: Callable[..., Path]) -> None:
    (tmp_path / "e.csv").write_text(ROWS)
    derive = ("[kind]", '[duration]\nderive = "next_event"\n[kind]')
    report = printed(
        segmenter(tmp_path, "replay", "e.csv", "--mapping", str(mapping_file(derive)), "--preview", "1", "--json")
    )
    value = {"user_id": "u", "time_ms": 10_000, "session_id": "s", "duration_ms": 30_000, "item_id": "a1"}
    assert report["preview"] == [{"topic": "views", "key": "u", "value": value}]
    assert "derived" in report["durations"]


def test_what_cannot_be_done_is_one_line_and_an_exit_code(tmp_path: Path, mapping_file: Callable[..., Path]) -> None:
    (tmp_path / "e.csv").write_text(ROWS.replace("visit", "visits"))
    mapping = str(mapping_file())
    for arguments, code, words in (
        (["e.csv", "--mapping", mapping, "--preview", "5"], 2, "Did you mean 'visits'?"),
        (["none.csv", "--mapping", mapping, "--preview", "5"], 2, "none.csv"),
        (["e.csv", "--mapping", mapping, "--speed", "0"], 2, "above 0"),
        (["e.csv", "--mapping", mapping], 3, "no stack here"),
    ):
        run = segmenter(tmp_path, "replay", *arguments)
        assert (run.returncode, run.stdout) == (code, "")
        assert words in run.stderr
        assert len(run.stderr.splitlines()) == 1


def test_generate_spreads_its_events_over_the_days_asked_for(
    settings: Settings, on_the_log: OnTheLog, tmp_path: Path
) -> None:
    arguments = ["--events", "300", "--users", "20", "--days", "30", "--json"]
    printed(segmenter(tmp_path, "generate", *arguments, **addresses(settings)))
    days = {json.loads(value or b"")["time_ms"] // 86_400_000 for _, _, _, value in on_the_log()}
    assert 20 < max(days) - min(days) <= 30


def test_replay_reads_as_many_rows_as_asked_at_most(
    settings: Settings, on_the_log: OnTheLog, tmp_path: Path, mapping_file: Callable[..., Path]
) -> None:
    """Of which one is refused here."""
    (tmp_path / "e.csv").write_text(ROWS)
    arguments = ["e.csv", "--mapping", str(mapping_file()), "--limit", "3", "--json"]
    report = printed(segmenter(tmp_path, "replay", *arguments, **addresses(settings)))
    assert (report["read"], report["published"], list(report["refused"])) == (3, 2, ["no user"])
    assert len(on_the_log()) == 2
