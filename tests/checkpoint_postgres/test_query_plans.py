"""The hot statements find their rows by indexes, on tables of a million rows each."""

from __future__ import annotations

import pytest

from tests.checkpoint_postgres.explain import Seen, filled, watched

HOT = {
    "get_tuple, newest", "get_tuple, by id", "list, first page", "list, later page",
    "list, filter that few match", "list, filter that all match", "list, filter over all threads",
    "list, over all threads", "list, pages over all threads",
    "put, known thread", "put, unknown thread", "put_writes", "put_writes, again",
    "shallow put, known thread", "shallow put, unknown thread",
    "copy_thread", "delete_for_runs", "prune", "prune, long thread", "delete_thread",
}  # fmt: skip


@pytest.fixture(scope="module")
def seen() -> list[Seen]:
    """The statements of all operations."""
    with filled() as database:
        return watched(database)


@pytest.mark.slow
def test_no_hot_statement_reads_a_table_through(seen: list[Seen]) -> None:
    assert {each.operation for each in seen} == HOT
    assert [each for each in seen if "Seq Scan" in each.plan] == []


@pytest.mark.slow
def test_nor_when_the_server_plans_it_for_any_parameters(seen: list[Seen]) -> None:
    assert [each for each in seen if "Seq Scan" in each.generic] == []


@pytest.mark.slow
def test_a_page_walks_through_no_other_thread(seen: list[Seen]) -> None:
    listed = [each for each in seen if each.operation.startswith("list")]
    assert [each for each in listed if "Merge Join" in each.plan or "Hash Join" in each.plan] == []


@pytest.mark.slow
def test_a_known_thread_is_put_by_one_statement_and_a_checkpoint_got_by_few(seen: list[Seen]) -> None:
    def count(operation: str) -> int:
        return len([each for each in seen if each.operation == operation])

    assert count("put, known thread") == 1
    assert count("shallow put, known thread") == 1
    assert count("get_tuple, newest") <= 2
    assert count("get_tuple, by id") <= 2


@pytest.mark.slow
def test_a_filter_over_all_threads_uses_the_index_of_the_metadata(seen: list[Seen]) -> None:
    (listed,) = [each for each in seen if each.operation == "list, filter over all threads"][:1]
    assert "threadkeep_point_by_meta" in listed.plan
