"""What is loaded is what was saved, type included: every type one by one, then anything made of them."""

from __future__ import annotations

import ipaddress
import os
import pathlib
import re
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid1
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.serde.strict import differences
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer()
BERLIN = ZoneInfo("Europe/Berlin")

VALUES: list[Any] = [
    None, True, False, 0, -1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, -(2**63), -(2**63) - 1, 10**400,
    -(10**400),
    0.0, -0.0, 1e308, float("inf"), float("-inf"), float("nan"), 1j, complex(float("nan"), -0.0),
    "", "text", "nul \0 inside", "żółć", "🙂", "\ud800", "a\udcffb", b"", b"bytes", bytearray(b""),
    bytearray(b"x" * 300),
    [], [1, [2, [3]]], {}, {"a": {"b": [1]}}, {"z": 1, "a": 2},
    (), (1,), (1, (2, [3, (4,)])), set(), {1, "a", None}, frozenset({1, frozenset({2})}), {(1, 2), (3,
    "x")},
    deque(), deque([1, 2], maxlen=2), OrderedDict(b=1, a=2), Counter("hello"), defaultdict(list,
    {"a": [1]}),
    defaultdict(None, {1: 2}), range(3), range(10, 0, -2), range(2**70),
    datetime(2024, 2, 29, 23, 59, 59, 999999), datetime(1, 1, 1), datetime(2024, 1, 1, tzinfo=UTC),
    datetime(2024, 10, 27, 2, 30, fold=1), datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
    datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), datetime(2024, 1, 1, fold=1, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=3723, microseconds=5))),
    datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")), datetime(2024, 1, 1,
    tzinfo=ZoneInfo("UTC")),
    date(2024, 1, 2), date.min, time(1, 2, 3, 4), time(1, fold=1), time(1, tzinfo=UTC), time(1,
    tzinfo=BERLIN),
    timedelta(), timedelta.min, timedelta.max, timedelta(microseconds=-1), UTC,
    timezone(timedelta(hours=2), "é"), BERLIN,
    UUID(int=0), UUID("12345678-1234-5678-1234-567812345678"), uuid1(),
    Decimal("1.10"), Decimal("-0"), Decimal("NaN"), Decimal("sNaN123"), Decimal("-Infinity"),
    Decimal("1E+1000"),
    pathlib.Path("/a/b"), pathlib.Path("."), pathlib.Path("caf\udce9"), pathlib.PurePosixPath("x"),
    pathlib.PureWindowsPath("c:\\x\\y"),
    ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1"), ipaddress.ip_address("fe80::1%eth0"),
    ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_interface("10.1.2.3/8"),
    ipaddress.ip_network("2001:db8::/32"),
    ipaddress.ip_interface("2001:db8::1/64"),
    re.compile("a+"), re.compile("a.b", re.IGNORECASE | re.DOTALL | re.VERBOSE), re.compile(rb"\xff",
    re.LOCALE),
    {1: "int", "1": "str", 1.5: "float", None: 0, (1, (2,)): "tuple", b"b": 0, frozenset({1}): 0, 2**80: 0},
    {True: 1}, {0: {"a": {UUID(int=1): {date(2024, 1, 1): Decimal(1)}}}}, {"\ud800": "\ud801"},
    {float("nan"): 1},
    [bytearray(b"a"), b"a", {"x": (bytearray(b"b"),)}], {"żółć": [bytearray(b"c")]},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{value!r:.40}")
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert differences(value, SERDE.loads_typed(SERDE.dumps_typed(value))) is None


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{value!r:.40}")
def test_a_value_comes_back_as_it_was_from_deep_inside(value: Any) -> None:
    whole = {"a": [(value, {"b": value})], "c": deque([[value]])}
    assert differences(whole, SERDE.loads(SERDE.dumps(whole))) is None


@pytest.mark.parametrize(
    ("value", "tag", "data"),
    [
        (None, "null", b""),
        (b"raw \xff", "bytes", b"raw \xff"),
        (bytearray(b"raw"), "bytearray", b"raw"),
        ("text", "msgpack", b"\xa4text"),
        ([1, {"a": None}], "msgpack", b"\x92\x01\x81\xa1a\xc0"),
    ],
)
def test_the_tag_names_the_form(value: Any, tag: str, data: bytes) -> None:
    assert SERDE.dumps_typed(value) == (tag, data)


def test_an_exception_comes_back_as_the_text_of_its_repr() -> None:
    assert SERDE.loads(SERDE.dumps([ValueError("no", 1)])) == ["ValueError('no', 1)"]
    assert SERDE.loads(SERDE.dumps(KeyError("\ud800"))) == "KeyError('\\ud800')"


def test_equal_sets_make_equal_bytes_whatever_their_history() -> None:
    colliding = [0, 8, 16, 24]
    backwards = colliding[::-1]
    assert list(set(colliding)) != list(set(backwards))
    assert SERDE.dumps(set(colliding)) == SERDE.dumps(set(backwards))


def test_a_value_makes_the_same_bytes_in_every_process() -> None:
    code = (
        "from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer as J;"
        "value = [{'a', 'b', 1, None, (1, 'x')}, {frozenset({'p', 'q'}), frozenset({'r'})}, {'u', 'v', 'w'}];"
        "print(J().dumps(value).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3", "4")
    }
    assert len(found) == 1


def test_the_untagged_form_loads_none_and_bytes_too() -> None:
    for value in (None, b"x", bytearray(b"x")):
        assert differences(value, SERDE.loads(SERDE.dumps(value))) is None


def test_a_buffer_of_the_database_driver_loads() -> None:
    data = SERDE.dumps([1, (2,)])
    assert SERDE.loads_typed(("msgpack", memoryview(data))) == [1, (2,)]  # type: ignore[arg-type]  # psycopg gives these
    assert SERDE.loads_typed(("bytes", memoryview(b"x"))) == b"x"  # type: ignore[arg-type]  # psycopg gives these


ZONES = st.sampled_from(
    [None, UTC, BERLIN, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(1) / 2, "x")]
)
SURROGATES = st.text(st.characters(exclude_categories=[]))
HASHABLE = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), SURROGATES,
        st.binary(),
        st.decimals(allow_nan=False), st.uuids(), st.dates(), st.datetimes(timezones=ZONES),
        st.timedeltas(),
        st.times(timezones=st.sampled_from([None, UTC])), st.ip_addresses(),
        st.complex_numbers(allow_nan=False),
        st.sampled_from([BERLIN, UTC, pathlib.Path("/x"), re.compile("x", re.ASCII), range(3)]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4).map(tuple), st.frozensets(inner, max_size=4)),
    max_leaves=6,
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(HASHABLE, st.floats(), st.decimals(), st.binary().map(bytearray)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.lists(inner, max_size=5).map(lambda items: deque(items, maxlen=len(items) + 1)),
        st.dictionaries(st.text(), inner, max_size=5),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.dictionaries(st.text(), inner, max_size=3).map(OrderedDict),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ANYTHING)
def test_anything_made_of_the_built_in_types_comes_back_as_it_was(value: Any) -> None:
    assert differences(value, SERDE.loads_typed(SERDE.dumps_typed(value))) is None


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_saving_does_not_change_the_value_and_is_repeatable(value: Any) -> None:
    before = repr(value)
    first = SERDE.dumps(value)
    assert SERDE.dumps(value) == first
    assert repr(value) == before
