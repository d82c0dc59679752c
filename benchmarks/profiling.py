"""Where a row spends its time: exact call counts of the main thread, and samples of every thread."""

import argparse
import cProfile
import io
import pstats
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from benchmarks.api import OURS, REFERENCE
from benchmarks.scale import Sample, Scale
from benchmarks.worker import slices
from benchmarks.workloads import WORKLOADS

INTERVAL = 0.001
IDLE = {
    ("threading.py", "wait"),
    ("threading.py", "_wait_for_tstate_lock"),
    ("thread.py", "_worker"),
    ("selectors.py", "select"),
}
"""Functions on top of a stack whose thread waits for another one."""
Place = tuple[str, int, str]


class Samples(NamedTuple):
    """How often a function was on top of a stack, and how often anywhere on one."""

    on_top: Counter[Place]
    anywhere: Counter[Place]


class Sampler(threading.Thread):
    """Looks at the stacks of all other threads once a millisecond."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples = Samples(Counter(), Counter())
        self.stopped = threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(INTERVAL):
            for thread, frame in sys._current_frames().items():
                if thread != self.ident:
                    self.count(frame)

    def count(self, top: FrameType) -> None:
        if (Path(top.f_code.co_filename).name, top.f_code.co_name) in IDLE:
            return
        self.samples.on_top[place(top)] += 1
        seen: set[Place] = set()
        frame: FrameType | None = top
        while frame is not None:
            seen.add(place(frame))
            frame = frame.f_back
        self.samples.anywhere.update(seen)


def place(frame: FrameType) -> Place:
    code = frame.f_code
    return (code.co_filename, code.co_firstlineno, code.co_qualname)


def short(path: str) -> str:
    """The last three parts of a path: enough to find the file, nothing of the machine."""
    return "/".join(Path(path).parts[-3:])


def sampled(running: Iterator[Sample], count: int, top: int) -> str:
    sampler, usual = Sampler(), sys.getswitchinterval()
    sys.setswitchinterval(INTERVAL / 2)  # else a busy thread keeps the sampler waiting for 5 ms
    sampler.start()
    for _ in islice(running, count):
        pass
    sampler.stopped.set()
    sampler.join()
    sys.setswitchinterval(usual)
    counts = sampler.samples
    total = max(sum(counts.on_top.values()), 1)
    lines = [f"{sum(counts.on_top.values())} samples of all threads, waiting ones left out"]
    for title, counter in (("on top", counts.on_top), ("anywhere on the stack", counts.anywhere)):
        lines.append(f"\n{title}:")
        lines += [
            f"{100 * hits / total:5.1f} %  {name}  {short(file)}:{line}"
            for (file, line, name), hits in counter.most_common(top)
        ]
    return "\n".join(lines)


def counted(running: Iterator[Sample], count: int, top: int) -> str:
    profile = cProfile.Profile()
    profile.enable()
    started = time.perf_counter()
    for _ in islice(running, count):
        pass
    passed = time.perf_counter() - started
    profile.disable()
    out = io.StringIO()
    stats = pstats.Stats(profile, stream=out).strip_dirs()
    stats.sort_stats("tottime").print_stats(top)
    stats.sort_stats("cumulative").print_stats(top)
    return f"main thread, {count} slices in {passed:.2f} s under cProfile\n{out.getvalue()}"


def main(arguments: list[str]) -> int:
    made = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    made.add_argument("row", choices=list(WORKLOADS))
    made.add_argument("--root", default=OURS, help=f"import root to profile, e.g. {REFERENCE}")
    made.add_argument("--slices", type=int, help="measured slices; 3, or all of a row that ends by itself")
    made.add_argument("--skip", type=int, help="slices before; 1, or none of a row that ends by itself")
    made.add_argument("--top", type=int, default=25)
    options = made.parse_args(arguments)
    whole = WORKLOADS[options.row].whole
    count = options.slices or (10_000 if whole else 3)
    skipped = (0 if whole else 1) if options.skip is None else options.skip
    for method in (counted, sampled):
        with tempfile.TemporaryDirectory() as folder:
            running = slices(options.row, options.root, Scale(Path(folder)))
            for _ in islice(running, skipped):
                pass
            print(method(running, count, options.top))
    return 0
