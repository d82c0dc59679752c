"""How long and how big a run is, and the shapes that workloads hand to the harness."""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.api import Api

Sample = Mapping[str, float]
"""Figures of one measured slice, by metric name. A slice may be empty (work that only prepares others)."""


class Scale(NamedTuple):
    """Sizes of one run; `folder` is empty, belongs to one side of one row and lies on a real disk."""

    folder: Path
    quick: bool = False

    @property
    def seconds(self) -> float:
        """Least time of one slice that is measured as a rate."""
        return 0.08 if self.quick else 0.25

    @property
    def turns(self) -> int:
        return 100 if self.quick else 500


Bench = Callable[[Api, Scale], Iterator[Sample]]
Bare = Callable[[Scale], Iterator[Sample]]


class Workload(NamedTuple):
    """A program that yields one sample per slice, and its bare operation; `whole` ones end by themselves."""

    bench: Bench
    bare: Bare | None = None
    whole: bool = False


def rate(once: Callable[[], object], per_call: int, seconds: float) -> float:
    """Units per second of `once`, which does `per_call` units, called until `seconds` have passed."""
    calls, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or calls == 0:
        once()
        calls += 1
    return calls * per_call / passed


async def async_rate(once: Callable[[], Awaitable[object]], per_call: int, seconds: float) -> float:
    calls, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds or calls == 0:
        await once()
        calls += 1
    return calls * per_call / passed


def milliseconds(once: Callable[[], object]) -> float:
    started = time.perf_counter()
    once()
    return (time.perf_counter() - started) * 1e3
