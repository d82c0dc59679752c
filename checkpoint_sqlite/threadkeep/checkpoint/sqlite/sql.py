"""Every statement on checkpoints. Constants with bound parameters.

A number `no << 32 | n` is that of object n, or of hash n, of thread `no`; << | & have one precedence.
Parameters are never `?1`: Python 3.12.0 to 3.12.3 warn. https://github.com/python/cpython/issues/117995
"""

FIND_THREAD = """
    SELECT no, epoch, grave, 1 + (coalesce(
        (SELECT max(key) FROM object WHERE key BETWEEN no << 32 AND no << 32 | 4294967295), 0) & 4294967295),
        (SELECT id FROM log WHERE log.no = thread.no AND ns = ? AND kind = 0 ORDER BY id DESC LIMIT 1)
    FROM thread WHERE thread_id = ?"""
THREADS = """
    SELECT thread_id, no, epoch, grave, 1 + (coalesce(
        (SELECT max(key) FROM object WHERE key BETWEEN no << 32 AND no << 32 | 4294967295), 0) & 4294967295)
    FROM thread WHERE no > ? ORDER BY no LIMIT ?"""
ADD_THREAD = "INSERT INTO thread (thread_id, created) VALUES (?, ?)"

HEAD = "SELECT id FROM log WHERE no = ? AND ns = ? AND kind = 0 ORDER BY id DESC LIMIT 1"
NEWEST_POINT = """
    SELECT log.no, thread.thread_id, ns, id, parent, body FROM log JOIN thread USING (no)
    WHERE log.no = ? AND ns = ? AND kind = 0 ORDER BY id DESC LIMIT 1"""
READ_POINT = """
    SELECT log.no, thread.thread_id, ns, id, parent, body FROM log JOIN thread USING (no)
    WHERE log.no = ? AND ns = ? AND id = ? AND kind = 0"""
HAS_CHILD = "SELECT id FROM log WHERE no = ? AND ns = ? AND kind = 0 AND parent = ? ORDER BY id DESC LIMIT 1"
PUT_POINT = "INSERT OR REPLACE INTO log (no, ns, id, kind, task, parent, body) VALUES (?, ?, ?, 0, '', ?, ?)"

READ_WRITES = "SELECT task, body FROM log WHERE no = ? AND ns = ? AND id = ? AND kind = 1"
READ_TASK = "SELECT task, body FROM log WHERE no = ? AND ns = ? AND id = ? AND kind = 1 AND task = ?"
ADD_WRITES = "INSERT OR IGNORE INTO log (no, ns, id, kind, task, body) VALUES (?, ?, ?, 1, ?, ?)"
SET_WRITES = "INSERT OR REPLACE INTO log (no, ns, id, kind, task, body) VALUES (?, ?, ?, 1, ?, ?)"

OBJECTS_AT = "SELECT key, tag, body FROM object WHERE place = ?"
OBJECTS_AT_ALL = "SELECT key, tag, body FROM object WHERE place IN (SELECT value FROM json_each(?))"
OBJECTS_BETWEEN = "SELECT key, body, tag FROM object WHERE key BETWEEN ? AND ?"
OBJECTS_BETWEEN_ALL = """
    SELECT object.key, body, tag FROM json_each(?) AS bounds CROSS JOIN object
    ON object.key BETWEEN json_extract(bounds.value, '$[0]') AND json_extract(bounds.value, '$[1]')"""
ADD_OBJECT = "INSERT INTO object (key, place, tag, body) VALUES (?, ?, ?, ?)"

PAGES = {
    (True, True): """
        SELECT log.no, thread.thread_id, ns, id, parent, body FROM log JOIN thread USING (no)
        WHERE log.no = :no AND ns = :ns AND kind = 0 AND id < :after_id
        ORDER BY id DESC LIMIT :limit""",
    (True, False): """
        SELECT log.no, thread.thread_id, ns, id, parent, body FROM log JOIN thread USING (no)
        WHERE log.no = :no AND kind = 0 AND (id, log.no, ns) < (:after_id, :after_no, :after_ns)
        ORDER BY id DESC, ns DESC LIMIT :limit""",
    (False, False): """
        SELECT log.no, thread.thread_id, ns, id, parent, body FROM log JOIN thread USING (no)
        WHERE kind = 0 AND (id, log.no, ns) < (:after_id, :after_no, :after_ns)
        ORDER BY id DESC, log.no DESC, ns DESC LIMIT :limit""",
}
"""By whether thread and namespace are given."""

ROWS = """
    SELECT ns, id, kind, task, body FROM log WHERE no = ? AND (ns, id, kind, task) > (?, ?, ?, ?)
    ORDER BY ns, id, kind, task LIMIT ?"""
STALE = """
    SELECT ns, id FROM log AS old WHERE no = ? AND kind = 0 AND EXISTS (
        SELECT 1 FROM log AS newer WHERE newer.no = old.no AND newer.ns = old.ns AND newer.id > old.id
            AND newer.kind = 0) LIMIT ?"""
NUMBERS = "SELECT key FROM object WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"
DROP_POINT = "DELETE FROM log WHERE no = ? AND ns = ? AND id = ?"
DROP_LOG = "DELETE FROM log WHERE no = ?"
DROP_OBJECTS = "DELETE FROM object WHERE key BETWEEN ? AND ?"
SWEEP = "UPDATE thread SET epoch = (epoch + 1) | 1 WHERE no = ?"
TOUCH = "UPDATE thread SET epoch = (epoch | 1) + 1 WHERE no = ?"
EPOCH = "SELECT epoch FROM thread WHERE no = ?"
BURY = "UPDATE thread SET epoch = (epoch | 1) + 1, grave = ? WHERE no = ?"
COPY_LOG = """
    INSERT INTO log (no, ns, id, kind, task, parent, body)
    SELECT :target, ns, id, kind, task, parent, body FROM log WHERE no = :source"""
COPY_OBJECTS = """
    INSERT INTO object (key, place, tag, body)
    SELECT :target << 32 | (key & 4294967295), :target << 32 | (place & 4294967295), tag, body
    FROM object WHERE key BETWEEN :source << 32 AND :source << 32 | 4294967295"""
