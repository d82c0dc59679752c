"""What the first import costs: wall time of a fresh process, modules loaded, resident memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.api import Api
from benchmarks.scale import Sample, Scale

# The memory figure is the peak of the process itself: ru_maxrss would include the parent's at fork.
PROBE = """
import sys
{imports}
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print('{{"modules": %d, "rss_mb": %.2f}}' % (len(sys.modules), peak / 1024))
"""


def fresh_process(imports: str) -> Sample:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(imports=imports)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
    )
    wall = (time.perf_counter() - started) * 1e3
    return {"ms": wall, **json.loads(done.stdout)}


def start(api: Api, scale: Scale) -> Iterator[Sample]:
    statement = f"from {api.root}.graph import StateGraph"
    fresh_process(statement)  # writes the byte code
    while True:
        yield fresh_process(statement)


def bare_start(scale: Scale) -> Iterator[Sample]:
    """Bare Python; `with_needs_ms` is Python with the two imports that no such library can go without."""
    while True:
        needs = fresh_process("import asyncio, ormsgpack")
        yield {**fresh_process(""), "with_needs_ms": needs["ms"]}
