"""Runs the sides of a row in turn, A B C, B C A, C A B …, each in its own process; keeps their samples."""

import json
import os
import select
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.api import OURS, REFERENCE
from benchmarks.scale import Sample
from benchmarks.worker import BARE
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 180.0
"""Seconds that one slice may take."""

Medians = Mapping[str, float]


class Setting(NamedTuple):
    """How a run is made: the interpreter of each side, where files go, how much is measured."""

    interpreters: Mapping[str, str]
    folder: Path
    quick: bool = False
    synchronous: str | None = None

    @property
    def rounds(self) -> int:
        return 3 if self.quick else 7


class SideFailed(Exception):
    """A side raised, died or fell silent; the text says which and why."""


class Outcome(NamedTuple):
    """Medians of one side of one row, or why there are none."""

    medians: Medians
    failure: str | None = None


class Side:
    """A worker process that measures one slice whenever it is asked."""

    def __init__(self, name: str, workload: str, setting: Setting) -> None:
        self.name = name
        self.samples: list[Sample] = []
        self.ended = False
        self.folder = Path(tempfile.mkdtemp(prefix=f"{workload}-{name}-", dir=setting.folder))
        self.log = (self.folder / "stderr.txt").open("w+")
        options = ["quick"] if setting.quick else []
        if setting.synchronous is not None:
            options.append(f"synchronous={setting.synchronous}")
        self.process = subprocess.Popen(
            [
                setting.interpreters[name],
                "-m",
                "benchmarks.worker",
                workload,
                name,
                str(self.folder),
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            cwd=self.folder,
            env=environment(),
            text=True,
        )

    def run(self) -> None:
        """One slice, whose sample is kept; nothing once the side has ended."""
        if self.ended:
            return
        reply = self.ask("run")
        if "error" in reply:
            raise SideFailed(f"{self.name}: {reply['error']}")
        if "end" in reply:
            self.ended = True
        else:
            self.samples.append(reply["sample"])

    def ask(self, request: str) -> dict[str, dict[str, float]]:
        requests, replies = pipes(self.process)
        try:
            requests.write(f"{request}\n")
            requests.flush()
        except BrokenPipeError:
            raise SideFailed(f"{self.name}: died: {self.last_words()}") from None
        if not select.select([replies], [], [], PATIENCE)[0]:
            raise SideFailed(f"{self.name}: no answer within {PATIENCE:.0f} s: {self.last_words()}")
        line = replies.readline()
        if not line:
            raise SideFailed(f"{self.name}: died: {self.last_words()}")
        reply: dict[str, dict[str, float]] = json.loads(line)
        return reply

    def last_words(self) -> str:
        self.log.seek(0)
        return self.log.read()[-2000:]

    def close(self) -> None:
        """End the process and remove its files."""
        if self.process.stdin is not None and self.process.poll() is None:
            try:
                self.process.stdin.close()
                self.process.wait(timeout=10)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def environment() -> dict[str, str]:
    """This environment with the benchmarks importable and no tracing of the reference to a server."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LANGSMITH_TRACING": "false"}


def measure(workload: str, setting: Setting) -> dict[str, Outcome]:
    """Outcomes of all sides of one row; a side that fails drops out and the others go on."""
    names = [REFERENCE, OURS, *([BARE] if WORKLOADS[workload].bare else [])]
    sides = [Side(name, workload, setting) for name in names if name in setting.interpreters]
    failures: dict[str, str] = {}
    try:
        for turn in rotations(sides, None if WORKLOADS[workload].whole else setting.rounds + 1):
            for side in turn:
                if side.name not in failures:
                    try:
                        side.run()
                    except SideFailed as failure:
                        failures[side.name] = str(failure)
            if all(side.ended or side.name in failures for side in sides):
                break
    finally:
        for side in sides:
            side.close()
    first = 0 if WORKLOADS[workload].whole else 1  # the first slice of a rate warms caches up
    return {side.name: Outcome(medians(side.samples[first:]), failures.get(side.name)) for side in sides}


def rotations(sides: list[Side], rounds: int | None) -> Iterator[list[Side]]:
    """The sides in a turning order, for `rounds` rounds or without end."""
    number = 0
    while rounds is None or number < rounds:
        start = number % len(sides)
        yield [*sides[start:], *sides[:start]]
        number += 1


def medians(samples: list[Sample]) -> dict[str, float]:
    metrics = {metric for sample in samples for metric in sample}
    return {m: statistics.median([sample[m] for sample in samples if m in sample]) for m in metrics}
