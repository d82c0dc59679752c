"""Creating, upgrading and checking the tables of a component, in both colours."""

from __future__ import annotations

from threadkeep.postgres import ledger
from threadkeep.postgres.aconnections import AsyncConnections
from threadkeep.postgres.connections import Connections
from threadkeep.postgres.ledger import Component

__all__ = ["acheck", "asetup", "check", "setup"]


def setup(connections: Connections, component: Component, schema: str, *, dry_run: bool) -> str:
    """Creates or upgrades the tables; returns the SQL for it, which a dry run only prints."""
    state = connections.read(lambda: ledger.state_of(component, schema))
    text = ledger.script(component, schema, state)
    if dry_run:
        print(text, end="")  # noqa: T201 (what a dry run is for)
    elif not state.is_current(component):
        connections.write(lambda: ledger.apply(component, schema), repeatable=True)
        if state.invalid:
            connections.apart(lambda: ledger.rebuild(component, schema))
    return text


async def asetup(connections: AsyncConnections, component: Component, schema: str, *, dry_run: bool) -> str:
    """As `setup`."""
    state = await connections.read(lambda: ledger.state_of(component, schema))
    text = ledger.script(component, schema, state)
    if dry_run:
        print(text, end="")  # noqa: T201 (what a dry run is for)
    elif not state.is_current(component):
        await connections.write(lambda: ledger.apply(component, schema), repeatable=True)
        if state.invalid:
            await connections.apart(lambda: ledger.rebuild(component, schema))
    return text


def check(connections: Connections, component: Component, schema: str) -> bool:
    """Whether the tables are of this version and whole; changes nothing."""
    return connections.read(lambda: ledger.state_of(component, schema)).is_current(component)


async def acheck(connections: AsyncConnections, component: Component, schema: str) -> bool:
    """As `check`."""
    return (await connections.read(lambda: ledger.state_of(component, schema))).is_current(component)
