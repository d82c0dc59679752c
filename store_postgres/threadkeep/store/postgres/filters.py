"""Compiles filters to SQL over the column `item.value`. Pure.

The text is put together of constants; names and operands are bound parameters. Each condition is true or
false, never NULL, so that NOT turns it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from threadkeep.store.filter import (
    And,
    Compare,
    Contains,
    Equals,
    Exists,
    In,
    IsObject,
    Node,
    Not,
    Or,
    Path,
)
from threadkeep.store.postgres.names import body_of, json_escaped, searchable

__all__ = ["Condition", "compiled"]


class Condition(NamedTuple):
    """A template of SQL, and its parameters by name (`f0`, `f1`, …)."""

    sql: str
    parameters: dict[str, str]


def compiled(tree: Node) -> Condition:
    """The filter as a condition on the table `item`."""
    compiler = _Compiler()
    return Condition(compiler.condition(tree), compiler.parameters)


_COMPARE_NUMBER = {
    "$gt": "<field> > <operand>",
    "$gte": "<field> >= <operand>",
    "$lt": "<field> < <operand>",
    "$lte": "<field> <= <operand>",
}
_COMPARE_TEXT = {
    "$gt": "<text> > <operand>",
    "$gte": "<text> >= <operand>",
    "$lt": "<text> < <operand>",
    "$lte": "<text> <= <operand>",
}
# JSONB has an order of texts, but that of the database's collation.
_TEXT = """(<field> #>> '{{}}') COLLATE "C" """
FEW = 20
"""Longer lists of `$in` are one parameter, which the server hashes: a statement has at most 65,535."""
_AMONG = "coalesce(<field> IN (SELECT jsonb_array_elements(<operands>)), false)"
_HELD = "EXISTS (SELECT FROM jsonb_array_elements(<field>) AS element WHERE element = <operand>)"


class _Compiler:
    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self._compile: dict[type, Callable[[Any], str]] = {
            Equals: self._equals, In: self._in, Compare: self._compare, Exists: self._exists,
            IsObject: self._is_object, Contains: self._contains, And: self._and, Or: self._or, Not: self._not,
        }  # fmt: skip

    def condition(self, node: Node) -> str:
        return self._compile[type(node)](node)

    def _bind(self, value: str, placeholder: str) -> str:
        name = f"f{len(self.parameters)}"
        self.parameters[name] = value
        return placeholder.replace("<name>", name)

    def _json(self, value: Any) -> str:
        return self._bind(searchable(body_of(value)), "%(<name>)b::text::jsonb")

    def _plain(self, text: str) -> str:
        return self._bind(json_escaped(text), "%(<name>)b::text")

    def _field(self, path: Path) -> str:
        """The field as JSONB; NULL if it is missing. `->` with a text leads into objects only."""
        return "(item.value" + "".join([f" -> {self._plain(name)}" for name in path]) + ")"

    def _equals(self, node: Equals) -> str:
        if isinstance(node.value, list | dict):
            equal = "coalesce(<field> = <operand>, false)"
            return equal.replace("<field>", self._field(node.path)).replace(
                "<operand>", self._json(node.value)
            )
        # Of one simple value containment says the same, and an index can answer it.
        held = node.value
        for name in reversed(node.path):
            held = {name: held}
        return f"item.value @> {self._json(held)}"

    def _in(self, node: In) -> str:
        if len(node.values) > FEW:
            among = _AMONG.replace("<operands>", self._json(list(node.values)))
            return among.replace("<field>", self._field(node.path))
        return self._or(Or(tuple(Equals(node.path, value) for value in node.values)))

    def _compare(self, node: Compare) -> str:
        field = self._field(node.path)
        if isinstance(node.operand, str):
            kind, test = "string", _COMPARE_TEXT[node.operator].replace("<text>", _TEXT)
            operand = self._plain(node.operand)
        else:
            kind, test, operand = "number", _COMPARE_NUMBER[node.operator], self._json(node.operand)
        return self._of_kind(field, {kind: test}).replace("<operand>", operand)

    def _exists(self, node: Exists) -> str:
        return f"{self._field(node.path)} IS NOT NULL"

    def _is_object(self, node: IsObject) -> str:
        return self._of_kind(self._field(node.path), {"object": "true"})

    def _contains(self, node: Contains) -> str:
        field = self._field(node.path)
        tests = {"array": _HELD.replace("<operand>", self._json(node.operand))}
        if isinstance(node.operand, str):
            part = "strpos(<text>, <part>) > 0".replace("<text>", _TEXT)
            tests["string"] = part.replace("<part>", self._plain(node.operand))
        return self._of_kind(field, tests)

    @staticmethod
    def _of_kind(field: str, tests: dict[str, str]) -> str:
        """The test for the type that the field has; CASE, since AND may look at its right side first."""
        cases = "".join([f" WHEN '{kind}' THEN {test}" for kind, test in tests.items()])
        return f"(CASE jsonb_typeof(<field>){cases} ELSE false END)".replace("<field>", field)

    def _and(self, node: And) -> str:
        return f"({' AND '.join(map(self.condition, node.parts))})" if node.parts else "true"

    def _or(self, node: Or) -> str:
        return f"({' OR '.join(map(self.condition, node.parts))})" if node.parts else "false"

    def _not(self, node: Not) -> str:
        return f"(NOT {self.condition(node.part)})"
