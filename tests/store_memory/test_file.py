"""`save` and `load`: what comes back, what happens to a file that is none, that a crash leaves the old."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threadkeep.checkpoint.serde.jsonplus import JsonPlusSerializer
from threadkeep.errors import ForeignFileError, SchemaVersionError, StorageError
from threadkeep.store.memory import InMemoryStore, MemoryIndexConfig

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
asked: list[str] = []


def embed(texts: Sequence[str]) -> list[list[float]]:
    asked.extend(texts)
    return [[float(len(text)), 1.0, float(text.count("a"))] for text in texts]


INDEX: MemoryIndexConfig = {"dims": 3, "embed": embed, "fields": ["text", "more[*]"]}


def filled() -> InMemoryStore:
    store = InMemoryStore(INDEX)
    store._now = lambda: NOON
    store.put(("u", "ana"), "1", {"text": "a house", "more": ["by", "the sea"], "n": 2**70, "x": None})
    store.put(("u", "bob"), "1", {"text": "nul \0 and ünïcode", "deep": {"list": [1.5, True, {}]}}, ttl=10)
    store.put(("u", "bob"), "2", {"text": "not found by words"}, index=False)
    store.put(("u", "bob"), "3", {"text": "gone"})
    store.delete(("u", "bob"), "3")
    return store


def rewritten(path: Path, body: bytes, version: int = 1) -> None:
    header = b"threadkeep store" + version.to_bytes(4, "little")
    path.write_bytes(header + blake2b(body, digest_size=16).digest() + body)


def saved_as(path: Path, content: Any) -> None:
    tag, body = JsonPlusSerializer().dumps_typed(content)
    rewritten(path, tag.encode() + b"\0" + body)


def test_a_loaded_store_is_the_saved_one_and_nothing_is_embedded_for_it(tmp_path: Path) -> None:
    store = filled()
    store.save(tmp_path / "memory")
    asked.clear()
    other = InMemoryStore(INDEX)
    other._now = lambda: NOON
    other.put(("replaced",), "k", {})
    other.load(tmp_path / "memory")
    assert other.list_namespaces() == [("u", "ana"), ("u", "bob")]
    assert other.search(()) == store.search(())
    assert asked == []
    for mode in ("semantic", "lexical", "hybrid"):
        found = other.search((), query="house by words", mode=mode)
        assert found == store.search((), query="house by words", mode=mode)
        assert [item.key for item in found if item.namespace == ("u", "bob")] == (
            ["1"] if mode != "lexical" else []
        )
    other._now = lambda: NOON + timedelta(minutes=10)
    assert other.get(("u", "bob"), "1") is None
    assert other.sweep_ttl() == 1


def test_a_loaded_store_does_not_embed_unchanged_text_again(tmp_path: Path) -> None:
    filled().save(tmp_path / "memory")
    other = InMemoryStore(INDEX)
    other.load(tmp_path / "memory")
    asked.clear()
    other.put(("u", "ana"), "1", {"text": "a house", "more": ["by", "a lake"]})
    assert asked == ["a lake"]


def test_long_vectors_are_ranked_after_loading_as_before(tmp_path: Path) -> None:
    rows = np.random.default_rng(5).standard_normal((400, 64)).astype(np.float32) + 1000

    def embedding(texts: Sequence[str]) -> Any:
        return rows[[int(text) for text in texts]]

    for distance in ("l2", "inner_product"):
        index: Any = {"dims": 64, "embed": embedding, "fields": ["n"], "distance_type": distance}
        store, other = InMemoryStore(index), InMemoryStore(index)
        for number in range(400):
            store.put(("u",), f"{number}", {"n": number})
        store.save(tmp_path / "memory")
        other.load(tmp_path / "memory")
        for query in range(20):
            found = other.search((), query=f"{query}", limit=5)
            assert found == store.search((), query=f"{query}", limit=5)
            best = np.argsort(scores(distance, rows, rows[query]), kind="stable")[:5]
            assert [item.key for item in found] == [f"{number}" for number in best]


def scores(distance: str, rows: Any, query: Any) -> Any:
    """Lower is better."""
    wide, to = rows.astype(np.float64), query.astype(np.float64)
    return ((wide - to) ** 2).sum(axis=1) if distance == "l2" else -(wide * to).sum(axis=1)


def test_saving_does_not_disturb_the_store(tmp_path: Path) -> None:
    store = filled()
    before = store.search((), query="a house")
    store.save(tmp_path / "memory")
    store.save(tmp_path / "memory")
    assert store.search((), query="a house") == before
    assert os.listdir(tmp_path) == ["memory"]


def test_a_store_without_an_index_keeps_the_items_of_one_that_had_it(tmp_path: Path) -> None:
    filled().save(tmp_path / "memory")
    plain = InMemoryStore()
    plain.load(tmp_path / "memory")
    assert [item.key for item in plain.search(())] == ["1", "2"]
    plain.save(tmp_path / "plain")
    indexed = InMemoryStore(INDEX)
    indexed.load(tmp_path / "plain")
    assert [item.key for item in indexed.search(())] == ["1", "2"]
    assert indexed.search((), query="house") == []


def test_an_empty_store_can_be_saved(tmp_path: Path) -> None:
    InMemoryStore(INDEX).save(tmp_path / "memory")
    store = filled()
    store.load(tmp_path / "memory")
    assert store.search(()) == []
    assert store.search((), query="house") == []


def test_vectors_of_another_index_are_refused_and_the_store_stays(tmp_path: Path) -> None:
    filled().save(tmp_path / "memory")
    other = InMemoryStore({**INDEX, "distance_type": "l2"})
    other.put(("kept",), "k", {})
    with pytest.raises(
        ValueError, match=r"holds vectors of \('cosine', 3\), but the index is of \('l2', 3\)"
    ):
        other.load(tmp_path / "memory")
    assert other.list_namespaces() == [("kept",)]


class Hidden(JsonPlusSerializer):
    """Writes what cannot be read without it."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        tag, data = super().dumps_typed(obj)
        return f"hidden {tag}", bytes(byte ^ 0x5A for byte in data)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        return super().loads_typed((data[0].removeprefix("hidden "), bytes(byte ^ 0x5A for byte in data[1])))


def test_a_file_of_another_serialiser_needs_it(tmp_path: Path) -> None:
    filled().save(tmp_path / "memory", serde=Hidden())
    assert b"house" not in (tmp_path / "memory").read_bytes()
    other = InMemoryStore(INDEX)
    with pytest.raises(StorageError, match="does not hold a store that this serialiser reads"):
        other.load(tmp_path / "memory")
    other.load(tmp_path / "memory", serde=Hidden())
    assert len(other.search(())) == 2


def test_a_file_of_something_else_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ForeignFileError, match=r"memory is not a file that InMemoryStore\.save wrote"):
        InMemoryStore().load(tmp_path / "memory")


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    rewritten(tmp_path / "memory", b"msgpack\0", version=2)
    with pytest.raises(SchemaVersionError, match="has version 2 of the format; this library reads up to 1"):
        InMemoryStore().load(tmp_path / "memory")


@pytest.mark.parametrize("keep", [16, 20, 36, 60, -1])
def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path, keep: int) -> None:
    filled().save(tmp_path / "memory")
    data = (tmp_path / "memory").read_bytes()
    (tmp_path / "memory").write_bytes(data[:keep])
    with pytest.raises((StorageError), match="is damaged: it is cut short, or its bytes have changed"):
        InMemoryStore(INDEX).load(tmp_path / "memory")


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    filled().save(tmp_path / "memory")
    data = bytearray((tmp_path / "memory").read_bytes())
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 0x41
        (tmp_path / "memory").write_bytes(changed)
        with pytest.raises(StorageError):
            InMemoryStore(INDEX).load(tmp_path / "memory")


class Opened:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("tag", [b"pickle", b"msgpack", b"json", b"bytes", b"", b"\xff"])
def test_a_pickle_with_a_right_digest_is_not_executed(tmp_path: Path, tag: bytes) -> None:
    rewritten(tmp_path / "memory", tag + b"\0" + pickle.dumps(Opened(tmp_path / "executed")))
    with pytest.raises(StorageError, match="does not hold a store that this serialiser reads"):
        InMemoryStore().load(tmp_path / "memory")
    assert not (tmp_path / "executed").exists()


def item(**changes: Any) -> list[Any]:
    fields = {
        "namespace": ["u"], "key": "k", "value": {"a": 1}, "created": NOON, "updated": NOON, "ttl": None,
        "expires": None, "words": True, "names": [],
    }  # fmt: skip
    return list({**fields, **changes}.values())


def content(*items: list[Any], vectors: Any = None) -> dict[str, Any]:
    return {"distance": "cosine", "items": list(items), "matrix": vectors}


HOSTILE: dict[str, Any] = {
    "no dict": [1, 2],
    "no items": {"distance": "cosine", "matrix": None},
    "an item too short": content([1, 2, 3]),
    "a namespace that is none": content(item(namespace=["a.b"])),
    "an empty namespace": content(item(namespace=[])),
    "a key that is none": content(item(key=5)),
    "a value that is not JSON": content(item(value={"at": NOON})),
    "no value": content(item(value=None)),
    "a time without a zone": content(item(updated=datetime(2026, 1, 1))),
    "a time that is none": content(item(created="now")),
    "an expiry without a ttl": content(item(expires=NOON)),
    "an endless ttl": content(item(ttl=float("inf"), expires=NOON)),
    "one item twice": content(item(), item()),
    "a text without its vector": content(item(names=[b"h"])),
    "one vector for two texts": content(item(names=[b"h", b"i"]), vectors=np.ones((1, 3), np.float32)),
    "a text twice": content(item(names=[b"h", b"h"]), vectors=np.ones((2, 3), np.float32)),
    "a hash that is none": content(item(names=["h"]), vectors=np.ones((1, 3), np.float32)),
    "vectors without an owner": content(item(), vectors=np.ones((1, 3), np.float32)),
    "vectors of another type": content(item(names=[b"h"]), vectors=np.ones((1, 3), np.int8)),
    "vectors of another shape": content(item(names=[b"h"]), vectors=np.ones((1, 3, 1), np.float32)),
    "a vector of another length": content(item(names=[b"h"]), vectors=np.full((1, 3), 5, np.float32)),
    "a vector with NaN": content(item(names=[b"h"]), vectors=np.full((1, 3), np.nan, np.float32)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_content_that_no_store_saves_is_refused_and_the_store_stays(tmp_path: Path, name: str) -> None:
    saved_as(tmp_path / "memory", HOSTILE[name])
    store = filled()
    before = store.search(())
    with pytest.raises(StorageError, match=r"does not hold a store|lengths that no store saves"):
        store.load(tmp_path / "memory")
    assert store.search(()) == before


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled().save(tmp_path / "memory")
    before = (tmp_path / "memory").read_bytes()

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left on device"):
        InMemoryStore().save(tmp_path / "memory")
    assert (tmp_path / "memory").read_bytes() == before
    assert os.listdir(tmp_path) == ["memory"]


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        InMemoryStore().load(tmp_path / "memory")
