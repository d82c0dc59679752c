"""The tables of items, as migrations. A change is a new entry; none is ever edited."""

from __future__ import annotations

from threadkeep.postgres.ledger import Component, Migration

__all__ = ["ITEMS"]

_MIGRATIONS = (
    Migration(
        "items",
        (
            # `body` is the value as it was put. `value` is what filters look at: JSONB turns the names of an
            # object round, forgets the form of a number and is slower to read. `ttl` is minutes.
            """CREATE TABLE {item} (
                no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                ns text COLLATE "C" NOT NULL,
                key text COLLATE "C" NOT NULL,
                body text NOT NULL,
                value jsonb NOT NULL,
                created timestamptz NOT NULL,
                updated timestamptz NOT NULL,
                ttl double precision,
                expires timestamptz
            )""",
            "CREATE UNIQUE INDEX threadkeep_item_by_name ON {item} (ns, key)",
            "CREATE INDEX threadkeep_item_by_expiry ON {item} (expires) WHERE expires IS NOT NULL",
        ),
    ),
)
ITEMS = Component("store", "threadkeep-store-postgres", ("item",), _MIGRATIONS)
