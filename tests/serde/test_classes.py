"""Objects of classes that an application allowed: every kind of class, and classes that changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.serde import classes as app
from tests.serde.strict import differences
from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer(allowed_modules=app.REGISTERED)


def again(value: Any) -> Any:
    return SERDE.loads_typed(SERDE.dumps_typed(value))


def objects() -> Iterator[Any]:
    yield from [app.Colour.RED, app.Colour.GREEN, app.Level.HIGH, app.Status.OPEN]
    yield from [app.Rights.READ | app.Rights.WRITE, app.Rights(0)]
    yield from [app.Point(1), app.Point(1, (2, app.Point(3)))]
    yield from [app.Row(name="a", count=1)]
    yield app.Order(1, [app.Order(2), (1,)], Decimal("1.50"))
    yield from [app.Frozen("a", {1: 2}), app.Slotted("a", app.Slotted("b")), app.FrozenSlotted("a", b"x")]
    yield app.Unset("a")
    yield app.Customer(name="a")
    yield app.Customer(
        name="a", since=datetime(2024, 1, 1, tzinfo=UTC), parent=app.Customer(name="b", tags=["x"])
    )
    yield app.Customer.model_construct(name=1, tags=(1,))
    yield app.FrozenModel(point=app.Point(1, 2))
    yield app.Names(["a", "b"])
    yield from [app.IntBox(content=1), app.Box[int](content=2), app.Box(content="x")]
    yield from [app.UserId("u1"), app.Metres(1.5), app.Port(80), app.Digest(b"\x00\xff")]
    yield from [app.Stack([1, (2,)]), app.Config(a=1), app.Unique({1, 2}), app.Fixed({1}), app.Pair((1, [2]))]
    yield from [app.Ordered(b=1, a=2), app.Recent([1, 2], maxlen=None)]
    yield app.Plain("x", loud=True)


@pytest.mark.parametrize("value", list(objects()), ids=lambda value: type(value).__name__)
def test_an_object_comes_back_as_it_was(value: Any) -> None:
    assert differences(value, again(value)) is None
    assert differences({"x": [(value,)]}, again({"x": [(value,)]})) is None


def test_an_enum_member_is_the_member() -> None:
    assert again(app.Colour.GREEN) is app.Colour.GREEN
    assert again({app.Colour.RED: app.Level.LOW}) == {app.Colour.RED: app.Level.LOW}


def test_attributes_that_a_post_init_set_are_kept_and_it_does_not_run_again() -> None:
    order = app.Order(5)
    order.note = "changed"
    order.serial = 9
    loaded = again(order)
    assert (loaded.note, loaded.serial) == ("changed", 9)


def test_a_cached_property_is_computed_anew() -> None:
    value = app.WithCache(4)
    assert value.double() == 8
    loaded = again(value)
    assert vars(loaded) == {"count": 4}
    assert loaded.double() == 8


def test_a_generic_dataclass_comes_back_whatever_its_parameters() -> None:
    assert again([app.Holder[int](1), app.Holder("x")]) == [app.Holder(1), app.Holder("x")]


def test_a_constructor_with_arguments_of_its_own_is_not_called() -> None:
    assert again(app.Plain("x", loud=True)).name == "X"


def test_a_class_may_say_itself_what_its_state_is() -> None:
    loaded = again(app.WithOwnState("a"))
    assert loaded.name == "a"
    assert type(loaded.connection) is object


def test_private_slots_come_back() -> None:
    assert again(app.PrivateSlots(3)).secret == 3


def test_attributes_of_a_derived_string_and_list_come_back() -> None:
    tagged, stack = app.Tagged("x"), app.Stack([1])
    tagged.tag, stack.label = "t", "l"
    assert (again(tagged).tag, again(stack).label) == ("t", "l")


def test_a_registered_exception_comes_back_as_an_exception() -> None:
    loaded = again(app.Refused(3, "late"))
    assert type(loaded) is app.Refused
    assert (loaded.args, loaded.code) == ((3, "late"), 3)


def test_a_model_keeps_what_was_set_extra_fields_and_private_attributes() -> None:
    model = app.Loose(name="abc", more={"a": (1,)})  # type: ignore[call-arg]  # extra fields are allowed
    model._count = 9
    assert model.size == 3
    loaded = again(model)
    assert loaded.model_fields_set == {"name", "more"}
    assert loaded.model_extra == {"more": {"a": (1,)}}
    assert loaded._count == 9
    assert "_unset" not in loaded.__pydantic_private__
    assert vars(loaded) == {"name": "abc"}
    assert again(app.Customer(name="a")).model_dump(exclude_unset=True) == {"name": "a"}


def test_a_model_is_not_validated_again() -> None:
    model = app.Customer(name="a")
    model.name = 5  # type: ignore[assignment]  # what validation would refuse
    assert again(model).name == 5


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.builds(
            app.Customer,
            name=st.text(),
            since=st.none() | st.datetimes(),
            tags=st.lists(st.text(), max_size=3),
        )
        | st.builds(app.Point, x=st.integers(), y=st.text() | st.sampled_from(app.Level))
        | st.builds(app.UserId, st.text()),
        lambda inner: (
            st.builds(app.Order, number=st.integers(), lines=st.lists(inner, max_size=3))
            | st.builds(app.Frozen, name=st.text(), inner=inner)
            | st.builds(app.Slotted, name=st.text(), inner=st.dictionaries(st.integers(), inner, max_size=2))
            | st.builds(app.Box, content=inner)
            | st.lists(inner, max_size=2).map(app.Pair)
        ),
        max_leaves=8,
    )
)
def test_any_tree_of_objects_comes_back_as_it_was(value: Any) -> None:
    assert differences(value, again(value)) is None


# A class that changed between saving and loading


def changed(before: type, after: type) -> tuple[JsonPlusSerializer, JsonPlusSerializer]:
    """Serialisers of a program before and after its class changed under the same name."""
    after.__module__, after.__qualname__ = before.__module__, before.__qualname__
    return JsonPlusSerializer(allowed_modules=[before]), JsonPlusSerializer(allowed_modules=[after])


@dataclasses.dataclass
class Ticket:
    title: str
    old: int = 1


@dataclasses.dataclass
class GrownTicket:
    title: str
    labels: list[str] = dataclasses.field(default_factory=list)
    urgent: bool = False


@dataclasses.dataclass(slots=True)
class SlottedTicket:
    title: str
    urgent: bool = False


@dataclasses.dataclass
class StricterTicket:
    title: str
    owner: str


class Note(BaseModel):
    text: str
    old: int = 1


class GrownNote(BaseModel):
    text: str
    labels: list[str] = []
    urgent: bool = False


class StricterNote(BaseModel):
    text: str
    owner: str


@pytest.mark.parametrize(
    ("value", "after", "expected"),
    [
        (Ticket("a"), GrownTicket, {"title": "a", "labels": [], "urgent": False}),
        (Ticket("a"), SlottedTicket, {"title": "a", "urgent": False}),
        (Note(text="a"), GrownNote, {"text": "a", "labels": [], "urgent": False}),
    ],
)
def test_new_fields_take_their_defaults_and_old_ones_are_dropped(
    value: Any, after: type, expected: dict[str, Any]
) -> None:
    old, new = changed(type(value), type(after.__name__, (after,), {"__slots__": ()}))
    loaded = new.loads(old.dumps(value))
    assert {name: getattr(loaded, name) for name in expected} == expected
    if isinstance(loaded, BaseModel):
        assert loaded.model_dump() == expected
        assert loaded.model_fields_set == {"text"}


@pytest.mark.parametrize(("value", "after"), [(Ticket("a"), StricterTicket), (Note(text="a"), StricterNote)])
def test_a_new_field_without_a_default_is_an_error_that_names_it(value: Any, after: type) -> None:
    old, new = changed(type(value), type(after.__name__, (after,), {}))
    with pytest.raises(
        DeserializationError, match=r"(Ticket|Note) has no 'owner', and the field has no default"
    ):
        new.loads(old.dumps(value))


def test_a_shorter_named_tuple_of_old_takes_defaults() -> None:
    data = SERDE.dumps(app.Point(1, 2))
    name = b"tests.serde.classes:Point"
    shorter = data.replace(b"\x92\x01\x02", b"\x91\x01").replace(
        bytes([0xC7, len(data) - 3]), bytes([0xC7, len(data) - 4])
    )
    assert name in shorter
    assert SERDE.loads(shorter) == app.Point(1, 0)


def test_what_the_classes_own_code_raises_is_the_cause() -> None:
    class Touchy:
        def __getstate__(self) -> Any:
            raise LookupError("not now")

    with pytest.raises(SerializationError, match="not now") as caught:
        JsonPlusSerializer(allowed_modules=[Touchy]).dumps([Touchy()])
    assert isinstance(caught.value.__cause__, LookupError)
