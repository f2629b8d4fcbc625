"""A user's sum of amounts is exact up to 64 bits; beyond that, stream and batch stop, and say whose it is."""

from __future__ import annotations

import dataclasses
from contextlib import closing

import pytest

from consumers import worker
from segmenter import warehouse
from segmenter.errors import SumTooLarge
from segmenter.events import MAX_AMOUNT, PricedEvent, Rules, decode, encode
from segmenter.events.sharding import shard_of
from segmenter.kinds import BUILT_IN, pick
from segmenter.model.profiles import encode as encode_profile
from segmenter.model.profiles import fields
from segmenter.settings import Settings
from segmenter.store.connection import connect
from segmenter.store.keys import Keys
from segmenter.warehouse import Loaded, Move
from tests.loop.helpers import START_MS, publish, rows

LARGEST = 2**63 - 1
PURCHASE = BUILT_IN["purchase"]


@pytest.fixture
def shop(settings: Settings) -> Settings:
    return dataclasses.replace(settings, kinds=pick(["purchase"]))


def buy(amount: int) -> PricedEvent:
    return PricedEvent("u1", START_MS, amount=amount)


@pytest.mark.parametrize("amount", [MAX_AMOUNT, -MAX_AMOUNT, MAX_AMOUNT + 1, -MAX_AMOUNT - 1])
def test_an_event_is_judged_by_its_own_amount(amount: int) -> None:
    """At the bound it counts, beyond it is invalid, whatever the sum is."""
    value = encode(buy(amount))
    found = decode(value, b"u1", PURCHASE, shard_of(b"u1", 2), START_MS, Rules(2, kinds=(PURCHASE,), currency="EUR"))
    assert isinstance(found, PricedEvent) == (abs(amount) <= MAX_AMOUNT)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_worker_stops_where_64_bits_end(shop: Settings, sign: int) -> None:
    """Just before, the sum is exact; one more, and the row stays as it was."""
    publish(shop, "purchases", [buy(0)])
    worker.run(shop, once=True)
    at = LARGEST - 1 if sign > 0 else -LARGEST
    with closing(connect(shop)) as client:
        profile = encode_profile((1, 1, at, START_MS, START_MS), fields(shop.kinds))
        client.hset(Keys(shop.key_prefix).user(b"u1"), "profile", profile)
    publish(shop, "purchases", [buy(sign)])
    worker.run(shop, once=True)
    assert rows(shop)[b"u1"].profile[:3] == (2, 2, at + sign)
    publish(shop, "purchases", [buy(sign)])
    with pytest.raises(SumTooLarge, match="purchase_amount of user u1 needs more than 64 bits"):
        worker.run(shop, once=True)
    assert rows(shop)[b"u1"].profile[:3] == (2, 2, at + sign)


@pytest.mark.parametrize(
    ("amounts", "fits"), [([LARGEST - 5, 5], True), ([LARGEST, 1], False), ([-LARGEST, -2], False)]
)
def test_the_batch_stops_where_64_bits_end(shop: Settings, amounts: list[int], fits: bool) -> None:
    with warehouse.connect(shop) as database:
        warehouse.migrate(database, now_ms=1)
        warehouse.claim_rules(database, Rules.of(shop))
        part = shard_of(b"u1", shop.partitions)
        warehouse.begin(database, {("purchases", number): Loaded("t1", 0) for number in range(shop.partitions)}, 1)
        nothing = (None,) * 9
        raw = [(part, pos, "t1", b"u1", 5, 5, *nothing, amount) for pos, amount in enumerate(amounts)]
        warehouse.load(database, {"purchases": raw}, {("purchases", part): Move(0, len(raw))})
        if fits:
            assert warehouse.all_loaded(database, 100).profiles == {b"u1": (2, 2, sum(amounts), 5, 5)}
            return
        with pytest.raises(SumTooLarge, match="needs more than 64 bits"):
            warehouse.all_loaded(database, 100)
