"""Recommendations from the segments of the latest snapshot and the raw events, for one user or for all."""

from __future__ import annotations

from segmenter.operations.recommendations.recommend import (
    Recommendation,
    Recommendations,
    recommend,
    recommend_all,
)

__all__ = ["Recommendation", "Recommendations", "recommend", "recommend_all"]
