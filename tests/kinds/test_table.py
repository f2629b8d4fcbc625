"""The table of kinds: what follows from a kind, and what a kind of one's own may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from segmenter import settings
from segmenter.errors import SettingsError
from segmenter.kinds import BUILT_IN, DEFAULT, Kind, catalogue, checked, pick

CARTS = '[kinds.add_to_cart]\nplural = "carts"\nmeasure = "amount"\n'


def load(folder: Path, file: str, **variables: str) -> settings.Settings:
    """The settings of a file and variables."""
    (folder / "segmenter.toml").write_text(file)
    return settings.load(folder, {f"SEGMENTER_{name.upper()}": value for name, value in variables.items()})


def test_the_built_in_kinds() -> None:
    """Those of the first release keep their names; what is stored depends on them."""
    assert {name: (kind.topic, *kind.fields) for name, kind in BUILT_IN.items()} == {
        "click": ("clickstream", "clicks", "clicks_timed", "click_ms"),
        "search": ("searches", "searches"),
        "view": ("views", "views", "views_timed", "view_ms"),
        "purchase": ("purchases", "purchases", "purchases_priced", "purchase_amount"),
        "social": ("social_actions", "social_actions"),
    }
    assert [kind.name for kind in DEFAULT] == ["click", "search", "view"]


def test_a_kind_of_ones_own(tmp_path: Path) -> None:
    found = load(tmp_path, CARTS)
    assert found.kinds == (*DEFAULT, Kind("add_to_cart", "carts", "carts", "amount"))
    assert found.kinds[-1].fields == ("carts", "carts_priced", "cart_amount")
    assert [feature.name for feature in found.kinds[-1].features] == [
        "total_carts",
        "total_cart_amount",
        "mean_cart_amount",
    ]


def test_a_variable_picks(tmp_path: Path) -> None:
    """The order is that of the table, whatever the order of the names."""
    found = load(tmp_path, CARTS, kinds="add_to_cart,purchase,click")
    assert [kind.name for kind in found.kinds] == ["click", "purchase", "add_to_cart"]
    assert [kind.name for kind in load(tmp_path, "[kinds.social]\n").kinds] == ["click", "search", "view", "social"]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("[kinds.add_to_cart]\n", "plural"),
        ('[kinds.add_to_cart]\nplural = "Carts"\n', "the plural of [kinds.add_to_cart] is 'Carts'; allowed: up to 30"),
        (
            '[kinds."add; DROP"]\nplural = "carts"\n',
            "the name of [kinds.add; DROP] is 'add; DROP'; allowed: up to 30 of",
        ),
        ("[kinds]\nx = 5\n", "kinds.x is 5; it must be a table: [kinds.x], then plural and measure"),
        ('[kinds.x]\nplural = "c` BIGINT, d"\n', "allowed"),
        ('[kinds.x]\nplural = "carts"\nmeasure = "weight"\n', "none, duration, amount"),
        ('[kinds.x]\nplural = "carts"\ntopic = "t"\n', "has no topic"),
        ('[kinds.click]\nmeasure = "none"\n', "built in"),
        ('[kinds.x]\nplural = "clicks"\n', "'clicks' is taken"),
        ('[kinds.x]\nplural = "parts"\nmeasure = "amount"\n[kinds.y]\nplural = "parts_priced"\n', "parts_priced"),
        (
            '[kinds.x]\nplural = "clickstream"\n',
            "'clickstream' is taken (click, x): give the kind another name or plural",
        ),
        ('[kinds.x]\nplural = "user_id"\n', "'user_id' is taken"),
        ('[kinds.x]\nplural = "total_clicks"\n', "'total_clicks' is taken"),
        ('[kinds.x]\nplural = "cut_views"\n', "'cut_views' is taken"),
        ('[kinds.part]\nplural = "parts"\n', "'part' is taken (part): give the kind another name or plural"),
        ('[kinds.x]\nplural = "paid_amount"\n', "for sums"),
        ('[kinds.x]\nplural = "spent_ms"\n', "for sums"),
        ('[kinds.x]\nplural = "amount"\n', "for sums"),
        ("kinds = 7\n", "kinds in segmenter.toml"),
        (
            'kinds = ["click", "cart"]\n',
            "there is no kind 'cart'; there are click, search, view, purchase, social. Define it",
        ),
    ],
)
def test_what_a_kind_may_not_be(tmp_path: Path, file: str, says: str) -> None:
    """Names get into SQL, Redis and Kafka: they are checked before."""
    with pytest.raises(SettingsError, match=r".") as raised:
        load(tmp_path, file)
    assert says in str(raised.value)


def test_there_must_be_one(tmp_path: Path) -> None:
    for none in ("", " , "):
        with pytest.raises(SettingsError, match="kinds is empty; name at least one of click, search"):
            load(tmp_path, "", kinds=none)
    assert [kind.name for kind in load(tmp_path, "", kinds="click, click").kinds] == ["click"]


def test_names_are_checked_wherever_a_kind_comes_from() -> None:
    """They get into SQL."""
    for name, plural, topic in (("a; DROP", "x", "x"), ("a", "x y", "x"), ("a", "x", "x--"), ("a", "x", "X")):
        with pytest.raises(SettingsError, match="allowed: up to 30"):
            checked([Kind(name, plural, topic)])
    with pytest.raises(SettingsError, match=r"^the topic of \[kinds\.a\] is 'X'; allowed"):
        checked([Kind("a", "x", "X")])


@pytest.mark.parametrize(
    ("kinds", "features", "judging"),
    [
        ("click,search,view", "", ["total_clicks", "total_searches", "mean_click_ms", "mean_view_ms"]),
        ("click,search,view,purchase", "", ["total_clicks", "total_searches", "mean_click_ms", "mean_view_ms"]),
        ("click,purchase", "", ["total_clicks", "mean_click_ms"]),
        ("purchase", "", ["total_purchases", "total_purchase_amount", "mean_purchase_amount"]),
        ("click,purchase", "mean_purchase_amount,total_clicks", ["total_clicks", "mean_purchase_amount"]),
    ],
)
def test_the_features_that_judge(tmp_path: Path, kinds: str, features: str, judging: list[str]) -> None:
    """By default the four of the first release, as far as the kinds give them, or else all."""
    found = load(tmp_path, "", kinds=kinds, features=features)
    assert [feature.name for feature in found.judging] == judging
    assert found.shown()["features"] == tuple(judging)


def test_an_unknown_feature(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"total_carts.*total_clicks, total_searches"):
        load(tmp_path, "", features="total_carts")


def test_a_catalogue_keeps_its_order_when_kinds_are_added() -> None:
    """A vector's order does not change with a kind that is on but does not judge."""
    before = [feature.name for feature in catalogue(DEFAULT)]
    after = [feature.name for feature in catalogue(pick(BUILT_IN))]
    assert [name for name in after if name in before] == before
