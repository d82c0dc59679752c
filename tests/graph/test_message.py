"""``add_messages`` and ``MessagesState``: how a chat history takes in new messages."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Annotated, Any, get_type_hints
from uuid import UUID

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from threadkeep.graph import MessageGraph, message
from threadkeep.graph.message import REMOVE_ALL_MESSAGES, MessagesState, add_messages


def human(text: str, id: str | None = None) -> HumanMessage:
    return HumanMessage(text, id=id)


def shown(messages: list[AnyMessage] | list[BaseMessage]) -> list[tuple[str | None, Any]]:
    return [(m.id, m.content) for m in messages]


A, B = human("a", "1"), human("b", "2")


def test_new_messages_go_to_the_end_of_a_new_list() -> None:
    left = [A]
    assert add_messages(left, [B]) == [A, B]
    assert left == [A]


def test_nothing_new_gives_an_equal_list_that_is_not_the_left_one() -> None:
    left = [A]
    result = add_messages(left, [])
    assert result == [A]
    assert result is not left


def test_the_messages_themselves_are_kept_not_copied() -> None:
    result = add_messages([A], [B])
    assert [x is y for x, y in zip(result, [A, B], strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("hi", HumanMessage),
        (("user", "hi"), HumanMessage),
        (("ai", "hi"), AIMessage),
        ({"role": "user", "content": "hi"}, HumanMessage),
        ({"type": "system", "content": "hi"}, SystemMessage),
        (HumanMessage("hi"), HumanMessage),
        (AIMessageChunk(content="hi"), AIMessage),
    ],
)
@pytest.mark.parametrize("single", [True, False], ids=["alone", "in a list"])
def test_every_way_of_writing_a_message_becomes_one(given: Any, kind: type, single: bool) -> None:
    [result] = add_messages([], given if single else [given])
    assert type(result) is kind
    assert result.content == "hi"
    assert UUID(result.id).version == 4


def test_the_left_side_is_coerced_too() -> None:
    assert shown(add_messages(A, B)) == [("1", "a"), ("2", "b")]
    assert [type(m) for m in add_messages([("user", "x"), AIMessageChunk(content="y")], [])] == [
        HumanMessage,
        AIMessage,
    ]


def test_an_id_given_in_a_dict_is_kept() -> None:
    assert shown(add_messages([], [{"role": "user", "content": "hi", "id": "q"}])) == [("q", "hi")]


def test_an_assigned_id_is_set_on_the_object_that_was_passed() -> None:
    old, new = human("old"), human("new")
    result = add_messages([old], [new])
    assert [m.id for m in result] == [old.id, new.id]
    assert old.id is not None
    assert new.id is not None
    assert old.id != new.id


def test_an_empty_id_is_an_id() -> None:
    assert shown(add_messages([], [human("z", "")])) == [("", "z")]


def test_a_message_with_a_known_id_takes_the_place_of_the_old_one() -> None:
    assert shown(add_messages([A, B], [human("c", "1"), human("d", "3")])) == [
        ("1", "c"),
        ("2", "b"),
        ("3", "d"),
    ]


def test_the_last_of_several_new_messages_with_one_id_wins() -> None:
    new = [human("c", "1"), human("d", "1"), human("e", "3"), human("f", "3")]
    assert shown(add_messages([A, B], new)) == [("1", "d"), ("2", "b"), ("3", "f")]


def test_a_replacement_may_be_of_another_kind() -> None:
    result = add_messages([AIMessage("x", id="1")], [ToolMessage("r", tool_call_id="t", id="1")])
    assert result == [ToolMessage("r", tool_call_id="t", id="1")]


def test_where_the_old_list_repeats_an_id_its_last_message_is_replaced_and_a_removal_drops_all() -> None:
    repeated: list[Any] = [human("x", "1"), human("y", "1")]
    assert shown(add_messages(repeated, [human("z", "1")])) == [("1", "x"), ("1", "z")]
    assert add_messages(repeated, [RemoveMessage(id="1")]) == []


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ([RemoveMessage(id="1")], [("2", "b")]),
        ([RemoveMessage(id="1"), RemoveMessage(id="1")], [("2", "b")]),
        ([RemoveMessage(id="1"), human("z", "1")], [("1", "z"), ("2", "b")]),
        ([human("z", "1"), RemoveMessage(id="1")], [("2", "b")]),
        ([human("z", "5"), RemoveMessage(id="5")], [("1", "a"), ("2", "b")]),
        ([human("z", "5"), RemoveMessage(id="5"), human("y", "5")], [("1", "a"), ("2", "b"), ("5", "y")]),
    ],
)
def test_removals_and_additions_apply_in_the_order_they_are_given(
    new: list[Any], expected: list[Any]
) -> None:
    assert shown(add_messages([A, B], new)) == expected


def test_removing_an_unknown_id_is_refused() -> None:
    with pytest.raises(ValueError, match="'9'"):
        add_messages([A], [RemoveMessage(id="9")])
    with pytest.raises(ValueError, match="'9'"):
        add_messages([], RemoveMessage(id="9"))


def test_remove_all_keeps_only_what_follows_its_last_occurrence() -> None:
    everything = RemoveMessage(id=REMOVE_ALL_MESSAGES)
    assert add_messages([A, B], [everything]) == []
    assert shown(add_messages([A], [human("q", "q"), everything, human("z", "5")])) == [("5", "z")]
    assert shown(add_messages([A], [everything, human("z", "5"), everything, human("y", "6")])) == [
        ("6", "y")
    ]


def test_remove_all_may_be_written_as_a_dict() -> None:
    assert add_messages([A], [{"role": "remove", "content": "", "id": REMOVE_ALL_MESSAGES}]) == []


def test_a_missing_side_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'left' is None"):
        add_messages(right=[A])  # type: ignore[call-overload]  # the mistake under test
    with pytest.raises(ValueError, match="'right' is None"):
        add_messages([], None)  # type: ignore[call-overload]  # the mistake under test


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="int"):
        add_messages([], [5])  # type: ignore[list-item]  # the mistake under test
    with pytest.raises(ValueError, match="bogus"):
        add_messages([], [("bogus", "x")])


BLOCKS: list[Any] = [
    {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
    {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "1234"}},
]


def test_the_openai_format_rewrites_content_and_keeps_ids() -> None:
    reducer = add_messages(format="langchain-openai")
    result = reducer([HumanMessage(BLOCKS, id="1")], [AIMessage("x", id="2")])
    assert result == [
        HumanMessage(
            [
                {"type": "text", "text": "Hi"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,1234"}},
            ],
            id="1",
        ),
        AIMessage("x", id="2"),
    ]


def test_a_reducer_without_a_format_is_the_plain_one() -> None:
    assert add_messages()([A], [B]) == [A, B]
    assert add_messages(format=None)([A], [B]) == [A, B]


def test_an_unknown_format_or_option_is_refused_when_it_is_named() -> None:
    with pytest.raises(ValueError, match="bogus"):
        add_messages(format="bogus")  # type: ignore[call-overload]  # the mistake under test
    with pytest.raises(TypeError, match="bogus"):
        add_messages([], [], bogus=1)  # type: ignore[call-overload]  # the mistake under test


def test_a_long_history_is_neither_coerced_nor_copied_message_by_message() -> None:
    history: list[Any] = [human(str(n), str(n)) for n in range(1000)]
    result = add_messages(history, [human("new", "new")])
    assert len(result) == 1001
    assert all(x is y for x, y in zip(result, history, strict=False))


def test_messages_state_names_its_reducer_and_element_type() -> None:
    assert get_type_hints(MessagesState, include_extras=True) == {
        "messages": Annotated[list[AnyMessage], add_messages]
    }
    assert MessagesState.__module__ == "threadkeep.graph.message"
    assert message.MessagesState is MessagesState


def test_messages_state_can_be_extended() -> None:
    class Extended(MessagesState):
        turns: int

    hints = get_type_hints(Extended, include_extras=True)
    assert list(hints) == ["messages", "turns"]
    assert hints["messages"] == Annotated[list[AnyMessage], add_messages]


def test_an_unknown_name_of_the_module_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        message.Nope  # type: ignore[attr-defined]  # noqa: B018  # the mistake under test


def test_the_older_message_graph_passes_a_list_of_messages_and_says_that_it_is_older() -> None:
    with pytest.warns(DeprecationWarning, match=r"use StateGraph\(MessagesState\)"):
        builder = message.MessageGraph()
    builder.add_node("reply", lambda messages: ("ai", messages[-1].content + "!"))
    builder.set_entry_point("reply")
    builder.set_finish_point("reply")
    result = builder.compile().invoke("hi")
    assert [(type(m), m.content) for m in result] == [(HumanMessage, "hi"), (AIMessage, "hi!")]
    assert MessageGraph is message.MessageGraph


def in_a_fresh_process(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_importing_the_module_loads_no_langchain() -> None:
    assert (
        in_a_fresh_process(
            """
            import sys
            import threadkeep.graph.message
            print(sorted(m for m in sys.modules if m.startswith(("langchain", "langsmith", "pydantic"))))
            """
        )
        == "[]"
    )


@pytest.mark.parametrize("use", ["m.add_messages([], 'hi')", "m.MessagesState"])
def test_without_langchain_the_error_names_the_extra(use: str) -> None:
    assert (
        in_a_fresh_process(
            f"""
            import sys
            sys.modules["langchain_core"] = None  # what an import finds where the package is missing
            import threadkeep.graph.message as m
            try:
                {use}
            except ImportError as error:
                print(error)
            """
        )
        == "A state of chat messages needs langchain-core, which is not installed. "
        'Install the extra: pip install "threadkeep-core[langchain]"'
    )
