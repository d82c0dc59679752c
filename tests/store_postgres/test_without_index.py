"""A store without an index on the tables of one that has an index."""

from __future__ import annotations

from collections.abc import Sequence

from threadkeep.store.postgres import PostgresStore
from threadkeep.store.postgres.base import PostgresIndexConfig


def embed(texts: Sequence[str]) -> list[list[float]]:
    return [[1.0, float("cat" in text)] for text in texts]


INDEX: PostgresIndexConfig = {"dims": 2, "embed": embed, "fields": ["text"]}


def test_what_it_overwrites_or_deletes_is_no_longer_found_by_the_old_meaning(database: str) -> None:
    with PostgresStore.from_conn_string(database, index=INDEX) as indexed:
        indexed.setup()
        for key in ("kept", "overwritten", "deleted"):
            indexed.put(("a",), key, {"text": "a cat"})
        with PostgresStore.from_conn_string(database) as plain:
            assert plain.setup() == ""
            plain.put(("a",), "overwritten", {"text": "a dog"})
            plain.delete(("a",), "deleted")
            plain.put(("a",), "new", {"text": "a cat"})
            assert [item.key for item in plain.search(("a",))] == ["kept", "overwritten", "new"]
        assert [item.key for item in indexed.search(("a",), query="cat")] == ["kept"]
        assert [item.key for item in indexed.search(("a",), query="cat", mode="lexical")] == ["kept"]
        indexed.put(("a",), "overwritten", {"text": "a cat"})
        assert [item.key for item in indexed.search(("a",), query="cat")] == ["kept", "overwritten"]


def test_one_that_never_saw_an_index_needs_no_pgvector(database: str) -> None:
    with PostgresStore.from_conn_string(database) as plain:
        assert "vector" not in plain.setup()
        plain.put(("a",), "k", {"text": "a cat"})
        assert plain.conn.execute("SELECT FROM pg_extension WHERE extname = 'vector'").fetchall() == []  # type: ignore[union-attr]  # a connection
        assert [item.score for item in plain.search(("a",), query="cat")] == [None]
