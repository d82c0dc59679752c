"""Closed by default: what is not allowed is refused when saving and when loading, with the remedy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import ormsgpack
import pytest

from tests.serde import classes as app
from threadkeep.checkpoint.serde.base import DeserializationError, SerializationError
from threadkeep.checkpoint.serde.jsonplus import InvalidModuleError, JsonPlusSerializer, register

CLOSED = JsonPlusSerializer()
OPEN = JsonPlusSerializer(allowed_modules=["tests.serde.classes"])
ORDER = app.Order(1)


@dataclass
class Outer:
    @dataclass
    class Inner:
        value: int = 1


def test_saving_a_class_that_is_not_allowed_names_it_the_remedies_and_the_place() -> None:
    with pytest.raises(SerializationError) as caught:
        CLOSED.dumps_typed({"open": [1, (app.Frozen("a", ORDER),)]})
    assert str(caught.value) == (
        "tests.serde.classes.Frozen is not on the allow-list. Allow it with"
        " threadkeep.checkpoint.serde.jsonplus.register(Frozen), or for one serialiser with"
        " JsonPlusSerializer(allowed_modules=[Frozen]). It stands at value['open'][1][0]."
    )
    assert caught.value.type_name == "tests.serde.classes.Frozen"


def test_the_place_leads_through_objects() -> None:
    serde = JsonPlusSerializer(allowed_modules=[app.Frozen, app.Customer])
    model = app.Customer(name="a")
    model.tags = [app.Frozen("b", [ORDER])]  # type: ignore[list-item]  # to look through a model
    with pytest.raises(SerializationError, match=r"It stands at value\[0\]\.tags\[0\]\.inner\[0\]\."):
        serde.dumps([model])


def test_loading_a_class_that_is_not_allowed_names_it_and_the_remedies() -> None:
    with pytest.raises(InvalidModuleError) as caught:
        CLOSED.loads_typed(OPEN.dumps_typed([ORDER]))
    assert isinstance(caught.value, DeserializationError)
    assert caught.value.type_name == "tests.serde.classes:Order"
    assert str(caught.value) == (
        "The data holds a tests.serde.classes.Order, which is not on the allow-list. Allow it with"
        " threadkeep.checkpoint.serde.jsonplus.register(Order), or for one serialiser with"
        " JsonPlusSerializer(allowed_modules=[Order])."
    )


@pytest.mark.parametrize(
    "value",
    [app.Colour.RED, app.Level.LOW, app.Status.OPEN, app.Point(1), app.Plain("x", loud=False),
    app.Stack(), app.Config(),
     app.Unique(), app.Pair(), app.Customer(name="a"), object(), print, len, lambda: 1, int, sys,
     iter([]), (_ for _ in [1]),
     memoryview(b"x"), NotImplemented, ..., slice(1), open],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_everything_else_is_refused(value: Any) -> None:
    for whole in (value, [value], {"a": (value,)}):
        with pytest.raises(SerializationError):
            CLOSED.dumps_typed(whole)


@pytest.mark.parametrize(
    ("value", "plain"),
    [(app.UserId("u"), "u"), (app.Port(80), 80), (app.Metres(1.5), 1.5), (app.Digest(b"x"), b"x")],
)
def test_a_derived_scalar_that_is_not_registered_is_saved_as_the_plain_value(value: Any, plain: Any) -> None:
    for whole, expected in ((value, plain), ([value], [plain]), ({value: 1}, {plain: 1})):
        loaded = CLOSED.loads_typed(CLOSED.dumps_typed(whole))
        assert loaded == expected
        inner = next(iter(loaded)) if isinstance(loaded, (list, dict)) else loaded
        assert type(inner) is type(plain)


@pytest.mark.parametrize(
    "entry",
    [
        app.Order,
        "tests.serde.classes",
        ("tests.serde.classes", "Order"),
        ("tests", "serde", "classes", "Order"),
    ],
)
def test_a_class_is_allowed_by_itself_by_its_module_or_by_its_name(entry: Any) -> None:
    for serde in (
        JsonPlusSerializer(allowed_modules=[entry]),
        JsonPlusSerializer(allowed_msgpack_modules=[entry]),
        JsonPlusSerializer(allowed_json_modules=[entry]),
        CLOSED.with_msgpack_allowlist([entry]),
    ):
        assert serde.loads_typed(serde.dumps_typed(ORDER)) == ORDER


def test_a_name_allows_no_other_class_and_a_module_no_other_module() -> None:
    with pytest.raises(SerializationError):
        JsonPlusSerializer(allowed_modules=[("tests.serde.classes", "Point")]).dumps(ORDER)
    for module in ("tests", "tests.serde", "tests.serde.classes.Order", "classes"):
        with pytest.raises(SerializationError):
            JsonPlusSerializer(allowed_modules=[module]).dumps(ORDER)


@pytest.mark.parametrize("name", ["Inner", "Outer.Inner"])
def test_a_nested_class_is_allowed_by_either_name(name: str) -> None:
    serde = JsonPlusSerializer(allowed_modules=[(__name__, name)])
    assert JsonPlusSerializer(allowed_modules=[(__name__, name)]).loads(
        serde.dumps(Outer.Inner(3))
    ) == Outer.Inner(3)


def test_a_module_allows_only_what_it_defines_itself() -> None:
    serde = JsonPlusSerializer(allowed_modules=[__name__])
    with pytest.raises(SerializationError):
        serde.dumps(ORDER)
    imported = OPEN.dumps(ORDER).replace(b"tests.serde.classes:Order", b"tests.serde.test_allowlis")
    with pytest.raises(InvalidModuleError):
        serde.loads(imported)


def test_an_extended_serialiser_leaves_the_first_as_it_was() -> None:
    first = JsonPlusSerializer(allowed_modules=[app.Point])
    second = first.with_msgpack_allowlist([app.Order])
    assert second.loads(second.dumps([app.Point(1), ORDER])) == [app.Point(1), ORDER]
    with pytest.raises(SerializationError):
        first.dumps(ORDER)


def test_classes_that_need_no_entry_are_ignored_in_a_list() -> None:
    serde = JsonPlusSerializer(allowed_modules=[int, str, dict, type(None), app.Row, set, tuple, object])
    assert serde.loads(serde.dumps({"a": (1,)})) == {"a": (1,)}
    with pytest.raises(SerializationError):
        serde.dumps(object())


def test_true_allows_every_class_of_a_loaded_module_and_imports_none() -> None:
    serde = JsonPlusSerializer(allowed_msgpack_modules=True)
    assert serde.loads(serde.dumps(ORDER)) == ORDER
    data = serde.dumps(ORDER).replace(b"tests.serde.classes:Order", b"xml.dom.expatbuilder:Node")
    assert "xml.dom.expatbuilder" not in sys.modules
    with pytest.raises(InvalidModuleError):
        serde.loads(data)
    assert "xml.dom.expatbuilder" not in sys.modules


def test_true_does_not_allow_what_is_more_than_data() -> None:
    serde = JsonPlusSerializer(allowed_msgpack_modules=True)
    with pytest.raises(SerializationError):
        serde.dumps(app.Plain("x", loud=False))
    popen = ormsgpack.packb(ormsgpack.Ext(32, ormsgpack.packb(["subprocess:Popen", {"args": "x"}])))
    with pytest.raises(InvalidModuleError):
        serde.loads(popen)


def test_a_class_registered_anew_is_saved_the_new_way_by_older_serialisers() -> None:
    @dataclass
    class Changing:
        value: int

    register(Changing)
    assert CLOSED.loads(CLOSED.dumps(Changing(1))) == Changing(1)
    register(Changing, to_state=lambda it: it.value, from_state=lambda value: Changing(value + 1))
    assert CLOSED.loads(CLOSED.dumps(Changing(1))) == Changing(2)


def test_a_registered_class_is_allowed_everywhere_and_at_once() -> None:
    class Late:
        def __init__(self, value: int) -> None:
            self.value = value

    serde = JsonPlusSerializer()
    with pytest.raises(SerializationError):
        serde.dumps(Late(1))
    assert register(Late) is Late
    assert serde.loads(serde.dumps(Late(2))).value == 2


def test_register_is_a_decorator_with_and_without_arguments() -> None:
    @register
    @dataclass
    class One:
        value: int

    @register(name="app/two")
    @dataclass
    class Two:
        value: int

    data = CLOSED.dumps([One(1), Two(2)])
    assert CLOSED.loads(data) == [One(1), Two(2)]
    assert b"app/two" in data


def test_register_takes_functions_for_the_state() -> None:
    class Money:
        def __init__(self, cents: int) -> None:
            self.cents = cents

    register(Money, to_state=lambda money: (money.cents, "EUR"), from_state=lambda state: Money(state[0]))
    assert CLOSED.loads(CLOSED.dumps({"x": Money(5)}))["x"].cents == 5


def test_registering_a_class_again_under_its_name_replaces_it() -> None:
    def cell() -> Any:
        @register(name="notebook/Cell")
        @dataclass
        class Cell:
            value: int

        return Cell

    first = cell()
    data = CLOSED.dumps(first(1))
    assert type(CLOSED.loads(data)) is first
    second = cell()
    assert type(CLOSED.loads(data)) is second


@pytest.mark.parametrize("wrong", [print, "Order", ORDER, list[int]])
def test_register_takes_only_classes(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"register\(\) takes a class"):
        register(wrong)


def test_register_takes_both_functions_or_neither() -> None:
    with pytest.raises(TypeError, match="give both or neither"):
        register(app.Order, to_state=lambda order: order.number)


def test_built_in_classes_keep_their_own_form_whatever_the_list_says() -> None:
    import numpy as np
    from langchain_core.messages import HumanMessage

    lists: list[Any] = [
        [HumanMessage, np.ndarray, np.float64],
        ["langchain_core.messages.human", "numpy"],
        [("langchain_core.messages.human", "HumanMessage"), ("numpy", "ndarray")],
    ]
    for value in (HumanMessage("x", id="1"), np.arange(3), np.float64(1)):
        for entries in lists:
            assert JsonPlusSerializer(allowed_modules=entries).dumps(value) == CLOSED.dumps(value)


def test_a_generic_model_with_its_parameters_is_allowed_with_the_model() -> None:
    for entry in (app.Box, ("tests.serde.classes", "Box"), "tests.serde.classes"):
        serde = JsonPlusSerializer(allowed_modules=[entry])
        data = serde.dumps(app.IntBox(content=1))
        assert JsonPlusSerializer(allowed_modules=[entry]).loads(data) == app.IntBox(content=1)
        assert type(JsonPlusSerializer(allowed_modules=[entry]).loads(data)) is app.IntBox
        with pytest.raises(DeserializationError):
            CLOSED.loads(data)
