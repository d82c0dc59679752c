"""Pickle: only where the application asked for it, saving and loading alike."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest

from tests.serde import classes as app
from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

CLOSED = JsonPlusSerializer()
PICKLING = JsonPlusSerializer(pickle_fallback=True)
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


def test_a_frame_is_pickled_as_a_whole() -> None:
    tag, data = PICKLING.dumps_typed(FRAME)
    assert tag == "pickle"
    assert PICKLING.loads_typed((tag, data)).equals(FRAME)
    assert pickle.loads(data).equals(FRAME)


def test_inside_a_value_only_what_must_be_is_pickled() -> None:
    tag, data = PICKLING.dumps_typed({"frame": FRAME, "plain": (1, {2})})
    assert tag == "msgpack"
    loaded = PICKLING.loads_typed((tag, data))
    assert loaded["frame"].equals(FRAME)
    assert loaded["plain"] == (1, {2})


@pytest.mark.parametrize("value", [1, "x", None, b"x", (1,), {"a": Fraction(1, 3)}, [app.Order(1)]])
def test_other_values_are_saved_as_ever(value: Any) -> None:
    tag, data = PICKLING.dumps_typed(value)
    assert tag != "pickle"
    assert PICKLING.loads_typed((tag, data)) == value


def test_a_frame_is_refused_without_the_fallback() -> None:
    with pytest.raises(SerializationError, match=r"DataFrame is not on the allow-list\. Save it with"):
        CLOSED.dumps_typed({"frame": FRAME})
    for value in (pd.Timestamp("2024-01-01"), pd.NaT, FRAME["a"]):
        with pytest.raises(SerializationError):
            CLOSED.dumps_typed(value)


def test_a_frame_that_a_state_schema_names_is_pickled_all_the_same() -> None:
    serde = PICKLING.with_msgpack_allowlist([pd.DataFrame, ("pandas", "DataFrame")])
    assert serde.dumps_typed(FRAME)[0] == "pickle"
    with pytest.raises(SerializationError, match=r"Save it with JsonPlusSerializer\(pickle_fallback=True\)"):
        CLOSED.with_msgpack_allowlist([pd.DataFrame]).dumps_typed(FRAME)


def test_a_pickle_is_not_loaded_without_the_fallback() -> None:
    for value in (FRAME, {"frame": FRAME}):
        with pytest.raises(DeserializationError, match="pickle_fallback=True"):
            CLOSED.loads_typed(PICKLING.dumps_typed(value))


def test_what_cannot_be_pickled_either_is_an_error() -> None:
    with pytest.raises(
        SerializationError, match=r"A function cannot even be pickled: .* It stands at value\[0\]"
    ):
        PICKLING.dumps_typed([lambda: 1])


def test_an_extended_serialiser_keeps_the_fallback() -> None:
    extended = PICKLING.with_msgpack_allowlist([app.Order])
    assert extended.loads_typed(extended.dumps_typed(FRAME)).equals(FRAME)


def test_a_damaged_pickle_is_a_deserialization_error() -> None:
    with pytest.raises(DeserializationError):
        PICKLING.loads_typed(("pickle", b"\x80\x04nonsense"))
