"""What the rows about stores have in common: items in namespaces, and an embedding that costs little."""

from collections.abc import Sequence
from typing import Any

from benchmarks.api import Api

DIMS = 384
NAMESPACES = 100
COLOURS = 100
"""Values of the field that filters ask for: one item in a hundred passes."""


class Embedding:
    """Unit vectors by the number in a text; new lists of floats each time, as from an embedding service."""

    def __init__(self, count: int) -> None:
        import numpy as np

        made = np.random.default_rng(7).standard_normal((count, DIMS), dtype=np.float32)
        made /= np.linalg.norm(made, axis=1)[:, None]
        self.matrix = made

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        made: list[list[float]] = self.matrix[[int(text[: text.index(" ")]) for text in texts]].tolist()
        return made

    def index(self) -> dict[str, Any]:
        return {"dims": DIMS, "embed": self, "fields": ["text"]}


def namespace(number: int) -> tuple[str, ...]:
    return ("memories", f"user-{number % NAMESPACES}")


def value(number: int) -> dict[str, Any]:
    """Of about 100 bytes; colours do not follow namespaces."""
    text = f"{number} is the number of this memory, which somebody may look for"
    return {"text": text, "colour": f"colour-{number // NAMESPACES % COLOURS}", "number": number}


def puts(api: Api, numbers: Sequence[int]) -> list[Any]:
    put = api.module("store.base").PutOp
    return [put(namespace(number), f"key-{number}", value(number)) for number in numbers]
