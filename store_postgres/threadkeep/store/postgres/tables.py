"""The tables of items, as migrations. A change is a new entry; none is ever edited."""

from __future__ import annotations

from threadkeep.postgres.ledger import Component, Migration

__all__ = ["ITEMS", "VECTORS"]

_MIGRATIONS = (
    Migration(
        "items",
        (
            # `body` is the value as it was put. `value` is what filters look at: JSONB turns the names of an
            # object round, forgets the form of a number and is slower to read. `ttl` is minutes. Pages are
            # filled to 80 % so that an item can be overwritten where it is, without new index entries: half
            # the work of the server, a third of the log, and a table that stays as it is.
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
            ) WITH (fillfactor = 80)""",
            "CREATE UNIQUE INDEX threadkeep_item_by_name ON {item} (ns, key)",
            "CREATE INDEX threadkeep_item_by_expiry ON {item} (expires) WHERE expires IS NOT NULL",
        ),
    ),
    Migration(
        "words",
        (
            # Of items that were put with an index, in their order and with repetitions: their number ranks.
            'ALTER TABLE {item} ADD COLUMN words text[] COLLATE "C"',
            # What `index` a put had, as JSON, for embedding it anew; NULL: what the store has.
            "ALTER TABLE {item} ADD COLUMN fields text",
            "CREATE INDEX threadkeep_item_by_word ON {item} USING gin (words) WHERE words IS NOT NULL",
        ),
    ),
)
ITEMS = Component("store", "threadkeep-store-postgres", ("item",), _MIGRATIONS)

_VECTOR_MIGRATIONS = (
    Migration(
        "vectors",
        (
            # Two schemas of one database may be set up at once.
            "SELECT pg_advisory_xact_lock(8388024893217513828)",
            "CREATE EXTENSION IF NOT EXISTS vector",
            # In the row up to 2,000 dimensions, not beside it, where comparing takes five times as long. The
            # indexes are made by `setup` as configured. `hash` is of the text.
            """CREATE TABLE {vector} (
                item bigint NOT NULL,
                dims smallint NOT NULL,
                hash bytea NOT NULL,
                ns text COLLATE "C" NOT NULL,
                embedding vector NOT NULL,
                PRIMARY KEY (item, dims, hash)
            ) WITH (toast_tuple_target = 8160)""",
            "CREATE INDEX threadkeep_vector_by_place ON {vector} (dims, ns)",
            # Whoever deletes items deletes their vectors. A foreign key would do so too, and look up the item
            # of each new vector.
            """CREATE FUNCTION {forget}() RETURNS trigger LANGUAGE plpgsql AS $forget$ BEGIN
                DELETE FROM {vector} AS v USING gone WHERE v.item = gone.no;
                RETURN NULL;
            END $forget$""",
            """CREATE TRIGGER threadkeep_forget AFTER DELETE ON {item} REFERENCING OLD TABLE AS gone
                FOR EACH STATEMENT EXECUTE FUNCTION {forget}()""",
        ),
    ),
)
VECTORS = Component(
    "store vectors", "threadkeep-store-postgres", ("vector", "item", "forget"), _VECTOR_MIGRATIONS
)
