"""Where we decide otherwise than the reference: the reason, and exactly what we do instead.

A difference is either our whole result, or changes to the recorded one by path (`[0].state.next`), so that
everything around the point still has to match. A program that is listed here and agrees with its recording
fails.
"""

import copy
import re
from typing import Any, NamedTuple

ABSENT = object()


class Difference(NamedTuple):
    """Why, and either `whole` or `changes` (path → our value, `ABSENT` removes)."""

    reason: str
    changes: dict[str, Any] = {}  # noqa: RUF012  # never written to
    whole: Any = ABSENT

    def apply(self, recorded: Any) -> Any:
        """Our expected value, made from the recorded one."""
        if self.whole is not ABSENT:
            return self.whole
        result = copy.deepcopy(recorded)
        for path, value in self.changes.items():
            _change(result, re.findall(r"[^.\[\]]+", path), value)
        return result


def _change(target: Any, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        target = target[_key(target, part)]
    last = _key(target, parts[-1])
    if value is ABSENT:
        del target[last]
    else:
        target[last] = value


def _key(target: Any, part: str) -> Any:
    return int(part) if isinstance(target, list) else part


DIFFERENCES: dict[str, Difference] = {}
