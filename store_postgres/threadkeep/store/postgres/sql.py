"""Every statement on items: constants with bound parameters. The driver quotes the tables' names."""

from __future__ import annotations

__all__ = ["complete", "search"]

# The time of the statement, not of the transaction: a program may keep one open around many operations.
NOW = "coalesce(%(now)b::timestamptz, statement_timestamp())"
_ALIVE = "(item.expires IS NULL OR item.expires > <now>)"
_READ = "item.body, item.created, item.updated, CASE WHEN item.ttl IS NOT NULL THEN item.no END"


def complete(template: str) -> str:
    """The template with these written out: `<read>`, the columns of an item that is returned, `<alive>`,
    whether it has not expired, and `<now>`.
    """
    return template.replace("<read>", _READ).replace("<alive>", _ALIVE).replace("<now>", NOW)


GET = complete("""
    SELECT 1::bigint, <read> FROM {item} AS item WHERE ns = %(ns)b AND key = %(key)b AND <alive>""")
GET_MANY = complete("""
    SELECT i, <read> FROM unnest(%(ns)b::text[], %(key)b::text[]) WITH ORDINALITY AS ask (ns, key, i)
    JOIN {item} AS item ON item.ns = ask.ns COLLATE "C" AND item.key = ask.key COLLATE "C" WHERE <alive>""")
# An item that another transaction holds is being written, or refreshed there.
TOUCH = complete("""
    WITH mine AS (SELECT no FROM {item} AS item
        WHERE no = ANY(%(no)b::bigint[]) AND ttl IS NOT NULL AND expires > <now> FOR UPDATE SKIP LOCKED)
    UPDATE {item} AS item SET expires = <now> + ttl * interval '1 minute' FROM mine
    WHERE item.no = mine.no""")
PUT = complete("""
    INSERT INTO {item} AS item (ns, key, body, value, created, updated, ttl, expires, words, fields)
    SELECT ns, key, body, coalesce(searchable, body)::jsonb, <now>, <now>, ttl,
        <now> + ttl * interval '1 minute', string_to_array(words, ' '), fields
    FROM unnest(%(ns)b::text[], %(key)b::text[], %(body)b::text[], %(searchable)b::text[], %(ttl)b::float8[],
        %(words)b::text[], %(fields)b::text[]) AS new (ns, key, body, searchable, ttl, words, fields)
    ON CONFLICT (ns, key) DO UPDATE SET body = excluded.body, value = excluded.value, words = excluded.words,
        fields = excluded.fields,
        created = CASE WHEN item.expires <= excluded.updated THEN excluded.created ELSE item.created END,
        updated = excluded.updated, ttl = excluded.ttl, expires = excluded.expires""")
# After the puts of a store without an index where others have one: what they embedded is no longer the item.
# Not in the statement of the puts, which would not see what one of the others stored while it waited for it.
FORGET = """
    DELETE FROM {vector} AS v USING {item} AS item,
        unnest(%(ns)b::text[], %(key)b::text[]) AS asked (ns, key)
    WHERE item.ns = asked.ns COLLATE "C" AND item.key = asked.key COLLATE "C" AND v.item = item.no"""
DELETE = """
    DELETE FROM {item} AS item USING unnest(%(ns)b::text[], %(key)b::text[]) AS gone (ns, key)
    WHERE item.ns = gone.ns COLLATE "C" AND item.key = gone.key COLLATE "C" """

SEARCH = complete("""
    SELECT item.ns, item.key, <read> FROM {item} AS item WHERE <alive> AND <where>
    ORDER BY <order> LIMIT %(limit)b OFFSET %(offset)b""")
_WITHIN = "item.ns >= %(first)b AND item.ns < %(end)b"
_BEHIND = {
    "asc": "(item.updated, item.ns, item.key) > (%(updated)b::timestamptz, %(ns)b, %(key)b)",
    "desc": "(item.updated, item.ns, item.key) < (%(updated)b::timestamptz, %(ns)b, %(key)b)",
}
_ORDER = {
    "asc": "item.updated, item.ns, item.key",
    "desc": "item.updated DESC, item.ns DESC, item.key DESC",
}


def search(condition: str, order: str, *, within: bool, behind: bool) -> str:
    """The template of a list: `within` a range of namespaces, `behind` an item."""
    where = [condition] + [_WITHIN] * within + [_BEHIND[order]] * behind
    return SEARCH.replace("<where>", " AND ".join(where)).replace("<order>", _ORDER[order])


# From one namespace to the next by the index, however many items lie between: as many steps as namespaces.
NAMESPACES = complete("""
    WITH RECURSIVE names (ns) AS (
        (SELECT ns FROM {item} AS item WHERE ns >= %(first)b AND ns < %(end)b AND <alive> ORDER BY ns LIMIT 1)
        UNION ALL
        SELECT (SELECT item.ns FROM {item} AS item WHERE item.ns > names.ns AND item.ns < %(end)b AND <alive>
            ORDER BY item.ns LIMIT 1)
        FROM names WHERE names.ns IS NOT NULL
    ), labelled AS (
        SELECT string_to_array(left(ns, -1), E'\\x01') AS labels FROM names WHERE ns IS NOT NULL
    )
    SELECT DISTINCT array_to_string(labels[1:coalesce(%(depth)b::int, cardinality(labels))], E'\\x01')
        COLLATE "C" AS name
    FROM labelled
    WHERE cardinality(labels) >= greatest(cardinality(%(prefix)b::text[]), cardinality(%(suffix)b::text[]))
        AND NOT EXISTS (SELECT FROM unnest(%(prefix)b::text[]) WITH ORDINALITY AS asked (label, i)
            WHERE label <> labels[i] COLLATE "C")
        AND NOT EXISTS (SELECT FROM unnest(%(suffix)b::text[]) WITH ORDINALITY AS asked (label, i)
            WHERE label <> labels[cardinality(labels) - cardinality(%(suffix)b::text[]) + i] COLLATE "C")
    ORDER BY name LIMIT %(limit)b OFFSET %(offset)b""")

TRY_SWEEPING = "SELECT pg_try_advisory_xact_lock(%b::bigint)"
SWEEP = complete("""
    WITH expired AS (SELECT no FROM {item} WHERE expires <= <now> ORDER BY expires LIMIT %(limit)b
        FOR UPDATE SKIP LOCKED)
    DELETE FROM {item} AS item USING expired
    WHERE item.no = expired.no AND item.expires <= <now> RETURNING item.no""")
