"""The parts that need a login, and how a command reaches them as one user or another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from segmenter import settings
from segmenter.settings import Settings


class Guarded(NamedTuple):
    """Where the parts are, the password of each user, the authority that signed for them, and one that did not."""

    ports: Mapping[str, int]
    passwords: Mapping[str, str]
    authority: Path
    stranger: Path

    def variables(self, kafka: str, redis: str, warehouse: str) -> dict[str, str]:
        """The variables by which these users reach the parts."""
        words = self.passwords
        warehouse_at = f"127.0.0.1:{self.ports['mariadb']}/segments?charset=utf8mb4"
        return {
            "SEGMENTER_KAFKA": f"127.0.0.1:{self.ports['kafka']}",
            "SEGMENTER_KAFKA_TLS": "on",
            "SEGMENTER_KAFKA_USER": kafka,
            "SEGMENTER_KAFKA_PASSWORD": words[kafka],
            "SEGMENTER_REDIS_URL": f"rediss://{redis}:{words[redis]}@127.0.0.1:{self.ports['redis']}/0",
            "SEGMENTER_WAREHOUSE_URL": f"mysql+pymysql://{warehouse}:{words[warehouse]}@{warehouse_at}",
            "SEGMENTER_TLS_CA": str(self.authority),
            "SEGMENTER_PARTITIONS": "2",
        }

    def settings(self, kafka: str, redis: str, warehouse: str) -> Settings:
        """The settings of these users."""
        return settings.load(environ=self.variables(kafka, redis, warehouse))

    def run(self, *words: str, **differing: str) -> subprocess.CompletedProcess[str]:
        """A command as the users ``kafka``, ``redis`` and ``warehouse``, with other variables by their short names.

        Whatever it prints, no password is in it.
        """
        done = subprocess.run(
            self.command(*words), env=self.environment(**differing), capture_output=True, text=True, timeout=120
        )
        self.shows_no_secret(done.stdout + done.stderr)
        return done

    def environment(self, **differing: str) -> dict[str, str]:
        """The environment for `run`; a part without a named user gets the reader."""
        users = {part: differing.pop(part, "reader") for part in ("kafka", "redis", "warehouse")}
        others = {f"SEGMENTER_{name}": value for name, value in differing.items()}
        return os.environ | self.variables(**users) | others

    def command(self, *words: str) -> list[str]:
        """What starts the command."""
        return [sys.executable, "-m", "segmenter", *words]

    def shows_no_secret(self, text: str) -> None:
        """Fail if a password is in ``text``."""
        assert [user for user, word in self.passwords.items() if word in text] == []
