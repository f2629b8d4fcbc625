"""Know, live, which behavioural segment each user is in, and be able to prove it.

``from segmenter import SegmentClient`` is all that a service which asks for segments needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segmenter.client import SegmentClient

__all__ = ["SegmentClient", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "SegmentClient":
        from segmenter.client import SegmentClient

        return SegmentClient
    raise AttributeError(f"module 'segmenter' has no attribute {name!r}")
