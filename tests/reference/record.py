"""Runs every program on the reference and writes what it did to `expected/`.

    python tests/reference/record.py [--root langgraph] [--show] [NAME …]

Needs an interpreter with langgraph 1.2.22; the tests themselves do not. A program is run several times in
both colours; one that is not the same every time is refused.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent)]

from tests.reference.catalogue import programs, run  # noqa: E402
from tests.reference.plain import differences  # noqa: E402

REPEATS = 3


def record(root: str, module: str, name: str) -> dict[str, Any]:
    """What the program gives in both colours, and whether it made a saver."""
    outcome: dict[str, Any] = {}
    for colour in ("sync", "async"):
        result, persistent = run(root, module, name, colour=colour)
        for _ in range(REPEATS - 1):
            again, _ = run(root, module, name, colour=colour)
            if lines := differences(result, again):
                raise RuntimeError(f"{module}.{name} ({colour}) is not deterministic:\n" + "\n".join(lines))
        outcome[colour] = result
        outcome["persistent"] = persistent
    if outcome["sync"] == outcome["async"]:
        outcome["both"] = outcome.pop("sync")
        del outcome["async"]
    return outcome


def compact(value: Any) -> str:
    """Plain data as a person reads it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(compact, value)) + "]"
    if not isinstance(value, dict):
        return repr(value)
    if list(value) == ["$tuple"]:
        return "(" + ", ".join(map(compact, value["$tuple"])) + ")"
    name = str(next(iter(value), ""))
    if len(value) == 1 and name.startswith("$"):
        return name + compact(value[name])
    return "{" + ", ".join(f"{key}: {compact(item)}" for key, item in value.items()) + "}"


def write(module: str, outcomes: dict[str, Any]) -> None:
    """One line per program, so that a change shows as one line."""
    lines = [f"{json.dumps(name)}: {json.dumps(outcomes[name], sort_keys=True)}" for name in sorted(outcomes)]
    (HERE / "expected" / f"{module}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="langgraph")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    for module, names in programs().items():
        chosen = [n for n in names if not options.names or n in options.names or module in options.names]
        if not chosen:
            continue
        path = HERE / "expected" / f"{module}.json"
        outcomes = json.loads(path.read_text()) if path.exists() else {}
        for name in chosen:
            try:
                outcomes[name] = record(options.root, module, name)
            except Exception as error:
                print(f"== {module}.{name} NOT RECORDED: {type(error).__name__}: {error}")
                continue
            if options.show:
                print(f"== {module}.{name}")
                for key, value in outcomes[name].items():
                    print(f"  {key}:")
                    for item in value if isinstance(value, list) else [value]:
                        print("    " + compact(item))
        write(module, {name: outcomes[name] for name in outcomes if name in names})


if __name__ == "__main__":
    main()
