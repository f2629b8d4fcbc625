"""Settings: where a value comes from, what it may be, and that no password is ever shown."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from segmenter import settings
from segmenter.errors import SettingsError
from segmenter.events import Rules
from segmenter.settings import Settings
from segmenter.settings.urls import masked


def _load(folder: Path, environ: dict[str, str] | None = None, toml: str = "", **arguments: Any) -> Settings:
    (folder / "segmenter.toml").write_text(toml)
    return settings.load(folder, environ or {}, **arguments)


def _error(folder: Path, environ: dict[str, str] | None = None, toml: str = "", **arguments: Any) -> str:
    with pytest.raises(SettingsError) as raised:
        _load(folder, environ, toml, **arguments)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_an_argument_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    (tmp_path / "segmenter.toml").write_text('group = "file"\npartitions = 2\nsegments = ["low", "high"]\n')
    environ = {"SEGMENTER_GROUP": "variable", "SEGMENTER_PARTITIONS": "8", "HOME": "/"}
    found, sources = settings.load_with_sources(tmp_path, environ, group="argument", topic_prefix=None)
    assert (found.group, sources["group"]) == ("argument", "argument")
    assert (found.partitions, sources["partitions"]) == (8, "SEGMENTER_PARTITIONS")
    assert (found.segments, sources["segments"]) == (("low", "high"), "segmenter.toml")
    assert (found.topic_prefix, sources["topic_prefix"]) == ("", "default")


def test_without_anything_the_parts_are_the_embedded_ones(tmp_path: Path) -> None:
    found = settings.load(tmp_path, {})
    assert found == Settings()
    assert (found.kafka, found.redis_url, found.warehouse_url) == ("embedded", "embedded", "embedded")


def test_a_time_zone_is_one_of_the_database_and_an_error_names_near_ones(tmp_path: Path) -> None:
    for zone in ("UTC", "Europe/Berlin", "Asia/Kathmandu"):
        assert _load(tmp_path, {"SEGMENTER_TIMEZONE": zone}).timezone == zone
    for zone in ("Europe/Berln", "berlin", "EUROPE/BERLIN"):
        said = _error(tmp_path, {"SEGMENTER_TIMEZONE": zone})
        assert said.startswith(f"SEGMENTER_TIMEZONE is {zone!r}; allowed: a name of the IANA time zone database")
        assert re.search(r"; near it: ([^,]+, )*Europe/Berlin\b", said)
    for zone in ("", "Europe", "../Berlin", "/etc/localtime", "\0"):
        assert "SEGMENTER_TIMEZONE is" in _error(tmp_path, {"SEGMENTER_TIMEZONE": zone})
    assert "timezone is 1; allowed" in _error(tmp_path, timezone=1)


def test_a_list_is_given_with_commas_in_a_variable(tmp_path: Path) -> None:
    assert _load(tmp_path, {"SEGMENTER_SEGMENTS": "low, mid,high"}).segments == ("low", "mid", "high")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kafka", "localhost"),
        ("kafka", "localhost:0"),
        ("kafka", "localhost:65536"),
        ("kafka", "a:1,"),
        ("kafka", ""),
        ("kafka_tls", "yes"),
        ("kafka_user", "a b"),
        ("kafka_user", "a,b"),
        ("tls_ca", "/no/such.pem"),
        ("tls_ca", "/dev/null"),
        ("redis_url", "http://cache"),
        ("redis_url", "redis://cache:port/0"),
        ("warehouse_url", "mysql://user@db/x"),
        ("warehouse_url", "sqlite://"),
        ("stack_dir", ""),
        ("key_prefix", ""),
        ("key_prefix", "a:b"),
        ("key_prefix", "a" * 33),
        ("topic_prefix", "a b"),
        ("group", "a\n"),
        ("partitions", "0"),
        ("partitions", "1025"),
        ("partitions", "four"),
        ("partitions", "4.0"),
        ("segments", "one"),
        ("segments", "low,low"),
        ("segments", "low,High"),
        ("segments", "low,unassigned"),
        ("segments", ",".join(f"s{number}" for number in range(13))),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("duplicate_window", "-1"),
        ("max_ahead_ms", "-1"),
        ("commit_rows", "0"),
        ("stale_after_ms", "0"),
        ("log_level", "INFO"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it_and_what_is_allowed(tmp_path: Path, name: str, value: str) -> None:
    variable = "SEGMENTER_" + name.upper()
    message = _error(tmp_path, {variable: value})
    assert message.startswith(f"{variable} is ")
    assert message.endswith(f"; allowed: {settings.FIELDS[name].metadata['allowed'].words}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kafka", "broker-1:9092,[::1]:9093"),
        ("redis_url", "rediss://user:p%40ss@cache:6380/2"),
        ("redis_url", "unix:///run/redis.sock?db=1"),
        ("warehouse_url", "mysql+pymysql://user:p@ss@db:3306/clicks?charset=utf8mb4"),
        ("warehouse_url", "mariadb+pymysql://db/clicks"),
        ("warehouse_url", "sqlite:////tmp/warehouse.db"),
    ],
)
def test_addresses_that_are_allowed(tmp_path: Path, name: str, value: str) -> None:
    assert getattr(_load(tmp_path, **{name: value}), name) == value


@pytest.mark.parametrize("toml", ["partitions = true", "partitions = 4.0", "partitions = {}", "segments = [1, 2]"])
def test_a_wrong_type_in_the_file(tmp_path: Path, toml: str) -> None:
    name = toml.split()[0]
    assert _error(tmp_path, toml=toml).startswith(f"{name} in segmenter.toml is ")


def test_unknown_names_are_errors_that_name_the_nearest(tmp_path: Path) -> None:
    assert _error(tmp_path, {"SEGMENTER_REDIS": "x"}).endswith("the nearest is SEGMENTER_REDIS_URL")
    assert _error(tmp_path, {"SEGMENTER_KAFKA_USERS": "x"}).endswith("the nearest is SEGMENTER_KAFKA_USER")
    assert _error(tmp_path, toml="partition = 4").endswith("has no setting partition; the nearest is partitions")
    assert _error(tmp_path, toml="[redis]\nurl = 'x'").endswith("the nearest is redis_url")
    assert _error(tmp_path, partition=4).endswith("the nearest is partitions")


def test_variables_that_other_code_reads_are_no_settings(tmp_path: Path) -> None:
    assert _load(tmp_path, {"SEGMENTER_TEST_REAL": "1", "SEGMENTER_REDIS_BIN": "/bin/x"}) == Settings()


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    assert "segmenter.toml cannot be read" in _error(tmp_path, toml="partitions: 4")
    assert "segmenter.toml cannot be read" in _error(tmp_path, toml=f"partitions = {'[' * 9_999}")


def test_a_secret_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("redis://:s3cret@cache:6379/0\n")
    found, sources = settings.load_with_sources(tmp_path, {"SEGMENTER_REDIS_URL_FILE": str(secret)})
    assert found.redis_url == "redis://:s3cret@cache:6379/0"
    assert sources["redis_url"] == "SEGMENTER_REDIS_URL_FILE"
    both = {"SEGMENTER_REDIS_URL_FILE": str(secret), "SEGMENTER_REDIS_URL": "embedded"}
    assert _error(tmp_path, both).endswith("are both set; unset one of them")
    missing = {"SEGMENTER_WAREHOUSE_URL_FILE": str(tmp_path / "none")}
    assert _error(tmp_path, missing).endswith("which cannot be read: No such file or directory")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@cache:6379/0",
        "redis://app:s3cret@cache",
        "redis://:s3cr/s3cret@cache",
        "redis://app:x@s3cret@cache",
        "redis://cache:6379/0?password=s3cret",
    ],
)
def test_a_password_is_never_shown(tmp_path: Path, url: str) -> None:
    shown = masked(url)
    assert "s3cret" not in shown and "cache" in shown
    if "s3cr/" not in url:
        found = _load(tmp_path, redis_url=url)
        assert "s3cret" not in f"{found!r} {found} {found.shown()}"
    for wrong in (url.replace("redis:", "reddis:"), "s3cret"):
        assert "s3cret" not in _error(tmp_path, {"SEGMENTER_REDIS_URL": wrong})


def test_the_password_of_kafka_is_never_shown(tmp_path: Path) -> None:
    found = _load(tmp_path, {"SEGMENTER_KAFKA_USER": "worker", "SEGMENTER_KAFKA_PASSWORD": "s3cret"})
    assert (found.kafka_user, found.kafka_password) == ("worker", "s3cret")
    assert "s3cret" not in f"{found!r} {found.shown()}"
    assert found.shown()["kafka_password"] == "***" and Settings().shown()["kafka_password"] == ""
    assert "s3cret" not in _error(tmp_path, {"SEGMENTER_KAFKA_PASSWORD": "s3cret\n"})
    for half in ({"kafka_user": "worker"}, {"kafka_password": "s3cret"}):
        assert _error(tmp_path, **half) == "kafka_user and kafka_password go together; set both, or neither"


@pytest.mark.parametrize(
    ("url", "trusting"),
    [
        ("mysql+pymysql://a:p@ss@db/x", "mysql+pymysql://a:p@ss@db/x?ssl_ca={}"),
        ("mariadb+pymysql://db/x?charset=utf8mb4", "mariadb+pymysql://db/x?charset=utf8mb4&ssl_ca={}"),
        ("mysql+pymysql://db/x?ssl_disabled=true", "mysql+pymysql://db/x?ssl_disabled=true"),
        ("sqlite:////tmp/warehouse.db", "sqlite:////tmp/warehouse.db"),
        ("embedded", "embedded"),
    ],
)
def test_the_authority_is_the_warehouse_s_too(tmp_path: Path, url: str, trusting: str) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    found = _load(tmp_path, warehouse_url=url, tls_ca=str(authority))
    assert found.warehouse_url == trusting.format(authority)
    assert dataclasses.replace(found, partitions=8).warehouse_url == found.warehouse_url


def test_a_change_is_checked_too() -> None:
    assert dataclasses.replace(Settings(), partitions=8).partitions == 8
    with pytest.raises(SettingsError, match="partitions is 0"):
        dataclasses.replace(Settings(), partitions=0)


def test_the_rules_follow_the_settings() -> None:
    rules = Rules.of(Settings(partitions=3, duplicate_window=7, max_ahead_ms=9))
    assert (rules.partitions, rules.duplicate_window, rules.max_ahead_ms) == (3, 7, 9)
