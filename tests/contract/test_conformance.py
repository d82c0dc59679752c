"""An outside check: the conformance suite that LangGraph publishes, over our savers."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate

from tests.contract.backends import BACKENDS, Backend, opened
from threadkeep.errors import ConcurrentUpdateWarning
from threadkeep.interop.langgraph import LangGraphSaver, as_langgraph_saver

EXTENDED = {"copy_thread", "delete_for_runs", "prune"}
BASE = {"put", "put_writes", "get_tuple", "list", "delete_thread"}


@pytest.mark.parametrize(
    "backend",
    [each for each in BACKENDS if each.colour == "async" and each.keeps_history],
    ids=lambda backend: backend.name,
)
async def test_the_published_suite_passes(backend: Backend, tmp_path: Path) -> None:
    made = iter(range(10_000))

    async def adapted() -> AsyncIterator[LangGraphSaver]:
        async with opened(backend, tmp_path / f"{next(made)}.db") as saver:
            yield as_langgraph_saver(saver.raw)

    factory = checkpointer_test(name=backend.name)(adapted)  # not as a decorator: it has no types

    with warnings.catch_warnings():
        # Their suite puts many checkpoints without a parent into one thread, which is a conflict here.
        warnings.simplefilter("ignore", ConcurrentUpdateWarning)
        report = await validate(factory)
    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    passed = {name for name, result in report.results.items() if result.passed and result.tests_passed}
    assert passed >= BASE | EXTENDED
