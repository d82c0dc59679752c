"""The command line: which rows, how long, against which interpreter, and where the table goes."""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import postgres, profiling, report
from benchmarks.api import OURS, REFERENCE
from benchmarks.harness import ROOT, Setting, measure
from benchmarks.worker import BARE
from benchmarks.workloads import WORKLOADS

REFERENCE_VARIABLE = "THREADKEEP_BENCH_REFERENCE"
REFERENCE_DEFAULT = ROOT / ".venv-bench" / "bin" / "python"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("rows", nargs="*", metavar="ROW", help="rows to run, or their beginnings; all if none")
    made.add_argument("--quick", action="store_true", help="smaller and shorter; the chats have 100 turns")
    made.add_argument("--list", action="store_true", help="name the rows and stop")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there as Markdown")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all medians there")
    made.add_argument("--dir", type=Path, help="folder on a real disk for the database files")
    made.add_argument(
        "--reference-python",
        default=os.environ.get(REFERENCE_VARIABLE, str(REFERENCE_DEFAULT)),
        metavar="PATH",
        help=f"interpreter that has the reference installed (or ${REFERENCE_VARIABLE})",
    )
    made.add_argument("--only", choices=[REFERENCE, OURS, BARE], action="append", help="run only these sides")
    made.add_argument("--synchronous", choices=["OFF", "NORMAL", "FULL"], help="one setting for both savers")
    return made


def chosen(rows: list[str]) -> list[str]:
    """The named rows, in the table's order."""
    unknown = [row for row in rows if not any(name.startswith(row) for name in WORKLOADS)]
    if unknown:
        raise SystemExit(f"no such row: {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    return [name for name in WORKLOADS if not rows or any(name.startswith(row) for row in rows)]


def setting(options: argparse.Namespace, folder: Path) -> Setting:
    reference = str(Path(options.reference_python).absolute())
    interpreters = {REFERENCE: reference, OURS: sys.executable, BARE: sys.executable}
    wanted = {side: path for side, path in interpreters.items() if side in (options.only or interpreters)}
    if REFERENCE in wanted and not Path(reference).exists():
        raise SystemExit(
            f"no reference interpreter at {reference}: `make bench` installs one; or name "
            f"yours with --reference-python or ${REFERENCE_VARIABLE}, or leave it out with --only {OURS}"
        )
    return Setting(wanted, folder, options.quick, options.synchronous)


def disk(asked: Path | None) -> Path:
    """A folder that survives a reboot, hence no tmpfs, where bytes written could not be counted."""
    kept = Path("/var/tmp")  # noqa: S108 - only a parent for mkdtemp
    return asked or (kept if kept.is_dir() else Path(tempfile.gettempdir()))


def run(options: argparse.Namespace) -> int:
    started, results = time.perf_counter(), {}
    with (
        tempfile.TemporaryDirectory(prefix="threadkeep-bench-", dir=disk(options.dir)) as folder,
        ExitStack() as running,
    ):
        made = setting(options, Path(folder))
        rows = chosen(options.rows)
        if any("pg-" in row for row in rows):
            server = next(iter(made.interpreters.values()))  # the reference's, if it takes part
            running.enter_context(postgres.server(server, Path(folder) / "pg"))
        for row in rows:
            print(f"{row} …", end=" ", file=sys.stderr, flush=True)
            begun = time.perf_counter()
            results[row] = measure(row, made)
            print(f"{time.perf_counter() - begun:.1f} s", file=sys.stderr)
    judged = report.judge(results, options.quick)
    print(report.plain(judged))
    for failure in report.failures(results):
        print(f"\nfailed: {failure}")
    if options.quick:
        print("\nquick: the chats have 100 turns, and their targets are not judged")
    else:
        print("\nfarthest from the target:", ", ".join(row.figure.what for row in report.worst(judged)))
    print(f"\n{time.perf_counter() - started:.0f} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    write(options, judged, results)
    return 1 if report.failures(results) else 0


def write(options: argparse.Namespace, rows: list[report.Judged], results: report.Results) -> None:
    if options.markdown is not None:
        options.markdown.write_text(report.markdown(rows))
    if options.json is not None:
        medians = {
            row: {side: dict(outcome.medians) for side, outcome in outcomes.items()}
            for row, outcomes in results.items()
        }
        options.json.write_text(json.dumps(medians, indent=1))


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["profile"]:
        return profiling.main(arguments[1:])
    options = parser().parse_args(arguments)
    if options.list:
        print("\n".join(WORKLOADS))
        return 0
    return run(options)
