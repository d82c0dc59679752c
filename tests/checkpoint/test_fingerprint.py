"""Fingerprints are equal only for elements that are the same in type and content."""

from __future__ import annotations

import datetime
import enum
import itertools
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict, PrivateAttr

from threadkeep.checkpoint.serde.copies import can_rebuild, copier, rebuild
from threadkeep.checkpoint.serde.fingerprint import fingerprint, keep


class Text(str):
    __slots__ = ()


class Colour(enum.StrEnum):
    RED = "red"


class Pair(NamedTuple):
    a: int


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: Any = None
    b: Any = None
    _hidden: int = PrivateAttr(default=0)


LOOK_ALIKES: list[Any] = [
    1, True, 1.0, "1", b"1", 0, False, -0.0, 0.0, None, "", b"", [], {}, [1], [True], [1.0], {"a": 1},
    {"a": True}, {"a": None}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, [[1], 2], [[1, 2]], "red", "[1]",
    2**63, "a\x00", "a",
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(len(LOOK_ALIKES)), 2)))
def test_values_that_look_alike_differ(one: int, other: int) -> None:
    alike = [fingerprint([{"in": [LOOK_ALIKES[i]]}]) for i in (one, other)]
    assert alike[0] is not None
    assert alike[0] != alike[1]


@pytest.mark.parametrize(
    "value",
    [
        (1,), {1}, Text("x"), Colour.RED, Pair(1), OrderedDict(a=1), defaultdict(list), {1: 2}, 2**70,
        object(), "\ud800", datetime.date(2026, 1, 1), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    ],
    ids=repr,
)  # fmt: skip
def test_other_types_have_no_fingerprint(value: Any) -> None:
    assert fingerprint([value]) is None
    assert fingerprint(["a", [value]]) is None
    assert fingerprint([Model(a=value)]) is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(one=st.lists(JSON, max_size=3), other=st.lists(JSON, max_size=3))
def test_equal_fingerprints_mean_equal_values(one: list[Any], other: list[Any]) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (repr(one) == repr(other))


def messages() -> list[Any]:
    return [HumanMessage("a", id="1"), AIMessage("b", id="2"), ToolMessage("c", tool_call_id="t", id="3")]


def edit_content(found: list[Any]) -> None:
    found[1].content = "B"


def edit_nested(found: list[Any]) -> None:
    found[1].additional_kwargs["new"] = 1


def edit_metadata(found: list[Any]) -> None:
    found[0].response_metadata = {"new": 1}


def add_tool_call(found: list[Any]) -> None:
    found[1].tool_calls.append({"name": "f", "args": {}, "id": "x"})


def set_same(found: list[Any]) -> None:
    found[0].name = None


def add_extra(found: list[Any]) -> None:
    found[0].surprise = 1


def other_class(found: list[Any]) -> None:
    found[0] = AIMessage.model_construct(**found[0].__dict__)


@pytest.mark.parametrize(
    "edit", [edit_content, edit_nested, edit_metadata, add_tool_call, set_same, add_extra, other_class]
)
def test_every_change_of_a_message_shows(edit: Any) -> None:
    found = messages()
    before = fingerprint(found)
    assert before is not None
    kept = keep(before)
    assert fingerprint(messages()) == kept
    edit(found)
    assert fingerprint(found) != kept


@pytest.mark.parametrize(
    "elements",
    [
        [],
        [1, True, 1.0, None, "x", {"a": [b"x"]}, -0.0],
        messages(),
        [Model.model_validate({"a": [1], "more": 2}), Model(), Model(b=1)],
    ],
    ids=["nothing", "json", "messages", "models"],
)
def test_equal_elements_are_built_from_a_fingerprint(elements: list[Any]) -> None:
    taken = fingerprint(elements)
    assert taken is not None
    assert can_rebuild(keep(taken))
    built = rebuild(keep(taken))
    assert repr(built) == repr(elements)
    assert fingerprint(built) == keep(taken)
    assert not {id(each) for each in built if isinstance(each, (dict, BaseModel))} & {
        id(each) for each in elements
    }
    for one, other in zip(built, elements, strict=True):
        if isinstance(one, BaseModel):
            assert one == other
            assert one.model_fields_set == other.model_fields_set
            assert one.__dict__ is not other.__dict__
            one.__dict__.update(surprise="later")
    again = rebuild(keep(taken))
    assert repr(again) == repr(elements)


@pytest.mark.parametrize(
    "elements",
    [
        ["a", 1, None, True, 1.5],
        [{"a": "x", "b": [1, {"c": []}]}, {"b": {}, "a": None}, {}],
        [{str(name): [name] for name in range(20)}],
        [["x", []], "y"],
        messages(),
        [Model.model_validate({"a": [1], "more": {"x": []}}), Model(), Model(b={"y": [2]})],
        [AIMessage("x", response_metadata={"usage": {"tokens": [1]}}), HumanMessage([{"type": "text"}])],
    ],
    ids=["scalars", "dicts", "dicts of many lists", "lists", "messages", "models", "nested"],
)
def test_copies_share_nothing_that_can_change(elements: list[Any]) -> None:
    taken = fingerprint(elements)
    assert taken is not None
    copies = copier(keep(taken))
    first = copies()
    assert repr(first) == repr(elements)
    assert fingerprint(first) == keep(taken)
    second = copies()
    assert not changeable(first) & changeable(second)
    for each in second:
        change_all(each)
    assert repr(copies()) == repr(first) == repr(elements)


def changeable(value: Any) -> set[int]:
    """The ids of all that can change in a value."""
    if isinstance(value, BaseModel):
        parts = [value.__dict__, value.__pydantic_extra__, value.__pydantic_private__]
        return {id(value), id(value.__pydantic_fields_set__)}.union(*map(changeable, parts))
    if isinstance(value, (dict, list)):
        inside = value.values() if isinstance(value, dict) else value
        return {id(value)}.union(*map(changeable, inside))
    return set()


def change_all(value: Any) -> None:
    """Change all that can be changed in a value."""
    if isinstance(value, BaseModel):
        change_all(value.__dict__)
        value.__pydantic_fields_set__.add("edited")
    elif isinstance(value, (dict, list)):
        for inside in list(value.values() if isinstance(value, dict) else value):
            change_all(inside)
        if isinstance(value, dict):
            value["edited"] = 1
        else:
            value.append("edited")


class Odd(BaseModel):
    """A model that makes its objects in its own way."""

    a: int = 0

    def __new__(cls, **given: Any) -> Odd:
        return super().__new__(cls)


def test_a_model_that_makes_its_objects_itself_is_not_built() -> None:
    taken = fingerprint([Odd(a=1)])
    assert taken is not None
    assert not can_rebuild(taken)


def test_private_attributes_of_models_count() -> None:
    found = [Model(a=1)]
    before = fingerprint(found)
    assert before is not None
    kept = keep(before)
    found[0]._hidden = 5
    changed = fingerprint(found)
    assert changed is not None
    assert changed != kept
    assert rebuild(keep(changed))[0]._hidden == 5
