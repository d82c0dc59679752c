"""The requests on the screen, each in its state, redrawn while the clerks work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

COLUMNS = 4
CHANGES_A_LINE = 12


class Mark(NamedTuple):
    """How a request stands: a sign, a colour, a word."""

    sign: str
    style: str
    word: str


WAITING = Mark("·", "dim", "waits")
READING = Mark("…", "yellow", "reading")
LOST = Mark("x", "red", "lost")
KEPT = Mark("●", "green", "kept")
PAID = Mark("$", "bold green", "paid")
REFUSED = Mark("-", "dim", "refused")


def read(complaint: str) -> Mark:
    """The mark of a letter that this clerk has read."""
    return Mark("○", "cyan", complaint)


class Board:
    """One mark for each request: redrawn in place on a terminal; elsewhere what is done goes to a line."""

    def __init__(self, console: Console, requests: Iterable[str]) -> None:
        self.console = console
        self.marks = dict.fromkeys(requests, WAITING)
        self._live: Live | None = None
        self._changes = 0

    def set(self, request: str, mark: Mark) -> None:
        """Gives the request its mark."""
        self.marks[request] = mark
        if self._live is not None:
            self._live.update(self.table())
        elif self._changes and mark is not READING:
            self._trace(f"{mark.sign} {request}")

    def _trace(self, change: str) -> None:
        self.console.print(change, end="\n" if self._changes % CHANGES_A_LINE == 0 else "  ")
        self._changes += 1

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Shows every change until the block ends, and then the board as it stands."""
        if self.console.is_terminal:
            with Live(self.table(), console=self.console, refresh_per_second=20) as live:
                self._live = live
                yield
                live.update(self.table())
            self._live = None
            return
        self._changes = 1
        yield
        self._changes = 0
        self.console.print()
        self.show()

    def show(self) -> None:
        """Prints the board."""
        self.console.print(self.table())

    def table(self) -> Table:
        """The board, filled column by column."""
        table = Table.grid(padding=(0, 2))
        cells = [Text(f"{mark.sign} {id} {mark.word}", mark.style) for id, mark in self.marks.items()]
        rows = -(-len(cells) // COLUMNS)
        for row in range(rows):
            table.add_row("", *cells[row::rows])
        return table
