"""The statements that rank items: by meaning, compared exactly or through an index, and by words. Constants.

A search by meaning is one statement, which decides in the database how it searches: where few vectors lie in
its namespaces it compares them all, else it asks the index. `recall` goes on where that was not enough.
"""

from __future__ import annotations

from typing import NamedTuple

from threadkeep.store.postgres.indexes import PROBES, VectorIndex, indexed
from threadkeep.store.postgres.sql import complete

__all__ = ["Shape", "by_meaning", "by_words", "settings"]

FEW = 2_000
"""So many vectors are always compared exactly: 1 to 2 ms of 384 dimensions."""
PER_FOUND = 12
"""What visiting a vector through an index costs, in comparisons without it. An index in which one of so many
vectors passes is left after count * all / passing of them, so comparing all is quicker up to
sqrt(PER_FOUND * count * all) vectors."""
RESCORED = 8
"""Candidates by bits for each result; those that are nearest by the full vectors are taken."""


class Shape(NamedTuple):
    """What a statement of ranking looks like, apart from its parameters."""

    condition: str
    """The filter."""
    within: bool
    """Whether it is about a range of namespaces."""
    behind: bool
    """Whether a page begins behind an item."""


# HNSW leaves out zero vectors, whose cosine distance is NaN; their similarity to anything is 0.
_DISTANCES = {
    "cosine": "coalesce(nullif(v.embedding <=> %(query)b::vector, 'NaN'), 1)",
    "inner_product": "v.embedding <#> %(query)b::vector",
    "l2": "v.embedding <-> %(query)b::vector",
}
_SCORES = {"cosine": "1 - min(distance)", "inner_product": "- min(distance)", "l2": "- min(distance)"}

_WITHIN = "AND v.ns >= %(first)b AND v.ns < %(end)b"
# A CASE, of which the planner knows nothing: it takes a range for a few rows, and would read and sort all.
_WITHIN_INDEXED = "AND CASE WHEN v.ns >= %(first)b THEN v.ns < %(end)b ELSE false END"
_BEHIND = """WHERE (best.score < %(after)b::float8 OR best.score = %(after)b::float8
    AND (item.updated, item.ns, item.key) > (%(updated)b::timestamptz, %(ns)b, %(key)b))"""
# OFFSET keeps the planner from turning the lookup of a few rows into a join with all.
_PASSING_EACH = """CROSS JOIN LATERAL
    (SELECT FROM {item} AS item WHERE item.no = v.item AND <alive> AND <condition> OFFSET 0) AS passing"""
_PASSING = "JOIN {item} AS item ON item.no = v.item AND <alive> AND <condition>"

_DECIDED = """
    most AS MATERIALIZED (
        SELECT greatest(<few>, sqrt(<per found> * <count> * greatest(reltuples, 0)))::bigint AS most,
            reltuples, of_vector.indexed, of_vector.lists
        FROM pg_class AS vectors CROSS JOIN LATERAL (
            SELECT count(*) > 0 AS indexed, max(option_value::int) AS lists
            FROM pg_index JOIN pg_class AS known ON known.oid = indexrelid
                LEFT JOIN pg_options_to_table(known.reloptions) ON option_name = 'lists'
            WHERE indrelid = vectors.oid AND known.relname = '<name>' AND indisvalid
        ) AS of_vector
        WHERE vectors.oid = (SELECT tableoid FROM {vector} LIMIT 1)
    ), few AS MATERIALIZED (
        SELECT most, indexed, lists, <matching> AS matching FROM most
    )"""
_MATCHING = """(SELECT count(*) FROM (SELECT FROM {vector} AS v
    WHERE v.dims = <dims> <within> LIMIT (SELECT most + 1 FROM most)) AS counted)"""
_MATCHING_ALL = f"CASE WHEN reltuples > most THEN reltuples::bigint ELSE {_MATCHING} END"
_UNDECIDED = """
    few AS (SELECT NULL::bigint AS most, false AS indexed, NULL::int AS lists, NULL::bigint AS matching)"""

_EXACT = """
    (SELECT v.item, <distance> AS distance FROM {vector} AS v <passing> WHERE v.dims = <dims> <within> <gate>
        ORDER BY 2 FETCH FIRST <count> ROWS WITH TIES)"""
_GATE_EXACT = "AND (SELECT NOT indexed OR matching <= most FROM few)"
_THROUGH_INDEX = """
    (SELECT v.item, <distance> AS distance FROM {vector} AS v <passing each>
        WHERE v.dims = <dims> AND v.<mark> <within indexed>
            AND (SELECT indexed AND matching > most FROM few) AND (SELECT <settings> FROM few)
        ORDER BY <place> FETCH FIRST <candidates> ROWS <ties>)"""

_RANKED = """
    WITH <few>, near AS MATERIALIZED (<near>
    ), best AS (SELECT item, <score> AS score FROM near GROUP BY item)
    SELECT few.matching, few.most, few.indexed, (SELECT count(*) FROM near), found.* FROM few LEFT JOIN (
        SELECT item.ns, item.key, <read>, best.score FROM best CROSS JOIN LATERAL
            (SELECT * FROM {item} AS item WHERE item.no = best.item AND <alive> OFFSET 0) AS item
        <behind>
        ORDER BY best.score DESC, item.updated, item.ns, item.key LIMIT %(limit)b OFFSET %(offset)b
    ) AS found ON true ORDER BY found.score DESC, found.updated, found.ns, found.key"""


def settings(index: VectorIndex, count: int) -> str:
    """An expression, true, that sets how the index is searched for as long as the statement runs."""
    given = index.searched_with
    if index.kind == "hnsw":
        wanted = {
            "hnsw.ef_search": str(min(1_000, max(given.get("ef_search", 40), count))),
            "hnsw.iterative_scan": given.get("iterative_scan", "relaxed_order"),
            "hnsw.max_scan_tuples": str(given.get("max_scan_tuples", 20_000)),
        }
        return " AND ".join(
            [f"set_config('{name}', '{value}', true) IS NOT NULL" for name, value in wanted.items()]
        )
    probes = str(given.get("probes", PROBES))
    return (
        f"set_config('ivfflat.probes', least(coalesce(lists, 1), {probes})::text, true) IS NOT NULL"
        f" AND set_config('ivfflat.iterative_scan', '{given.get('iterative_scan', 'relaxed_order')}', true)"
        " IS NOT NULL"
        f" AND set_config('ivfflat.max_probes', '{given.get('max_probes', 32_768)}', true) IS NOT NULL"
    )


def by_meaning(index: VectorIndex, shape: Shape, count: int, *, exact: bool) -> str:
    """The template of the statement that finds the *count* nearest vectors and their items.

    `exact`: all vectors are compared; else that is decided by how many there are. Each row has how many
    vectors lie in the namespaces (as far as they were counted), up to how many are compared exactly, whether
    there is an index, how many candidates there were, and an item with its score; one row without an item if
    none was found.
    """
    passing = bool(shape.condition) and shape.condition != "true"
    near, few = (_EXACT, _UNDECIDED) if exact else (f"{_EXACT} UNION ALL {_THROUGH_INDEX}", _DECIDED)
    template = _RANKED.replace("<near>", near).replace("<few>", few, 1)
    parts = {
        "matching": _MATCHING if shape.within else _MATCHING_ALL,
        "passing each": _PASSING_EACH if passing else "",
        # Where few vectors are compared each item is looked up; where all are, the planner may turn it round.
        "passing": ("" if not passing else _PASSING if exact else _PASSING_EACH),
        "gate": "" if exact else _GATE_EXACT,
        "within": _WITHIN if shape.within else "",
        "within indexed": _WITHIN_INDEXED if shape.within else "",
        "behind": _BEHIND if shape.behind else "",
        "distance": _DISTANCES[index.distance],
        "score": _SCORES[index.distance],
        "candidates": str(count * RESCORED if index.type == "bit" else count),
        "ties": "ONLY" if index.type == "bit" else "WITH TIES",
        "count": str(count),
        "few": str(FEW),
        "per found": str(PER_FOUND),
        "dims": str(index.dims),
        "mark": index.mark,
        "name": index.name,
        **({} if exact else {"settings": settings(index, count), "place": _place(index)}),
        "condition": shape.condition,
    }
    for name, part in parts.items():
        template = template.replace(f"<{name}>", part)
    return complete(template)


def _place(index: VectorIndex) -> str:
    operator = "<~>" if index.type == "bit" else index.operator
    return f"{indexed('v.embedding', index)} {operator} {indexed('%(query)b::vector', index)}"


# BM25 with what was found as the collection: a word that is in every item found says nothing about any.
_WORDED = """
    WITH hit AS MATERIALIZED (
        SELECT item.no, cardinality(item.words) AS size, held.word, count(*) AS times
        FROM {item} AS item CROSS JOIN LATERAL unnest(item.words) AS held (word)
        WHERE item.words && %(words)b::text[] AND held.word = ANY(%(words)b::text[])
            AND <alive> AND <condition> <within>
        GROUP BY item.no, held.word
    ), holding AS (SELECT word, count(*) AS holders FROM hit GROUP BY word
    ), usual AS (SELECT count(*) AS everyone, avg(size) AS size
        FROM (SELECT DISTINCT no, size FROM hit) AS found
    ), best AS (
        SELECT hit.no, sum(ln(1 + (everyone - holders + 0.5) / (holders + 0.5)) * times * 2.2
            / (times + 1.2 * (0.25 + 0.75 * hit.size / usual.size)) ORDER BY word)::float8 AS score
        FROM hit JOIN holding USING (word) CROSS JOIN usual GROUP BY hit.no
    )
    SELECT item.ns, item.key, <read>, best.score FROM best JOIN {item} AS item USING (no)
    <behind>
    ORDER BY best.score DESC, item.updated, item.ns, item.key LIMIT %(limit)b OFFSET %(offset)b"""


def by_words(shape: Shape) -> str:
    """The template of the statement that finds items with one of some words, and their scores, best first."""
    template = _WORDED.replace("<within>", _WITHIN.replace("v.ns", "item.ns") if shape.within else "")
    template = template.replace("<behind>", _BEHIND if shape.behind else "")
    return complete(template.replace("<condition>", shape.condition))
