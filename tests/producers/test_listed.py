"""The list of dead letters, as typed at a prompt."""

from __future__ import annotations

import json
from typing import Any

from consumers import worker
from segmenter.settings import Settings
from tests import verbs
from tests.loop.helpers import publish_raw


def test_a_list_has_the_latest_and_the_counts_are_of_all(settings: Settings, environment: dict[str, str]) -> None:
    """However many there are, what went wrong just now is among what is shown."""
    for text in (b"the first", b"the second", b"the last"):
        publish_raw(settings, "views", [(b"u1", text)])
    publish_raw(settings, "searches", [(b"u1", None)])
    worker.run(settings, once=True)

    def listed(limit: int) -> dict[str, Any]:
        done = verbs.run("dead-letters", "--limit", str(limit), "--json", environment=environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    for limit, shown in ((0, []), (2, ["the last", None]), (9, ["the first", "the second", "the last", None])):
        report = listed(limit)
        assert (report["total"], sum(report["reasons"].values())) == (4, 4)
        assert [letter.get("value") for letter in report["letters"]] == shown
