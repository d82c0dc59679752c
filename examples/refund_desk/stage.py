"""What every act of the show stands on: clerks in processes of their own, the thread's file, the ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from examples.refund_desk.board import Board
from examples.refund_desk.cases import load_requests
from examples.refund_desk.claims import Claims
from examples.refund_desk.clerk import THREAD, Answers, ledger_of, opened
from threadkeep.types import StateSnapshot

ROOT = Path(__file__).resolve().parents[2]
PACE = 0.9  # seconds to read a hundred characters

Event = dict[str, Any]


class ClerkFailed(Exception):
    """A clerk ended with an error."""


class Stage:
    """The screen, the folder with the thread's file and the ledger, the clerks that were started."""

    def __init__(self, console: Console, folder: Path) -> None:
        self.console = console
        self.folder = folder
        self.requests = load_requests()
        self.ledger = ledger_of(folder)
        self.claims = Claims(console)
        self.board = Board(console, self.requests)
        self.processes: list[int] = []

    def clerk(
        self,
        task: str,
        follow: Callable[[Event], None],
        *,
        answers: Answers | None = None,
        kill_when: Callable[[], bool] | None = None,
    ) -> int:
        """Starts a clerk and hands on what it tells to *follow*; its exit code.

        *kill_when* is asked after each thing that the clerk tells; once it says yes, the clerk is killed.
        """
        command = [sys.executable, "-m", "examples.refund_desk.clerk", str(self.folder), task]
        options = ["--pace", str(PACE), "--answers", json.dumps(answers or {})]
        killed = False
        # In a session of its own: Ctrl-C reaches this process only, which then kills the clerk.
        with subprocess.Popen(
            [*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as process:
            self.processes.append(process.pid)
            try:
                for line in process.stdout or ():
                    follow(json.loads(line))
                    if kill_when and kill_when():
                        process.kill()  # SIGKILL: nothing of the clerk runs after it
                        killed = True
                        break
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0 and not killed:
            raise ClerkFailed(f"the clerk that was to {task} ended with exit code {process.returncode}")
        return process.returncode

    def thread(self) -> StateSnapshot:
        """The newest state of the thread, read from the file."""
        with opened(self.folder) as graph:
            return graph.get_state(THREAD)

    def history(self) -> list[StateSnapshot]:
        """Every state of the thread, oldest first."""
        with opened(self.folder) as graph:
            return list(graph.get_state_history(THREAD))[::-1]

    def letters_kept(self) -> dict[str, Any]:
        """Request → complaint, as far as the file has it while the parallel step is not complete."""
        results = [task.result for task in self.thread().tasks if task.name == "triage" and task.result]
        return {request: kind for result in results for request, kind in result["complaints"].items()}

    def done(self, what: str) -> list[str]:
        """The requests for which the ledger has such a line, in order; twice if it has two."""
        return [entry.request for entry in self.ledger.entries() if entry.what == what]
