"""Every statement on checkpoints: constants with bound parameters. The driver quotes the tables' names."""

from __future__ import annotations

from itertools import product

__all__ = ["ALL", "COMMITS", "PAGES"]


HASH_KEY = "SELECT hash_key FROM {secret}"

FIND_THREAD = "SELECT no, epoch, grave, next, change FROM {thread} WHERE key = %b"
LOCK_THREAD = "SELECT no, epoch, grave, next, change FROM {thread} WHERE key = %b FOR UPDATE"
# A statement sees what was committed before it began; the head must be asked for after the lock was got.
HEAD_BY_KEY = """
    SELECT id FROM {point} WHERE no = (SELECT no FROM {thread} WHERE key = %b) AND space = %b
    ORDER BY id DESC LIMIT 1"""
ADD_THREAD = """
    INSERT INTO {thread} (key, thread_id) VALUES (%b, %b) ON CONFLICT (key) DO NOTHING
    RETURNING no, epoch, grave, next, change"""
CHANGED = """
    UPDATE {thread} SET change = change + 1, next = greatest(next, %b::bigint), updated = now()
    WHERE no = %b"""

HEAD = "SELECT id FROM {point} WHERE no = %b AND space = %b ORDER BY id DESC LIMIT 1"
NEWEST_POINT = """
    SELECT thread_id, ns, id, parent, point.body, tasks, bodies
    FROM (SELECT * FROM {point} WHERE no = %b AND space = %b ORDER BY id DESC LIMIT 1) AS point
    JOIN {thread} AS thread USING (no) CROSS JOIN LATERAL (
        SELECT array_agg(task) AS tasks, array_agg(waits.body) AS bodies FROM {write} AS waits
        WHERE waits.no = point.no AND waits.space = point.space AND waits.id = point.id) AS waiting"""
READ_POINT = """
    SELECT thread_id, ns, id, parent, point.body, tasks, bodies
    FROM (SELECT * FROM {point} WHERE no = %b AND space = %b AND id = %b) AS point
    JOIN {thread} AS thread USING (no) CROSS JOIN LATERAL (
        SELECT array_agg(task) AS tasks, array_agg(waits.body) AS bodies FROM {write} AS waits
        WHERE waits.no = point.no AND waits.space = point.space AND waits.id = point.id) AS waiting"""
FIND_NEWEST = """
    SELECT thread.no, epoch, grave, next, change, ns, id, parent, point.body, tasks, bodies
    FROM {thread} AS thread
    LEFT JOIN LATERAL (SELECT * FROM {point} AS points WHERE points.no = thread.no AND points.space = %b
        ORDER BY id DESC LIMIT 1) AS point ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(task) AS tasks, array_agg(waits.body) AS bodies FROM {write} AS waits
        WHERE waits.no = point.no AND waits.space = point.space AND waits.id = point.id) AS waiting ON true
    WHERE thread.key = %b"""
# With the newest objects, if they are small: the newest checkpoint most often refers to these.
FIND_NEWEST_COLD = """
    SELECT thread.no, epoch, grave, next, change, ns, id, parent, point.body, tasks, bodies,
        numbers, tags, blobs
    FROM {thread} AS thread
    LEFT JOIN LATERAL (SELECT * FROM {point} AS points WHERE points.no = thread.no AND points.space = %b
        ORDER BY id DESC LIMIT 1) AS point ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(task) AS tasks, array_agg(waits.body) AS bodies FROM {write} AS waits
        WHERE waits.no = point.no AND waits.space = point.space AND waits.id = point.id) AS waiting ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(n) AS numbers, array_agg(tag) AS tags, array_agg(newest.body) AS blobs
        FROM (SELECT * FROM {object} AS objects WHERE objects.no = thread.no
            ORDER BY n DESC LIMIT 16) AS newest
        WHERE octet_length(newest.body) <= 4096) AS recent ON true
    WHERE thread.key = %b"""
FIND_POINT = """
    SELECT thread.no, epoch, grave, next, change, ns, id, parent, point.body, tasks, bodies
    FROM {thread} AS thread
    LEFT JOIN LATERAL (SELECT * FROM {point} AS points WHERE points.no = thread.no AND points.space = %b
        AND points.id = %b) AS point ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(task) AS tasks, array_agg(waits.body) AS bodies FROM {write} AS waits
        WHERE waits.no = point.no AND waits.space = point.space AND waits.id = point.id) AS waiting ON true
    WHERE thread.key = %b"""
HAS_CHILD = """
    SELECT id FROM {point} WHERE no = %b AND space = %b AND parent = %b ORDER BY id DESC LIMIT 1"""
READ_WRITES = "SELECT task, body FROM {write} WHERE no = %b AND space = %b AND id = %b"
READ_TASK = "SELECT task, body FROM {write} WHERE no = %b AND space = %b AND id = %b AND task_key = %b"
SET_WRITES = """
    UPDATE {write} SET body = %b WHERE no = %b AND space = %b AND id = %b AND task_key = %b"""

ADD_POINTS = """
    INSERT INTO {point} (no, space, ns, id, parent, meta, body)
    SELECT %b::bigint, * FROM unnest(
        %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[]::jsonb[], %b::bytea[])
    ON CONFLICT (no, space, id)
    DO UPDATE SET parent = excluded.parent, meta = excluded.meta, body = excluded.body"""
ADD_WRITES = """
    INSERT INTO {write} (no, space, id, task_key, task, body)
    SELECT %b::bigint, * FROM unnest(%b::bytea[], %b::text[], %b::bytea[], %b::text[], %b::bytea[])
    ON CONFLICT DO NOTHING RETURNING space, id, task_key"""
ADD_OBJECTS = """
    INSERT INTO {object} (no, n, place, tag, body)
    SELECT %b::bigint, * FROM unnest(%b::bigint[], %b::bytea[], %b::text[], %b::bytea[])"""
# A whole commit in one statement, if the thread is as the writer knows it: every change of a thread counts
# `change` up, and the row's lock lets one writer after the other look at it. Whoever waited sees the new
# number. That the tasks have no writes yet is the writer's knowledge too; where it is wrong, the key refuses.
_CHANGE = """
    UPDATE {thread} SET change = change + 1, next = %b::bigint, updated = now()
    WHERE no = %b::bigint AND change = %b::bigint RETURNING no"""
_MAKE = """
    INSERT INTO {thread} (next, key, thread_id, change) VALUES (%b::bigint, %b::bytea, %b::text, 1)
    ON CONFLICT (key) DO NOTHING RETURNING no"""
_POINTS = """, points AS (
    INSERT INTO {point} (no, space, ns, id, parent, meta, body)
    SELECT thread.no, mine.* FROM thread, unnest(
        %b::bytea[], %b::text[], %b::text[], %b::text[], %b::text[]::jsonb[], %b::bytea[]) AS mine
    ON CONFLICT (no, space, id)
    DO UPDATE SET parent = excluded.parent, meta = excluded.meta, body = excluded.body)"""
_WRITES = """, writes AS (
    INSERT INTO {write} (no, space, id, task_key, task, body)
    SELECT thread.no, mine.* FROM thread, unnest(
        %b::bytea[], %b::text[], %b::bytea[], %b::text[], %b::bytea[]) AS mine)"""
_OBJECTS = """, objects AS (
    INSERT INTO {object} (no, n, place, tag, body)
    SELECT thread.no, mine.* FROM thread, unnest(
        %b::bigint[], %b::bytea[], %b::text[], %b::bytea[]) AS mine)"""

_COMMIT = "WITH thread AS (<thread>)<parts> SELECT no FROM thread"


def _commits() -> dict[tuple[bool, bool, bool, bool], str]:
    commits = {}
    for new, points, writes, objects in product((True, False), repeat=4):
        parts = [_POINTS] * points + [_WRITES] * writes + [_OBJECTS] * objects
        thread = _MAKE if new else _CHANGE
        template = _COMMIT.replace("<thread>", thread).replace("<parts>", "".join(parts))
        commits[new, points, writes, objects] = template
    return commits


COMMITS = _commits()
"""By whether the thread is new, and there are checkpoints, writes, objects: all in one takes 20 % longer."""
_SHALLOW = _CHANGE.replace("next = %b::bigint,", "next = %b::bigint, epoch = %b::bigint,")
_DROPS = """, gone AS (
    SELECT thread.no, space, id FROM thread, unnest(%b::bytea[], %b::text[]) AS mine (space, id)
), no_points AS (
    DELETE FROM {point} AS old USING gone
    WHERE old.no = gone.no AND old.space = gone.space AND old.id = gone.id COLLATE "C"
), no_writes AS (
    DELETE FROM {write} AS old USING gone
    WHERE old.no = gone.no AND old.space = gone.space AND old.id = gone.id COLLATE "C"
), no_objects AS (
    DELETE FROM {object} AS old USING thread, unnest(%b::bigint[], %b::bigint[]) AS part (first, last)
    WHERE old.no = thread.no AND old.n BETWEEN part.first AND part.last)"""
COMMIT_SHALLOW = _COMMIT.replace("<thread>", _SHALLOW).replace(
    "<parts>", f"{_POINTS}{_WRITES}{_OBJECTS}{_DROPS}"
)
"""Of a thread without history: begins an epoch, and deletes checkpoints with their writes, and objects."""

# The commits of several threads. One whose row somebody else has locked is left out: it must not hold up
# the others. A sub-select hides how long an array is; else the server may plan anew each time, which takes
# it longer than the work (0.5 ms).
_CHANGE_ALL = """
    UPDATE {thread} AS thread SET change = thread.change + 1, next = mine.next, updated = now()
    FROM unnest((SELECT %b::bigint[]), (SELECT %b::bigint[]), (SELECT %b::bigint[]))
        AS mine (next, no, change)
    CROSS JOIN LATERAL (SELECT same.no FROM {thread} AS same
        WHERE same.no = mine.no AND same.change = mine.change FOR UPDATE SKIP LOCKED) AS locked
    WHERE thread.no = locked.no RETURNING thread.no, thread.no AS ref"""
_MAKE_ALL = """
    INSERT INTO {thread} (next, key, thread_id, change)
    SELECT mine.*, 1 FROM unnest((SELECT %b::bigint[]), (SELECT %b::bytea[]), (SELECT %b::text[])) AS mine
    ON CONFLICT (key) DO NOTHING RETURNING no, key AS ref"""
_COMMIT_ALL = """
    WITH thread AS (<threads>), points AS (
        INSERT INTO {point} (no, space, ns, id, parent, meta, body)
        SELECT no, space, ns, id, parent, meta, body FROM thread JOIN unnest(
            (SELECT %b::<ref>[]), (SELECT %b::bytea[]), (SELECT %b::text[]), (SELECT %b::text[]),
            (SELECT %b::text[]), (SELECT %b::text[]::jsonb[]), (SELECT %b::bytea[])
        ) AS mine (ref, space, ns, id, parent, meta, body) USING (ref)
        ON CONFLICT (no, space, id)
        DO UPDATE SET parent = excluded.parent, meta = excluded.meta, body = excluded.body
    ), writes AS (
        INSERT INTO {write} (no, space, id, task_key, task, body)
        SELECT no, space, id, task_key, task, body FROM thread JOIN unnest(
            (SELECT %b::<ref>[]), (SELECT %b::bytea[]), (SELECT %b::text[]), (SELECT %b::bytea[]),
            (SELECT %b::text[]), (SELECT %b::bytea[])
        ) AS mine (ref, space, id, task_key, task, body) USING (ref)
    ), objects AS (
        INSERT INTO {object} (no, n, place, tag, body)
        SELECT no, n, place, tag, body FROM thread JOIN unnest(
            (SELECT %b::<ref>[]), (SELECT %b::bigint[]), (SELECT %b::bytea[]), (SELECT %b::text[]),
            (SELECT %b::bytea[])
        ) AS mine (ref, n, place, tag, body) USING (ref)
    )
    SELECT no, ref FROM thread"""
COMMIT_ALL = _COMMIT_ALL.replace("<threads>", _CHANGE_ALL).replace("<ref>", "bigint")
COMMIT_ALL_NEW = _COMMIT_ALL.replace("<threads>", _MAKE_ALL).replace("<ref>", "bytea")

OBJECTS_OF_MANY = """
    SELECT i, n FROM unnest((SELECT %b::bigint[]), (SELECT %b::bytea[])) WITH ORDINALITY AS mine (no, at, i)
    CROSS JOIN LATERAL (
        SELECT n FROM {object} AS objects WHERE objects.no = mine.no AND objects.place = mine.at) AS found"""
OBJECTS_AT = "SELECT place, n FROM {object} WHERE no = %b AND place = ANY(%b::bytea[])"
# Nothing if the thread began a new epoch since its row was read: a number may then be another object's. The
# sub-selects as in COMMIT_ALL.
OBJECTS_BETWEEN = """
    SELECT n, tag, body
    FROM unnest((SELECT %b::bigint[]), (SELECT %b::bigint[])) AS part (first, last)
    CROSS JOIN LATERAL (SELECT n, tag, body FROM {object} WHERE no = %b AND n BETWEEN first AND last) AS found
    WHERE EXISTS (SELECT FROM {thread} WHERE no = %b AND epoch = coalesce(%b::bigint, epoch))"""

# The thread's name is looked up: in a join the server might walk through all threads up to this one.
_PAGE = """
    SELECT no, (SELECT thread_id FROM {thread} AS thread WHERE thread.no = <no>), ns, id, parent, point.body,
        tasks, bodies
    FROM (SELECT * FROM {point} AS points WHERE <where> ORDER BY <order> LIMIT %(limit)b) AS point
    CROSS JOIN LATERAL (
        SELECT array_agg(task) AS tasks, array_agg(waits.body) AS bodies FROM {write} AS waits
        WHERE waits.no = point.no AND waits.space = point.space AND waits.id = point.id) AS waiting
    ORDER BY <order>"""
_AFTER = """(id, no, ns COLLATE "C") < (%(id)b, %(after)b, %(ns)b)"""
_LABELLED = "(meta @> ANY(%(meta)b::text[]::jsonb[]) OR meta IS NULL)"


def _pages() -> dict[tuple[bool, bool, bool, bool], str]:
    pages = {}
    for thread, space in ((True, True), (True, False), (False, False)):
        for first in (True, False):
            for labelled in (True, False):
                where = ["no = %(no)b"] * thread + ["space = %(space)b"] * space
                where += [] if first else ["id < %(id)b" if space else _AFTER]
                where += [_LABELLED] if labelled else []
                order = "id DESC" if space else """id DESC, no DESC, ns COLLATE "C" DESC"""
                template = _PAGE.replace("<where>", " AND ".join(where) or "true").replace("<order>", order)
                no = "%(no)b" if thread else "point.no"
                pages[thread, space, first, labelled] = template.replace("<no>", no)
    return pages


PAGES = _pages()
"""By whether thread, namespace, no last one seen, and labels to be matched are given."""

THREADS = "SELECT thread_id, no, epoch, grave, next FROM {thread} WHERE no > %b ORDER BY no LIMIT %b"
THREADS_OF_RUNS = """
    SELECT thread_id, no, epoch, grave, next FROM {thread} WHERE no > %b AND no IN (
        SELECT no FROM {point} WHERE meta @> ANY(%b::text[]::jsonb[]) OR meta IS NULL) ORDER BY no LIMIT %b"""
POINT_ROWS = """
    SELECT space, id, NULL, ns, NULL, body FROM {point} WHERE no = %b AND (space, id) > (%b, %b)
    ORDER BY space, id LIMIT %b"""
WRITE_ROWS = """
    SELECT space, id, task_key, ns, task, waits.body
    FROM (SELECT * FROM {write} WHERE no = %b AND (space, id, task_key) > (%b, %b, %b)
        ORDER BY space, id, task_key LIMIT %b) AS waits
    LEFT JOIN {point} AS point USING (no, space, id) ORDER BY space, id, task_key"""
STALE = """
    SELECT ns, id FROM {point} AS old WHERE no = %b AND EXISTS (
        SELECT FROM {point} AS newer
        WHERE newer.no = old.no AND newer.space = old.space AND newer.id > old.id) LIMIT %b"""
NUMBERS = "SELECT n FROM {object} WHERE no = %b AND n > %b ORDER BY n LIMIT %b"
DROP_POINTS = """
    DELETE FROM {point} AS points USING unnest(%b::bytea[], %b::text[]) AS gone (space, id)
    WHERE points.no = %b AND points.space = gone.space AND points.id = gone.id COLLATE "C" """
DROP_WRITES = """
    DELETE FROM {write} AS waits USING unnest(%b::bytea[], %b::text[]) AS gone (space, id)
    WHERE waits.no = %b AND waits.space = gone.space AND waits.id = gone.id COLLATE "C" """
DROP_OBJECTS = """
    DELETE FROM {object} AS objects USING unnest(%b::bigint[], %b::bigint[]) AS part (first, last)
    WHERE objects.no = %b AND objects.n BETWEEN part.first AND part.last"""
DROP_ALL_POINTS = "DELETE FROM {point} WHERE no = %b"
DROP_ALL_WRITES = "DELETE FROM {write} WHERE no = %b"
DROP_ALL_OBJECTS = "DELETE FROM {object} WHERE no = %b"
SWEEP = "UPDATE {thread} SET epoch = (epoch + 1) | 1 WHERE no = %b RETURNING epoch"
TOUCH = "UPDATE {thread} SET epoch = (epoch | 1) + 1 WHERE no = %b RETURNING epoch"
BURY = "UPDATE {thread} SET epoch = (epoch | 1) + 1, grave = %b WHERE no = %b"
COPY_POINTS = """
    INSERT INTO {point} (no, space, ns, id, parent, meta, body)
    SELECT %b::bigint, space, ns, id, parent, meta, body FROM {point} WHERE no = %b"""
COPY_WRITES = """
    INSERT INTO {write} (no, space, id, task_key, task, body)
    SELECT %b::bigint, space, id, task_key, task, body FROM {write} WHERE no = %b"""
COPY_OBJECTS = """
    INSERT INTO {object} (no, n, place, tag, body)
    SELECT %b::bigint, n, place, tag, body FROM {object} WHERE no = %b"""
COPY_NEXT = """
    UPDATE {thread} SET next = (SELECT next FROM {thread} WHERE no = %b) WHERE no = %b RETURNING next"""

ALL = [
    HASH_KEY, FIND_THREAD, LOCK_THREAD, HEAD_BY_KEY, ADD_THREAD, CHANGED, HEAD, NEWEST_POINT, READ_POINT,
    FIND_NEWEST, FIND_NEWEST_COLD, FIND_POINT, HAS_CHILD, READ_WRITES, READ_TASK, SET_WRITES, ADD_POINTS,
    ADD_WRITES, OBJECTS_OF_MANY,
    ADD_OBJECTS, COMMIT_SHALLOW, COMMIT_ALL, COMMIT_ALL_NEW, OBJECTS_AT, OBJECTS_BETWEEN, THREADS,
    THREADS_OF_RUNS, POINT_ROWS, WRITE_ROWS, STALE, NUMBERS, DROP_POINTS, DROP_WRITES, DROP_OBJECTS,
    DROP_ALL_POINTS, DROP_ALL_WRITES, DROP_ALL_OBJECTS, SWEEP, TOUCH, BURY, COPY_POINTS, COPY_WRITES,
    COPY_OBJECTS, COPY_NEXT, *PAGES.values(), *COMMITS.values(),
]  # fmt: skip
