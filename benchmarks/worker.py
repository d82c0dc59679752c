"""One side of one row, in its own process: a request is a line on stdin, its answer a line of JSON.

`python -m benchmarks.worker WORKLOAD SIDE FOLDER [quick] [synchronous=MODE]`, where SIDE is an import root or
`bare`. The requests are `run` (one slice) and the end of input. Whatever the program prints goes to stderr.
"""

import gc
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.api import Api
from benchmarks.scale import Sample, Scale
from benchmarks.workloads import WORKLOADS

BARE = "bare"


def slices(workload: str, side: str, scale: Scale, synchronous: str | None = None) -> Iterator[Sample]:
    found = WORKLOADS[workload]
    if side != BARE:
        return found.bench(Api(side, synchronous), scale)
    assert found.bare is not None, f"{workload} has no bare operation"
    return found.bare(scale)


def answer(running: Iterator[Sample]) -> dict[str, Any]:
    """A sample, the end, or what went wrong."""
    gc.collect()
    try:
        return {"sample": dict(next(running))}
    except StopIteration:
        return {"end": True}
    except BaseException:
        return {"error": traceback.format_exc()}


def serve(running: Iterator[Sample], out: int) -> None:
    for request in sys.stdin:
        if request.strip() == "run":
            os.write(out, (json.dumps(answer(running)) + "\n").encode())


def main(arguments: list[str]) -> None:
    workload, side, folder, *options = arguments
    out = os.dup(1)
    os.dup2(2, 1)
    synchronous = next((o.partition("=")[2] for o in options if o.startswith("synchronous=")), None)
    serve(slices(workload, side, Scale(Path(folder), "quick" in options), synchronous), out)


if __name__ == "__main__":
    main(sys.argv[1:])
