"""What the show says happened, each sentence checked before it is printed."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


class Claims:
    """Prints sentences with ✓ or ✗ in front and remembers which were wrong."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.made = 0
        self.wrong: list[str] = []

    def check(self, sentence: str, found: object, expected: object) -> None:
        """Claims *sentence*, which is true if *found* equals *expected*; says both if they differ."""
        self.made += 1
        if found == expected:
            self._say("[bold green]✓", sentence)
            return
        self.wrong.append(sentence)
        self._say("[bold red]✗", f"[bold red]{sentence}")
        self.console.print(f"found    {found!r}\nexpected {expected!r}", markup=False)

    def _say(self, sign: str, sentence: str) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_row("", sign, sentence)
        self.console.print(line)
