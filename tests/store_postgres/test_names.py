"""Namespaces and keys as the tables keep them: read back exactly, and in their order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadkeep.store.base import InvalidOpError, PutOp
from threadkeep.store.postgres.names import LAST, escaped, namespace_of, range_of, space, unescaped
from threadkeep.store.postgres.operations import prepared

LABELS = st.text(st.sampled_from("\x00\x01\x02\x03-a\U0010ffff"), min_size=1, max_size=4)
NAMESPACES = st.lists(LABELS, min_size=1, max_size=3).map(tuple)


@settings(max_examples=1000)
@given(NAMESPACES, NAMESPACES)
def test_namespaces_are_read_back_and_keep_their_order_and_their_prefixes(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    first, second = space(one), space(other)
    assert namespace_of(first) == one
    assert "\x00" not in first
    assert (first < second, first == second) == (one < other, one == other)
    within = range_of(one)
    assert within is not None
    assert (within[0] <= second < within[1]) == (other[: len(one)] == one)
    assert first < LAST


@settings(max_examples=500)
@given(LABELS, LABELS)
def test_keys_are_read_back_and_keep_their_order(one: str, other: str) -> None:
    assert unescaped(escaped(one)) == one
    assert (escaped(one) < escaped(other)) == (one < other)


def test_names_that_no_index_can_hold_are_refused_with_the_limit() -> None:
    prepared([PutOp(("n",), "k" * 2598, {})], indexed=False)
    with pytest.raises(
        InvalidOpError, match=r"at most 2,600 bytes together in Postgres, not 2,601: key 'kkkk"
    ):
        prepared([PutOp(("n",), "k" * 2599, {})], indexed=False)
    with pytest.raises(InvalidOpError, match="not 3,003"):
        prepared([PutOp(("é" * 1500,), "k" * 2, {})], indexed=False)
