"""Random histories over savers that keep only the newest checkpoints, by two of them in turn."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.backends import BACKENDS, Backend, Saver, opened
from tests.contract.test_histories import History


class ShallowHistory(History):
    """A history whose model forgets what is not the newest."""

    async def put(self, saver: Saver, name: str) -> None:
        await super().put(saver, name)
        rows = self.threads[name]
        self.keep(name, {max(key for key in rows if key[0] == ns) for ns, _ in rows})
        for row in rows.values():
            row.parent = None

    async def check_space(self, saver: Saver) -> None:
        """No object is stored that nothing refers to, and none is lacking."""
        for name, rows in self.threads.items():
            if rows:
                assert await saver.object_count(name) == await saver.marked_count(name)


@pytest.mark.parametrize(
    "backend",
    [each for each in BACKENDS if each.name in ("shallow", "shallow-pipeline", "aioshallow-pool")],
    ids=lambda backend: f"{backend.name}-{backend.colour}",
)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_a_random_history_leaves_the_newest_state_and_nothing_else(backend: Backend, seed: int) -> None:
    async def play() -> None:
        rng = random.Random(seed)
        history = ShallowHistory(rng)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "threads.db"
            async with opened(backend, path) as one, opened(backend, path) as other:
                for _ in range(rng.randrange(5, 60)):
                    await history.step(one if rng.random() < 0.8 else other)
                for saver in (one, other):
                    await history.check(saver)
                await history.check_space(one)

    asyncio.run(play())
