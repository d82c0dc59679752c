"""LangChain's message and document classes: part of the allow-list from the start, without being imported.

A class is looked up in the table below, by name when it is met in a value, by number when it is met in stored
bytes; only then, and only from this table, is its module imported. Each has an extension code of its own; the
data is the state of the object (see `classes`), a list or dict. Numbers are part of the stored form.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final

from ormsgpack import Ext

from threadkeep.checkpoint.serde.base import DeserializationError
from threadkeep.checkpoint.serde.classes import Codec, codec_of, name_of
from threadkeep.checkpoint.serde.models import is_model, model_functions
from threadkeep.checkpoint.serde.wire import Decoder, Encoder, Pack, Unpack

__all__ = ["LANGCHAIN_DECODERS", "langchain_encoder"]

FIRST_CODE: Final = 64

CLASSES: Final[Mapping[int, tuple[str, str]]] = {
    0: ("langchain_core.messages", "HumanMessage"),
    1: ("langchain_core.messages", "AIMessage"),
    2: ("langchain_core.messages", "SystemMessage"),
    3: ("langchain_core.messages", "ToolMessage"),
    4: ("langchain_core.messages", "FunctionMessage"),
    5: ("langchain_core.messages", "ChatMessage"),
    6: ("langchain_core.messages", "RemoveMessage"),
    7: ("langchain_core.messages", "BaseMessage"),
    8: ("langchain_core.messages", "HumanMessageChunk"),
    9: ("langchain_core.messages", "AIMessageChunk"),
    10: ("langchain_core.messages", "SystemMessageChunk"),
    11: ("langchain_core.messages", "ToolMessageChunk"),
    12: ("langchain_core.messages", "FunctionMessageChunk"),
    13: ("langchain_core.messages", "ChatMessageChunk"),
    14: ("langchain_core.messages", "BaseMessageChunk"),
    15: ("langchain_core.messages.base", "TextAccessor"),
    16: ("langchain_core.documents", "Document"),
    17: ("langchain_core.prompt_values", "StringPromptValue"),
    18: ("langchain_core.prompt_values", "ChatPromptValue"),
    19: ("langchain_core.outputs", "Generation"),
    20: ("langchain_core.outputs", "GenerationChunk"),
    21: ("langchain_core.outputs", "ChatGeneration"),
    22: ("langchain_core.outputs", "ChatGenerationChunk"),
    23: ("langchain_core.agents", "AgentAction"),
    24: ("langchain_core.agents", "AgentActionMessageLog"),
    25: ("langchain_core.agents", "AgentFinish"),
    26: ("langchain_core.runnables.utils", "AddableDict"),
}

_NUMBERS = {name: number for number, (_, name) in CLASSES.items()}
_codecs: dict[int, Codec] = {}


def langchain_encoder(cls: type) -> Encoder | None:
    """The encoder for *cls* if it is one of the table's classes."""
    if not cls.__module__.startswith("langchain_core."):
        return None
    number = _NUMBERS.get(cls.__name__)
    if number is None:
        return None
    module, name = CLASSES[number]
    if getattr(sys.modules.get(module), name, None) is not cls:
        return None
    code, dump = FIRST_CODE + number, _codec(number).dump

    def encode(value: Any, pack: Pack) -> Ext:
        return Ext(code, pack(dump(value)))

    return encode


def _decoder(number: int) -> Decoder:
    def decode(data: bytes, unpack: Unpack) -> Any:
        codec = _codecs.get(number) or _codec(number)
        return codec.load(unpack(data))

    return decode


def _codec(number: int) -> Codec:
    if number not in _codecs:
        module, name = CLASSES[number]
        cls = _imported(module, name)
        if is_model(cls):
            _codecs[number] = Codec(cls, name_of(cls), *model_functions(cls, omit_defaults=True))
        else:
            _codecs[number] = codec_of(cls)
    return _codecs[number]


def _imported(module: str, name: str) -> type:
    try:
        cls: type = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeserializationError(
            f"the data holds a {module}.{name}: install langchain-core to load it",
            type_name=f"{module}:{name}",
        ) from error
    return cls


LANGCHAIN_DECODERS: Final = {FIRST_CODE + number: _decoder(number) for number in CLASSES}
