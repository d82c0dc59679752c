"""LangChain's messages and documents: allowed from the start, small, no reason to import LangChain."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import langchain_core.messages as lc
import pytest
from langchain_core.agents import AgentAction, AgentFinish
from langchain_core.documents import Document
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.prompt_values import ChatPromptValue
from langchain_core.runnables.utils import AddableDict

from tests.serde.strict import differences
from threadkeep.checkpoint.serde import langchain
from threadkeep.checkpoint.serde.base import SerializationError
from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer

SERDE = JsonPlusSerializer()
CALL: Any = {"name": "search", "args": {"q": "x", "n": 2**70}, "id": "call-1", "type": "tool_call"}
CHUNK: Any = {"name": "f", "args": "{", "id": "1", "index": 0, "type": "tool_call_chunk"}
USAGE: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}


def messages() -> list[Any]:
    return [
        lc.HumanMessage("hi"),
        lc.HumanMessage("hi", id="1", name="Ann"),
        lc.HumanMessage("", id=""),
        lc.HumanMessage([{"type": "text", "text": "a"}, "b"], id="1"),
        lc.HumanMessage("hi", additional_kwargs={"raw": (1, {2})}, response_metadata={"at": b"x"}),
        lc.HumanMessage("hi", another="field", id="1"),
        lc.HumanMessage("hi", id="1", additional_kwargs={}, name=None),
        lc.AIMessage("yes"),
        lc.AIMessage("", tool_calls=[CALL], usage_metadata=USAGE, id="1", response_metadata={"model": "m"}),
        lc.AIMessage("", tool_calls=[], invalid_tool_calls=[], id="1"),
        lc.AIMessage("yes\ud800 no", id="1"),
        lc.SystemMessage("be kind"),
        lc.ToolMessage("42", tool_call_id="call-1", artifact={"bytes": bytearray(b"x")}, status="error"),
        lc.ToolMessage("42", tool_call_id="call-1"),
        lc.FunctionMessage(content="42", name="f"),
        lc.ChatMessage(content="hm", role="critic"),
        lc.RemoveMessage(id="1"),
        lc.BaseMessage("x", type="own"),
        lc.AIMessageChunk(content="y", tool_call_chunks=[CHUNK]),
        lc.AIMessageChunk(content="y", chunk_position="last"),
        lc.HumanMessageChunk(content="y"),
        lc.SystemMessageChunk(content="y"),
        lc.ToolMessageChunk(content="y", tool_call_id="1"),
        lc.FunctionMessageChunk(content="y", name="f"),
        lc.ChatMessageChunk(content="y", role="r"),
        lc.BaseMessageChunk(content="y", type="t"),
        lc.AIMessage("text").text,
        Document("page", metadata={"source": ("a", 1)}, id="d"),
        ChatPromptValue(messages=[lc.HumanMessage("x")]),
        Generation(text="t"),
        ChatGeneration(message=lc.AIMessage("x")),
        AgentAction("tool", "input", "log"),
        AgentFinish({"output": 1}, "log"),
        AddableDict(a=1),
    ]


@pytest.mark.parametrize("value", messages(), ids=lambda value: f"{type(value).__name__}")
def test_a_message_comes_back_as_it_was(value: Any) -> None:
    loaded = SERDE.loads_typed(SERDE.dumps_typed(value))
    assert differences(value, loaded) is None
    assert loaded == value
    if hasattr(value, "model_dump"):
        assert loaded.model_dump(exclude_unset=True) == value.model_dump(exclude_unset=True)
        assert list(vars(loaded)) == list(vars(value))


def test_a_conversation_comes_back_as_it_was() -> None:
    conversation = {"messages": messages(), "summary": "x"}
    assert differences(conversation, SERDE.loads(SERDE.dumps(conversation))) is None


def test_a_loaded_message_behaves_like_the_one_saved() -> None:
    loaded = SERDE.loads(SERDE.dumps(lc.AIMessageChunk(content="a", id="1"))) + lc.AIMessageChunk(
        content="b", id="1"
    )
    assert loaded.content == "ab"
    first, second = (SERDE.loads(SERDE.dumps(lc.AIMessage("x"))) for _ in range(2))
    first.tool_calls.append(CALL)
    first.response_metadata["a"] = 1
    assert (second.tool_calls, second.response_metadata) == ([], {})
    first.id = "new"
    assert first.model_fields_set == {"content", "id"}


def test_attributes_set_past_the_model_are_kept() -> None:
    message = lc.AIMessage("x", id="1")
    vars(message)["name"] = "set"
    vars(message)["tool_calls"] = ()
    loaded = SERDE.loads(SERDE.dumps(message))
    assert differences(message, loaded) is None
    assert loaded.model_fields_set == {"content", "id"}


@pytest.mark.parametrize("kind", [lc.HumanMessage, lc.AIMessage, lc.SystemMessage])
def test_a_message_of_a_kilobyte_takes_at_most_80_bytes_more_than_its_text(kind: Any) -> None:
    text = "x" * 1024
    message = kind(text, id="12345678-1234-5678-1234-567812345678")
    assert len(SERDE.dumps(message)) - len(text) == 57


def test_equal_messages_make_equal_bytes() -> None:
    one, other = lc.AIMessage("x", id="1"), lc.AIMessage(id="1", content="x")
    assert SERDE.dumps(one) == SERDE.dumps(other)


def test_a_class_derived_from_a_message_needs_an_entry() -> None:
    class Mine(lc.HumanMessage):
        mood: str = "good"

    mine = Mine(content="x", mood="bad")
    with pytest.raises(SerializationError, match=r"Mine is not on the allow-list"):
        SERDE.dumps([mine])
    serde = JsonPlusSerializer(allowed_modules=[Mine])
    assert differences(mine, serde.loads(serde.dumps(mine))) is None


def test_a_class_that_only_has_the_name_of_a_message_is_not_taken_for_one() -> None:
    fake = type("HumanMessage", (), {"__module__": "langchain_core.messages.human"})
    with pytest.raises(SerializationError):
        SERDE.dumps(fake())


def test_every_class_of_the_table_exists_and_has_a_number_that_stays() -> None:
    for module, name in langchain.CLASSES.values():
        __import__(module)
        assert isinstance(getattr(sys.modules[module], name), type)
    assert [name for _, name in langchain.CLASSES.values()][:8] == [
        "HumanMessage", "AIMessage", "SystemMessage", "ToolMessage", "FunctionMessage", "ChatMessage",
        "RemoveMessage", "BaseMessage",
    ]  # fmt: skip
    assert list(langchain.CLASSES) == list(range(27))


def test_all_message_classes_of_langchain_are_in_the_table() -> None:
    known = {name for _, name in langchain.CLASSES.values()}
    exported = {
        name
        for name in lc.__all__
        if isinstance(getattr(lc, name), type) and issubclass(getattr(lc, name), lc.BaseMessage)
    }
    assert exported <= known


def test_saving_and_loading_plain_values_imports_nothing_heavy() -> None:
    code = (
        "import sys; from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer as J;"
        "s = J(); s.loads(s.dumps([(1,), {'a': {2}}]));"
        "heavy = {'langchain_core', 'pydantic', 'numpy', 'pickle', 'json', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_message_met_in_stored_bytes_imports_langchain_then() -> None:
    data = SERDE.dumps([lc.HumanMessage("hi", id="1")])
    code = (
        "import sys; from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer as J;"
        f"(message,) = J().loads({data!r}); print(message.content, type(message).__name__)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "hi HumanMessage\n"
