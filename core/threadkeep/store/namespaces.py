"""How namespaces match and are listed: label by label, exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from threadkeep.store.base.ops import ListNamespacesOp, MatchCondition, Namespace, NamespacePath


def meets(namespace: Namespace, conditions: Iterable[MatchCondition] | None) -> bool:
    """Whether *namespace* begins and ends as all the conditions say."""
    return all(_has(namespace, *condition) for condition in conditions or ())


def _has(namespace: Namespace, kind: str, path: NamespacePath) -> bool:
    if len(path) > len(namespace):
        return False
    labels = namespace if kind == "prefix" else namespace[len(namespace) - len(path) :]
    return all(label in ("*", found) for label, found in zip(path, labels, strict=False))


def listed(namespaces: Iterable[Namespace], op: ListNamespacesOp) -> list[Namespace]:
    """The page of *namespaces* that *op* asks for."""
    found = {name[: op.max_depth] for name in namespaces if meets(name, op.match_conditions)}
    return sorted(found)[op.offset : op.offset + op.limit]
