"""NumPy arrays and scalars: every dtype but object, any shape, both orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as st_np

from tests.serde.strict import differences
from threadkeep.checkpoint.serde.base import SerializationError
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer()
ALIGNED = np.dtype([("a", "i1"), ("b", "f8"), ("c", "U3")], align=True)
NESTED = np.dtype([("at", "M8[us]"), ("point", [("x", ">f4"), ("y", "<f4")]), ("grid", "i2", (2, 3))])

ARRAYS: list[Any] = [
    np.arange(6), np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(5),
    np.zeros((0, 3)), np.zeros((2, 0), order="F"), np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    np.arange(10)[::2], np.arange(10)[::-1], np.array([True, False]), np.array([1 + 2j]), np.array(["żó",
    ""]),
    np.array([b"a\0b", b""]), np.array(["2024-01-01", "NaT"], dtype="M8[D]"), np.array([5], dtype="m8[3s]"),
    np.array([np.nan, -0.0, np.inf], dtype=">f8"), np.array([1], dtype=np.longdouble), np.array([1.5],
    dtype="f2"),
    np.zeros(3, dtype=ALIGNED), np.array([(1, 2.5, "x")], dtype=ALIGNED), np.zeros((2, 2), dtype=NESTED),
    np.array([b"raw"], dtype="V3"), np.array(["a", "", "żż" * 40], dtype=np.dtypes.StringDType()),
    np.array([["a"], ["b"]], dtype=np.dtypes.StringDType()),
]  # fmt: skip
SCALARS: list[Any] = [
    np.float64(1.5), np.float32("nan"), np.float16(1), np.longdouble(1) / 3, np.int8(-1),
    np.uint64(2**64 - 1),
    np.bool_(True), np.complex64(1 + 2j), np.str_("żó"), np.str_(""), np.bytes_(b"a"), np.bytes_(b""),
    np.datetime64("2024-01-01T00:00:00.123"), np.datetime64("NaT", "s"), np.timedelta64(3, "h"),
    np.void(b"abc"),
    np.array([(1, 2.5, "x")], dtype=ALIGNED)[0],
]  # fmt: skip


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: f"{value.dtype}{value.shape}")
def test_an_array_comes_back_as_it_was(value: Any) -> None:
    loaded = SERDE.loads_typed(SERDE.dumps_typed({"a": [value]}))["a"][0]
    assert differences(value, loaded) is None
    assert loaded.flags.writeable


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: f"{type(value).__name__}-{value!r}")
def test_a_scalar_comes_back_as_it_was(value: Any) -> None:
    loaded = SERDE.loads_typed(SERDE.dumps_typed((value,)))[0]
    assert differences(np.asarray(value), np.asarray(loaded)) is None
    assert type(loaded) is type(value)


@settings(max_examples=150, deadline=None)
@given(
    st_np.arrays(
        st_np.scalar_dtypes() | st_np.array_dtypes(max_size=3) | st_np.nested_dtypes(),
        st_np.array_shapes(min_dims=0, min_side=0, max_side=4),
    )
)
def test_any_array_comes_back_as_it_was(value: Any) -> None:
    for array in (value, np.asfortranarray(value)):
        assert differences(array, SERDE.loads(SERDE.dumps(array))) is None


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, None], dtype=object),
        np.zeros(2, dtype=[("a", "i4"), ("b", "O")]),
        np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None)),
        np.ma.masked_array([1, 2], [True, False]),
        np.zeros(2, dtype=[("a", "i4")]).view(np.recarray),
        np.dtype("i4"),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_what_has_no_form_in_bytes_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError):
        SERDE.dumps_typed([value])
