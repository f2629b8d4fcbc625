"""What only Apache Kafka can do is tested on real parts alone."""

from __future__ import annotations

from tests.conftest import REAL

collect_ignore = [] if REAL else ["test_after_outage.py", "test_expired.py"]
