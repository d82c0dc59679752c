"""`python -m examples.refund_desk`: the show. `--keep FOLDER` leaves the files of the desk there."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from examples.refund_desk import show
from examples.refund_desk.stage import ClerkFailed

WIDTH = 110


def main() -> int:
    """The exit code of the show."""
    parser = argparse.ArgumentParser(description="A refund desk that is killed in the middle and comes back.")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to leave the files, empty or new")
    keep: Path | None = parser.parse_args().keep
    if keep is not None and keep.exists() and any(keep.iterdir()):
        parser.error(f"{keep} is not empty")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ✓ shows ?
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    with tempfile.TemporaryDirectory(prefix="refund-desk-") as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return show.run(console, folder)
        except ClerkFailed as error:
            console.print(f"[bold red]{error}")
            return 1
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
