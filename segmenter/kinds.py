"""The kinds of events. Topics, fields, tables, columns, features, SQL and docs follow from this one table.

Nothing else names a kind. To build one in, add it to `BUILT_IN` and, if synthetic users are to do it, to `HABITS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from segmenter.errors import SettingsError

Measure = Literal["none", "duration", "amount"]
"""What an event of a kind may measure: nothing, how long it lasted (ms), or an amount of money (minor units)."""


class Feature(NamedTuple):
    """A number of a profile, or the ratio of two: ``numerator / denominator``, missing while the denominator is 0."""

    name: str
    numerator: str
    denominator: str | None
    unit: str


class Kind(msgspec.Struct, frozen=True):
    """A kind of event, the topic that holds its events, and what they measure.

    >>> Kind("add_to_cart", "carts", "carts", "amount").fields
    ('carts', 'carts_priced', 'cart_amount')
    """

    name: str
    plural: str
    topic: str
    measure: Measure = "none"

    @property
    def fields(self) -> tuple[str, ...]:
        """What a profile keeps of it: how many events, how many of them were measured, and the sum of the measures."""
        if self.measure == "none":
            return (self.plural,)
        measured, unit = {"duration": ("timed", "ms"), "amount": ("priced", "amount")}[self.measure]
        return self.plural, f"{self.plural}_{measured}", f"{self._singular}_{unit}"

    @property
    def features(self) -> tuple[Feature, ...]:
        """What users may be judged by: the number of events, the sum of amounts, and the mean of the measures."""
        total = Feature(f"total_{self.plural}", self.plural, None, self.plural.replace("_", " "))
        if self.measure == "none":
            return (total,)
        _, measured, sum_ = self.fields
        if self.measure == "duration":
            return total, Feature(f"mean_{sum_}", sum_, measured, "milliseconds")
        amount = Feature(f"total_{sum_}", sum_, None, "minor units")
        return total, amount, Feature(f"mean_{sum_}", sum_, measured, "minor units")

    @property
    def summary_columns(self) -> tuple[str, str]:
        """Its columns in ``user_activity_summary``: the number of its events, and how long they took on average.

        >>> BUILT_IN["view"].summary_columns
        ('total_views', 'avg_time_spent_on_articles')
        """
        counted, timed = _SUMMARY_WORDS.get(self.name, (self.plural, self.plural))
        return f"total_{counted}", f"avg_time_spent_on_{timed}"

    @property
    def acts(self) -> tuple[str, str]:
        """What its users do, as sentences begin: that they do it so often, and that they take so long.

        >>> BUILT_IN["search"].acts[0], Kind("visit", "store_visits", "store_visits").acts[0]
        ('Searches', 'Has store visits')
        """
        words = self.plural.replace("_", " ")
        return _ACTS.get(self.name, (f"Has {words}", f"Spends time on {words}"))

    @property
    def subject(self) -> str | None:
        """The event field that only some kinds have, and that a mapping fills for this one: what it was about."""
        return _SUBJECTS.get(self.name, "item_id")

    @property
    def _singular(self) -> str:
        if self.plural.startswith(self.name):
            return self.name
        return f"{self.plural[:-3]}y" if self.plural.endswith("ies") else self.plural.removesuffix("s")


BUILT_IN = {
    kind.name: kind
    for kind in (
        Kind("click", "clicks", "clickstream", "duration"),
        Kind("search", "searches", "searches"),
        Kind("view", "views", "views", "duration"),
        Kind("purchase", "purchases", "purchases", "amount"),
        Kind("social", "social_actions", "social_actions"),
    )
}
"""The kinds that are always there to be picked, in the order in which all kinds stand."""

DEFAULT = tuple([BUILT_IN[name] for name in ("click", "search", "view")])
"""The kinds that are on by default, and in all that version 0.1.0 has stored."""

DEFAULT_FEATURES = ("total_clicks", "total_searches", "mean_click_ms", "mean_view_ms")
"""By these, users are judged by default, and in all that version 0.1.0 has stored."""

SUBJECTS = ("item_id", "query")
_SUBJECTS = {"click": None, "search": "query"}
_ACTS = {
    "click": ("Clicks", "Stays after a click"),
    "search": ("Searches", "Searches"),
    "view": ("Reads articles", "Reads articles"),
    "purchase": ("Buys", "Buys"),
}
_SUMMARY_WORDS = {"search": ("search_queries", "searches"), "view": ("views", "articles")}


class Habit(NamedTuple):
    """How the synthetic users do a kind: one number for each of `producers.synthetic.personas.PERSONAS`."""

    shares: tuple[float, ...] = (0.02, 0.0, 0.06, 0.05, 0.08, 0.1)
    """The share of the events that are of this kind; if the shares of all kinds are not 1 in total, in proportion."""
    medians: tuple[int, ...] = (1_200, 800, 3_000, 3_500, 9_000, 12_000)
    """The median of what is measured, in ms or minor units."""
    actions: tuple[str, ...] = ()
    """If not empty, one of them is the property ``action`` of each event."""


HABITS = {
    "click": Habit((0.66, 1.00, 0.50, 0.62, 0.40, 0.38), (700, 600, 2_500, 2_800, 9_000, 8_000)),
    "search": Habit((0.10, 0.00, 0.18, 0.38, 0.18, 0.34)),
    "view": Habit((0.24, 0.00, 0.32, 0.00, 0.42, 0.28), (5_000, 0, 35_000, 0, 240_000, 190_000)),
    "purchase": Habit((0.01, 0.00, 0.03, 0.05, 0.04, 0.08), (1_500, 0, 2_900, 4_900, 3_900, 8_900)),
    "social": Habit((0.02, 0.00, 0.08, 0.01, 0.12, 0.05), actions=("share", "like", "comment", "follow")),
}
"""The habits of synthetic users; a kind that is not here has the default ones."""

_NAME = re.compile("[a-z][a-z0-9_]{0,29}")
_TAKEN = (
    *("user_id", "part", "pos", "snapshot_id", "segment", "generation", "first_ms", "last_ms"),
    *("segment_name", "taken_at"),
    *("known", "distinct_days", "distinct_sessions", "distinct_pages", "distinct_queries"),
)
_KEYS = ("plural", "measure")


@cache
def catalogue(kinds: tuple[Kind, ...]) -> tuple[Feature, ...]:
    """The features that the kinds give, the numbers of events first.

    >>> [feature.name for feature in catalogue(DEFAULT)]
    ['total_clicks', 'total_searches', 'total_views', 'mean_click_ms', 'mean_view_ms']
    """
    features = [kind.features for kind in kinds]
    return tuple([each[0] for each in features] + [feature for each in features for feature in each[1:]])


@cache
def by_topic(kinds: tuple[Kind, ...]) -> dict[str, Kind]:
    """The kinds by their topics, which go without prefix."""
    return {kind.topic: kind for kind in kinds}


def own(tables: Mapping[str, Any]) -> dict[str, Kind]:
    """The kinds of ``[kinds.NAME]`` in a settings file, by name; a built-in one is an empty table.

    >>> own({"add_to_cart": {"plural": "carts", "measure": "amount"}})["add_to_cart"].topic
    'carts'
    """
    return {name: _own(name, table) for name, table in tables.items()}


def _own(name: str, table: Any) -> Kind:
    where = f"[kinds.{name}]"
    if not isinstance(table, Mapping):
        raise SettingsError(f"kinds.{name} is {table!r}; it must be a table: {where}, then plural and measure")
    if name in BUILT_IN:
        if table:
            raise SettingsError(f"{where} is built in, and must be empty; give a kind of your own another name")
        return BUILT_IN[name]
    for key in table.keys() - set(_KEYS):
        raise SettingsError(f"{where} has no {key}; it has plural and measure")
    plural: Any = table.get("plural")
    return _checked(Kind(name, plural, plural, table.get("measure", "none")))


def pick(names: Iterable[str], known: Mapping[str, Kind] = BUILT_IN) -> tuple[Kind, ...]:
    """The kinds of these names, in the order of the table, own ones last by name. Raises `SettingsError`."""
    wanted = list(dict.fromkeys(name for each in names if (name := each.strip())))
    for name in wanted:
        if name not in known:
            raise SettingsError(
                f"there is no kind {name!r}; there are {', '.join(known)}. Define it in segmenter.toml as "
                f"[kinds.{name}] (docs/kinds.md)"
            )
    return checked([known[name] for name in wanted])


def checked(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """Kinds in their order. Raises `SettingsError` unless each name that follows from them is of only one."""
    rank = {name: at for at, name in enumerate(BUILT_IN)}
    ordered = tuple(sorted(map(_checked, kinds), key=lambda kind: (rank.get(kind.name, len(rank)), kind.name)))
    if not ordered:
        raise SettingsError(f"kinds is empty; name at least one of {', '.join(BUILT_IN)}, or your own")
    names: Counter[str] = Counter(_TAKEN)
    for kind in ordered:
        names.update({kind.name, kind.topic, *kind.fields})
        names.update({f"cut_{kind.topic}", *[feature.name for feature in kind.features], *kind.summary_columns})
    for name, times in names.items():
        if times > 1:
            using = [
                kind.name for kind in ordered if name in (kind.name, kind.topic, *kind.fields, *kind.summary_columns)
            ]
            raise SettingsError(f"{name!r} is taken ({', '.join(using)}): give the kind another name or plural")
    return ordered


def _checked(kind: Kind) -> Kind:
    """A kind whose names may get into SQL. Raises `SettingsError`."""
    where = f"[kinds.{kind.name}]"
    for what, text in (("name", kind.name), ("plural", kind.plural), ("topic", kind.topic)):
        if not isinstance(text, str) or not _NAME.fullmatch(text):
            raise SettingsError(
                f"the {what} of {where} is {text!r}; allowed: up to 30 of a-z 0-9 _, of which the first is a letter"
            )
    if f"_{kind.plural}".endswith(("_amount", "_ms")):
        raise SettingsError(f"the plural of {where} is {kind.plural!r}; amount, ms and _amount, _ms are for sums")
    if kind.measure not in get_args(Measure):
        raise SettingsError(f"measure in {where} is {kind.measure!r}; allowed: {', '.join(get_args(Measure))}")
    return kind
