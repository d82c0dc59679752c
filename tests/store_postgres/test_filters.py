"""The compiled filter and the reference evaluator say the same of every value, and never nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract_store.random_filters import Case, cases
from tests.contract_store.random_filters import escaped as in_filter
from tests.postgres_server import shared_database
from threadkeep.postgres.statements import quoted
from threadkeep.store.filter import matches, parse
from threadkeep.store.postgres.filters import compiled
from threadkeep.store.postgres.names import body_of, json_escaped, searchable

ASK = "SELECT <condition> FROM unnest(%(values)b::text[]) WITH ORDINALITY AS given (body, i), "
ASK += "LATERAL (SELECT body::jsonb AS value) AS item ORDER BY i"


def said(conn: psycopg.Connection[Any], filter: dict[str, Any], values: list[dict[str, Any]]) -> list[Any]:
    """What the database says of each value."""
    condition = compiled(parse(filter))
    query = quoted(ASK.replace("<condition>", condition.sql), "public", ())
    texts = [searchable(body_of(value)) for value in values]
    return [row[0] for row in conn.execute(query, {**condition.parameters, "values": texts})]


@settings(max_examples=400)
@given(cases())
def test_every_filter_is_true_or_false_as_the_evaluator_says(case: Case) -> None:
    with psycopg.connect(shared_database(), autocommit=True, prepare_threshold=None) as conn:
        for filter in case.asked:
            tree = parse(filter)
            assert said(conn, filter, case.values) == [matches(tree, value) for value in case.values], filter


TEXTS = st.text(st.sampled_from("\x00\x01\x02\x03\x04ab"), max_size=6)


@settings(max_examples=1000)
@given(TEXTS, TEXTS)
def test_escaped_texts_stand_to_each_other_as_the_texts_do(one: str, other: str) -> None:
    first, second = json_escaped(one), json_escaped(other)
    assert "\x00" not in first
    assert (first < second, first == second) == (one < other, one == other)
    assert (first in second) == (one in other)


@pytest.mark.parametrize("value", [{"a": "\\u0000"}, {"\\": "\\\\u0001"}, {"a\\": {"\\u000b": 1}}])
def test_what_only_looks_like_a_control_character_is_kept(value: dict[str, Any]) -> None:
    filter = {in_filter(name): {"$eq": held} for name, held in value.items()}
    with psycopg.connect(shared_database(), autocommit=True) as conn:
        assert said(conn, filter, [value, {"a": "\x00"}]) == [True, False]


def test_nothing_of_a_filter_stands_in_the_text_of_the_statement() -> None:
    hostile = "') OR true --"
    condition = compiled(parse({hostile: {"$in": [hostile, {hostile: [hostile]}], "$gt": hostile}}))
    assert hostile not in condition.sql
    assert sorted(condition.parameters) == [f"f{i}" for i in range(len(condition.parameters))]
    assert len(condition.parameters) == 5
