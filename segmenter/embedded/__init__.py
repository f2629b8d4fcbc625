"""The embedded parts: a Kafka broker in memory, a Redis and an SQLite file, for one user on one machine."""

from __future__ import annotations

from segmenter.embedded.stack import PLAINTEXT, Addresses, find, private_stack, resolve, start, stop

__all__ = ["PLAINTEXT", "Addresses", "find", "private_stack", "resolve", "start", "stop"]
