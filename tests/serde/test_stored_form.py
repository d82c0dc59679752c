"""The stored form: what one release wrote, every later one must read. Never edit a line, only add."""

from __future__ import annotations

import ipaddress
import re
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import langchain_core.messages as lc
import numpy as np
import pytest

from tests.serde import classes as app
from tests.serde.strict import differences
from tests.serde.test_langchain import messages
from tests.serde.test_round_trip import VALUES
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer(allowed_modules=[*app.REGISTERED, Fraction])
NOON = datetime(2024, 5, 17, 12, 0, 1)

CASES: list[tuple[str, Any, str]] = [
    ("plain", {"a": [None, True, 1, -1, 1.5, "é", b"x"]}, "81a16197c0c301ffcb3ff8000000000000a2c3a9c40178"),
    ("tuple", (1, (2,)), "c706019201d5019102"),
    ("set", {1, 2}, "c70302920102"),
    ("frozenset", frozenset({1}), "d5039101"),
    ("deque", deque([1], maxlen=2), "c70304920201"),
    ("int", -(2**64), "c70905ff0000000000000000"),
    ("surrogates", "a\ud800", "d60661eda080"),
    ("bytearray", [bytearray(b"x")], "91d40778"),
    ("keys", {1: "a", (2,): "b"}, "c70a089401a161d5019102a162"),
    ("ordered", OrderedDict(b=1), "c7070993000081a16201"),
    ("counter", Counter("aa"), "c7070993010081a16102"),
    ("defaultdict", defaultdict(list, {"a": [1]}), "d70993020181a1619101"),
    ("datetime", NOON, "c70a0a07e805110c0001000000"),
    ("datetime-utc", NOON.replace(tzinfo=UTC), "c70b0a07e805110c00010000005a"),
    (
        "datetime-zone",
        NOON.replace(tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        "c71d0b92c40a07e885110c0001000000c70d114575726f70652f4265726c696e",
    ),
    ("date", date(2024, 5, 17), "c70a0c323032342d30352d3137"),
    ("time", time(12, 0, 1), "d70d31323a30303a3031"),
    ("time-fold", time(12, fold=1), "c70c0e93a831323a30303a303001c0"),
    ("timedelta", timedelta(days=-1, microseconds=5), "d60f93ff0005"),
    ("timezone", timezone(timedelta(hours=1), "CET"), "c70a109400cd0e1000a3434554"),
    ("uuid", UUID(int=5), "d81200000000000000000000000000000005"),
    ("decimal", Decimal("1.50"), "d613312e3530"),
    ("path", PurePosixPath("/a"), "c70314002f61"),
    ("windows-path", PureWindowsPath("c:\\a"), "c7051401633a5c61"),
    ("ip", ipaddress.ip_address("10.0.0.1"), "c709150031302e302e302e31"),
    ("ip-network", ipaddress.ip_network("::/8"), "c70515053a3a2f38"),
    ("pattern", re.compile("a+", re.IGNORECASE), "c7051692a2612b22"),
    ("complex", 1 + 2j, "d8173ff00000000000004000000000000000"),
    ("range", range(1, 5, 2), "d61893010502"),
    ("enum", app.Level.HIGH, "c7202092b974657374732e73657264652e636c61737365733a4c6576656ca448494748"),
    ("flag", app.Rights.WRITE, "c71d2092ba74657374732e73657264652e636c61737365733a52696768747302"),
    ("named-tuple", app.Point(1, 2), "c71e2092b974657374732e73657264652e636c61737365733a506f696e74920102"),
    (
        "dataclass",
        app.Frozen("a", 1),
        "c72b2092ba74657374732e73657264652e636c61737365733a46726f7a656e82a46e616d65a161a5696e6e657201",
    ),
    (
        "slots",
        app.FrozenSlotted("a", 1),
        "c7332092d92174657374732e73657264652e636c61737365733a46726f7a656e536c6f7474656482a46e616d65a161a5696e6e657201",
    ),
    (
        "model",
        app.Names(["a"]),
        "c7242092b974657374732e73657264652e636c61737365733a4e616d657381a4726f6f7491a161",
    ),
    (
        "model-unset",
        app.Box(content=1).model_copy(),
        "c7232092b774657374732e73657264652e636c61737365733a426f7881a7636f6e74656e7401",
    ),
    (
        "model-defaults",
        app.FrozenModel(point=app.Point(1)),
        "c7792092bf74657374732e73657264652e636c61737365733a46726f7a656e4d6f64656c9282a5706f696e74c71e2092b974657374732e73657264652e636c61737365733a506f696e74920100a56c6576656cc71f2092b974657374732e73657264652e636c61737365733a4c6576656ca34c4f5791a56c6576656c",
    ),
    ("derived-str", app.UserId("u"), "c71f2092ba74657374732e73657264652e636c61737365733a55736572496491a175"),
    ("derived-list", app.Stack([1]), "c71e2092b974657374732e73657264652e636c61737365733a537461636b919101"),
    (
        "exception",
        app.Refused(1, "x"),
        "c7292092bb74657374732e73657264652e636c61737365733a52656675736564929201a17881a4636f646501",
    ),
    (
        "foreign",
        Fraction(1, 3),
        "c72f2092b26672616374696f6e733a4672616374696f6e82aa5f6e756d657261746f7201ac5f64656e6f6d696e61746f7203",
    ),
    (
        "array",
        np.array([[1, 2], [3, 4]], dtype="<i2", order="F"),
        "c7132294a33c6932920202c3c4080100030002000400",
    ),
    ("scalar", np.float32(1.5), "c70b2392a33c6634c4040000c03f"),
    ("human", lc.HumanMessage("hi", id="1"), "c7114082a7636f6e74656e74a26869a26964a131"),
    (
        "ai",
        lc.AIMessage("hi", id="1", response_metadata={"m": 1}),
        "c7274183a7636f6e74656e74a26869b1726573706f6e73655f6d6574616461746181a16d01a26964a131",
    ),
    (
        "tool",
        lc.ToolMessage("hi", tool_call_id="1"),
        "c71b4382a7636f6e74656e74a26869ac746f6f6c5f63616c6c5f6964a131",
    ),
    ("remove", lc.RemoveMessage(id="1"), "c70f4682a7636f6e74656e74a0a26964a131"),
]


@pytest.mark.parametrize(("value", "stored"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_stored_form_is_written_and_read(value: Any, stored: str) -> None:
    assert SERDE.dumps(value).hex() == stored
    assert differences(value, SERDE.loads(bytes.fromhex(stored))) is None


def test_the_bytes_of_a_list_are_a_header_and_those_of_its_elements() -> None:
    # Storage cuts lists into elements and joins them again without the serialiser.
    elements = [*VALUES, *messages(), *(value for _, value, _ in CASES)]
    whole = SERDE.dumps(elements)
    assert whole == b"\xdc" + len(elements).to_bytes(2, "big") + b"".join(map(SERDE.dumps, elements))


def test_one_serialiser_serves_many_threads() -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        for turn in range(100):
            value = {"n": (number, {turn}), 1: bytearray(b"x"), "s": "\ud800", "u": UUID(int=turn)}
            found = differences(value, SERDE.loads(SERDE.dumps(value)))
            if found:
                wrong.append(found)
            try:
                SERDE.dumps([object(), number])
                wrong.append("no error")
            except TypeError as error:
                if "object" not in str(error):
                    wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
