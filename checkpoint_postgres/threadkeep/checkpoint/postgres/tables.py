"""The tables of the savers, as migrations. A change is a new entry; none is ever edited."""

from __future__ import annotations

from threadkeep.postgres.ledger import Component, Migration

__all__ = ["CHECKPOINTS"]

_MIGRATIONS = (
    Migration(
        "checkpoints",
        (
            # A thread's number is never used again. `change` counts every commit, `epoch` those after which
            # an object's number may mean another object. `key` is the name, or its hash if that is long.
            """CREATE TABLE {thread} (
                no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                key bytea NOT NULL UNIQUE,
                thread_id text NOT NULL,
                epoch bigint NOT NULL DEFAULT 0,
                grave text NOT NULL DEFAULT '',
                next bigint NOT NULL DEFAULT 1,
                change bigint NOT NULL DEFAULT 0,
                created timestamptz NOT NULL DEFAULT now(),
                updated timestamptz NOT NULL DEFAULT now()
            ) WITH (fillfactor = 70)""",
            # `space` is the key of the namespace. `meta` is what filters search, nothing if the metadata are
            # encrypted.
            """CREATE TABLE {point} (
                no bigint NOT NULL,
                space bytea NOT NULL,
                id text COLLATE "C" NOT NULL,
                ns text NOT NULL,
                parent text COLLATE "C",
                meta jsonb,
                body bytea NOT NULL,
                PRIMARY KEY (no, space, id)
            )""",
            "CREATE INDEX threadkeep_point_by_thread ON {point} (no, id)",
            "CREATE INDEX threadkeep_point_by_id ON {point} (id, no)",
            "CREATE INDEX threadkeep_point_by_meta ON {point} USING gin (meta jsonb_path_ops)",
            "CREATE INDEX threadkeep_point_without_meta ON {point} (id) WHERE meta IS NULL",
            """CREATE TABLE {write} (
                no bigint NOT NULL,
                space bytea NOT NULL,
                id text COLLATE "C" NOT NULL,
                task_key bytea NOT NULL,
                task text NOT NULL,
                body bytea NOT NULL,
                PRIMARY KEY (no, space, id, task_key)
            )""",
            """CREATE TABLE {object} (
                no bigint NOT NULL,
                n bigint NOT NULL,
                place bytea,
                tag text,
                body bytea NOT NULL,
                PRIMARY KEY (no, n)
            )""",
            "CREATE INDEX threadkeep_object_by_place ON {object} (no, place) WHERE place IS NOT NULL",
            # Values are stored as the serialiser made them: packing them again costs more than it saves.
            "ALTER TABLE {object} ALTER COLUMN body SET STORAGE EXTERNAL",
            "ALTER TABLE {point} ALTER COLUMN body SET STORAGE EXTERNAL",
            "ALTER TABLE {write} ALTER COLUMN body SET STORAGE EXTERNAL",
            # One random key a schema, so that nobody can prepare values whose hashes collide.
            "CREATE TABLE {secret} (hash_key bytea NOT NULL)",
            "INSERT INTO {secret} SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())",
        ),
    ),
)
CHECKPOINTS = Component(
    "checkpoint",
    "threadkeep-checkpoint-postgres",
    ("thread", "point", "write", "object", "secret"),
    _MIGRATIONS,
)
