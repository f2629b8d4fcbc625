"""Which shard a user belongs to: Kafka's default partitioner, in plain Python.

Source: MurmurHash2 by Austin Appleby, with the seed and sign handling of Kafka's ``DefaultPartitioner``.
"""

from __future__ import annotations

from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit hash of ``data``, unsigned.

    >>> murmur2(b"21")
    3321034988
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if tail := data[whole:]:
        h = (h ^ int.from_bytes(tail, "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=1 << 18)
def shard_of(user: bytes, partitions: int) -> int:
    """The partition, of ``partitions``, that Kafka's default partitioner gives to a key.

    >>> shard_of(b"u42", 4)
    3
    """
    return (murmur2(user) & 0x7FFFFFFF) % partitions
