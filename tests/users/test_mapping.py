"""What is wrong with a mapping of users is said in one line, with what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segmenter.errors import MappingError
from segmenter.operations.users import load as loading
from segmenter.operations.users import mapping as mappings
from segmenter.settings import Settings
from segmenter.warehouse import Attribute
from tests.users.files import MAPPING, TIME

WHOLE = MAPPING + TIME
ROOT = Path(__file__).parents[2]
WRONG = [
    ('[columns]\nuser_id = "who"', "", "Object missing required field columns"),
    ('user_id = "who"', "", r"Object missing required field user_id - at \$.columns"),
    ('user_id = "who"', 'user_id = "who"\nregion = "x"', "[columns] has no key 'region'; allowed are user_id."),
    ('format = "csv"\n', "", "Object missing required field format"),
    ('format = "csv"\n', 'format = "xml"\n', "Invalid enum value 'xml'"),
    ('format = "csv"\n', 'format = "csv"\nkind = "x"\n', "has no key 'kind'; allowed are format, columns, attributes"),
    ('format = "csv"\n', 'format = "csv"\nseparator = ""\n', "separator must be one character, not ''"),
    ('format = "csv"\n', 'format = "csv"\nencoding = "x"\n', "encoding 'x' is unknown"),
    (
        'type = "number"',
        'typ = "number"',
        "[attributes] income has no key 'typ'; allowed are column, type, format",
    ),
    (
        'type = "number"',
        'type = "numbr"',
        "'numbr'; allowed are category, number, date. Did you mean 'number'?",
    ),
    ('type = "number"', 'type = "number", format = "iso"', "income has a format; only a date has one"),
    ('type = "number"', 'type = "number", separator = "|"', "income has the separator '|'; only a category has one"),
    ('separator = "|"', 'separator = "||"', "likes has the separator '||'; only a category has one, of one character"),
    (
        'type = "date"',
        'type = "date", format = "isso"',
        "[attributes] joined format is 'isso'; allowed are unix_s",
    ),
    ('type = "date"', 'type = "date", format = "%Q"', "[attributes] joined format is not a strptime pattern"),
    (
        "income =",
        "Income =",
        "[attributes] 'Income' is no name for an attribute: allowed are up to 64 of a-z",
    ),
    ("income =", '"a`b" =', "[attributes] 'a`b' is no name for an attribute"),
    ("income =", '"x\\u0027; DROP" =', "is no name for an attribute"),
    ("income =", "a" * 65 + " =", "is no name for an attribute"),
    ("income =", "user_id =", "'user_id' is no name for an attribute"),
    ('column = "at"', "column = []", "[time] column names no column"),
    ('format = "unix_s"', 'format = "unix"', "[time] format is 'unix'; allowed are unix_s, unix_ms, iso"),
    ('format = "unix_s"', 'format = "unix_s"\norder = "n"', "[time] has no key 'order'; allowed are column, format"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[said[:40] for *_, said in WRONG])
def test_what_is_wrong_is_named(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    assert old in WHOLE
    path.write_text(WHOLE.replace(old, new), "utf-8")
    with pytest.raises(MappingError, match=said if "\\$" in said else re.escape(said)) as raised:
        mappings.load(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[attributes]", 'x = """', "attributes = 5", "[attributes]\nx = 5"])
def test_what_is_no_mapping_at_all(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(MappingError):
        mappings.load(tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text(MAPPING.split("group =")[0])
    with pytest.raises(MappingError, match="is empty; it needs at least one"):
        mappings.load(tmp_path / "m.toml")


def test_a_column_that_the_file_lacks_is_named_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "users.csv").write_text("who,group,earn,joined,likes\n")
    settings = Settings(warehouse_url=f"sqlite:///{tmp_path}/w.db")
    said = "attributes.income names 'earns', which .*users.csv does not have. Its columns are who, group, earn, joined"
    with pytest.raises(MappingError, match=f"{said}, likes. Did you mean 'earn'[?]"):
        loading.load(settings, tmp_path / "users.csv", tmp_path / "m.toml", 1)
    assert not (tmp_path / "w.db").exists()


def test_the_shipped_mapping_and_that_of_the_page_are_right(tmp_path: Path) -> None:
    shipped = mappings.load(ROOT / "examples" / "mappings" / "completejourney-demographics.toml")
    assert {attribute.type for attribute in shipped.catalogue()} == {"category"}
    (page,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "users.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "m.toml").write_text(page, "utf-8")
    assert mappings.load(tmp_path / "m.toml").catalogue() == [
        Attribute("age_band", "category"),
        Attribute("income", "number"),
        Attribute("signed_up", "date"),
        Attribute("interests", "category", "|"),
    ]
