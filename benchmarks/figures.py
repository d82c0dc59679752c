"""The figures to reach: what is compared, in which unit, and the target."""

from typing import NamedTuple


class Target(NamedTuple):
    """A bound for ours: a multiple of the reference's figure, or of the limit's, or absolute in the unit."""

    bound: float
    absolute: bool = False
    of_limit: bool = False


class Figure(NamedTuple):
    """One line of the table; `metric` may be a quotient `a/b` of two metrics of the same workload."""

    workload: str
    metric: str
    what: str
    unit: str
    targets: tuple[Target, ...] = ()
    more_is_better: bool = False
    full_only: bool = False


def rate_of(workload: str, what: str, unit: str, bound: float) -> Figure:
    metric = f"{unit.removesuffix('/s')}_per_s"
    return Figure(workload, metric, what, unit, (Target(bound),), more_is_better=True)


def chat_figures(workload: str, kind: str, reads: tuple[float, float]) -> list[Figure]:
    def row(metric: str, what: str, unit: str, target: Target) -> Figure:
        return Figure(workload, metric, f"chat of 500 turns, {kind}: {what}", unit, (target,), full_only=True)

    return [
        row("stored_mb", "stored", "MB", Target(4, absolute=True)),
        row("written_mb", "written to disk", "MB", Target(20, absolute=True)),
        row("early_ms", "turns 1–50", "ms", Target(1 / 4)),
        row("late_ms", "turns 451–500", "ms", Target(1 / 15)),
        row("late_ms/early_ms", "growth of a turn", "×", Target(1.5, absolute=True)),
        row("get_state_ms", "get_state at the end", "ms", Target(reads[0])),
        row("history_ms", "history page of 20", "ms", Target(reads[1])),
    ]


def postgres_chat_figures() -> list[Figure]:
    def row(metric: str, what: str, unit: str, *targets: Target) -> Figure:
        text = f"chat of 500 turns, PostgreSQL: {what}"
        return Figure("pg-chat", metric, text, unit, targets, full_only=True)

    return [
        row("stored_mb", "stored", "MB", Target(4, absolute=True)),
        row("early_ms", "turns 1–50", "ms", Target(1 / 3)),
        row("late_ms", "turns 451–500", "ms", Target(1 / 20)),
        row("late_ms/early_ms", "growth of a turn", "×", Target(1.5, absolute=True)),
        row("commits", "commits a turn", "commits"),
        row("get_state_ms", "get_state at the end", "ms", Target(1 / 2)),
        row("history_ms", "history page of 20", "ms", Target(1 / 5)),
    ]


def store_memory_figures() -> list[Figure]:
    def query(metric: str, what: str, *targets: Target) -> Figure:
        text = f"50,000 memories, query {what}"
        return Figure("store-memory-query", metric, text, "ms", targets, full_only=True)

    return [
        query("all_ms", "over all", Target(1.5, of_limit=True)),
        query("namespace_ms", "in one namespace", Target(0.1, absolute=True)),
        query("turning_ms", "in each namespace in turn"),
        query("filter_ms", "with an equality (1 % pass)", Target(2, absolute=True)),
        query("range_ms", "with a range (82 % pass)"),
        rate_of("store-memory-ingest", "50,000 memories in batches of 500", "items/s", 1.4),
        Figure(
            "store-memory-ingest",
            "longest",
            "the same: longest batch against the median",
            "×",
            (Target(20, absolute=True),),
        ),
        rate_of("store-memory-aput", "aput by 64 tasks", "calls/s", 1.5),
        rate_of("store-memory-aget", "aget by 64 tasks", "calls/s", 1.5),
        rate_of("store-memory-aput-gathered", "64 aput in one gather", "calls/s", 1.5),
        rate_of("store-memory-aget-gathered", "64 aget in one gather", "calls/s", 1.5),
    ]


def store_postgres_figures() -> list[Figure]:
    def query(metric: str, what: str, *targets: Target) -> Figure:
        text = f"10,000 memories in PostgreSQL, HNSW: query {what}"
        return Figure("store-pg-hnsw", metric, text, "ms", targets, full_only=True)

    def tenant(name: str, share: str) -> list[Figure]:
        text, least = f"tenant holding {share} % of 20,000", Target(0.95, absolute=True)
        recall = Figure("store-pg-tenants", f"recall_{name}", f"recall@10 of a {text}", "", (least,), True)
        rows = Figure("store-pg-tenants", f"rows_{name}", f"rows of a {text}", "rows", more_is_better=True)
        return [recall, rows._replace(targets=(Target(10, absolute=True),))]

    def ingest(kind: str, what: str, target: Target) -> Figure:
        return Figure(
            f"store-pg-{kind}", "items_per_s", f"ingest of 10,000, {what}", "items/s", (target,), True, True
        )

    return [
        ingest("hnsw", "HNSW, row by row", Target(1.5)),
        ingest("bulk", "HNSW built afterwards", Target(0.7, of_limit=True)),
        ingest("ivfflat", "IVFFlat", Target(10)),
        ingest("flat", "no index", Target(15)),
        query("all_ms", "over all", Target(1.5, of_limit=True)),
        query("namespace_ms", "in one namespace", Target(0.5, absolute=True)),
        query("filter_ms", "with a filter (82 % pass)", Target(2, of_limit=True)),
        Figure(
            "store-pg-hnsw", "rows", "rows of 100 asked, HNSW", "rows", (Target(100, absolute=True),), True
        ),
        Figure("store-pg-hnsw", "recall", "recall@10 over all, HNSW", "", (), True),
        Figure(
            "store-pg-ivfflat",
            "recall",
            "recall@10 over all, IVFFlat",
            "",
            (Target(0.95, absolute=True),),
            True,
        ),
        *[each for name, share in TENANTS.items() for each in tenant(name, share)],
        Figure("store-pg-batch", "puts_per_s", "batch put of 1,000", "items/s", (Target(1.2),), True),
        Figure("store-pg-batch", "gets_per_s", "batch get of 1,000", "items/s", (Target(1.7),), True),
        Figure("store-pg-batch", "single_per_s", "single get", "calls/s", (Target(2.5),), True),
        rate_of("store-pg-aget", "aget by 64 tasks, PostgreSQL", "calls/s", 1.8),
    ]


TENANTS = {"30": "30", "10": "10", "3": "3", "1": "1", "01": "0.1"}
FIGURES: list[Figure] = [
    Figure("start", "ms", "import StateGraph, fresh process", "ms", (Target(100, absolute=True),)),
    Figure("start", "rss_mb", "the same: peak memory", "MB", (Target(25, absolute=True),)),
    Figure("start", "modules", "the same: modules loaded", "modules"),
    rate_of("line-sync", "line of 50 nodes, sync", "supersteps/s", 10),
    rate_of("line-async", "line of 50 nodes, async", "supersteps/s", 8),
    rate_of("line-async-sync-nodes", "line of 50 nodes, async with sync nodes", "supersteps/s", 3),
    rate_of("sends-sync", "1,000 Sends in a step, sync", "tasks/s", 8),
    rate_of("sends-async", "1,000 Sends in a step, async", "tasks/s", 10),
    rate_of("line-memory", "line of 50 nodes, InMemorySaver", "supersteps/s", 4),
    rate_of("line-sqlite", "line of 50 nodes, SQLite file", "supersteps/s", 4),
    *chat_figures("chat-messages", "add_messages", (1 / 1.5, 1 / 4)),
    *chat_figures("chat-dicts", "dicts and operator.add", (3, 1.5)),
    Figure("chat-delta", "stored_mb", "the same against DeltaChannel: stored", "MB"),
    Figure("chat-delta", "written_mb", "the same against DeltaChannel: written", "MB"),
    rate_of("chats-32", "32 chats at once, AsyncSqliteSaver", "turns/s", 8),
    rate_of("put-1", "put + 3 writes on SQLite, 1 thread", "steps/s", 1.2),
    rate_of("put-8-threads", "put + 3 writes on SQLite, 8 threads", "steps/s", 6),
    rate_of("put-32-tasks", "put + 3 writes on SQLite, 32 tasks", "steps/s", 6),
    Figure("pause", "cycle_ms", "interrupt and resume, SQLite", "ms", (Target(1 / 4),)),
    Figure("serde-messages", "dumps_ms", "200 LangChain messages: dumps", "ms", (Target(1 / 1.5),)),
    Figure("serde-messages", "loads_ms", "200 LangChain messages: loads", "ms", (Target(1 / 2),)),
    Figure("serde-nested", "dumps_ms", "nested dict: dumps", "ms", (Target(1 / 4),)),
    Figure("serde-nested", "loads_ms", "nested dict: loads", "ms", (Target(1 / 2),)),
    *postgres_chat_figures(),
    Figure("pg-chat-delta", "stored_mb", "the same against DeltaChannel: stored", "MB"),
    Figure("pg-chat-delta", "early_ms", "the same against DeltaChannel: turns 1–50", "ms"),
    Figure("pg-chat-delta", "late_ms", "the same against DeltaChannel: turns 451–500", "ms"),
    Figure("pg-commits-sync", "commits", 'commits a turn, "sync"', "commits", (Target(3, absolute=True),)),
    Figure("pg-commits-sync", "writing", "the same: those that write", "commits"),
    Figure("pg-commits-exit", "commits", 'commits a turn, "exit"', "commits"),
    Figure(
        "pg-commits-exit", "writing", "the same: those that write", "commits", (Target(1, absolute=True),)
    ),
    rate_of("pg-put-1", "put + 3 writes on PostgreSQL, 1 connection", "steps/s", 1.4),
    rate_of("pg-put-8-threads", "put + 3 writes on PostgreSQL, pool of 8 threads", "steps/s", 3),
    rate_of("pg-put-32-tasks", "put + 3 writes on PostgreSQL, 32 tasks on a pool", "steps/s", 4.5),
    Figure(
        "pg-read", "get_ms", "get_tuple of a thread of 1,000 checkpoints", "ms", (Target(0.5, absolute=True),)
    ),
    Figure("pg-read", "first_get_ms", "the same: first of a connection", "ms"),
    Figure("pg-read", "list_ms", "the same: list(limit=100)", "ms", (Target(15, absolute=True),)),
    Figure("pg-read", "get_ms_analyzed", "the same after ANALYZE: get_tuple", "ms"),
    Figure("pg-read", "list_ms_analyzed", "the same after ANALYZE: list(limit=100)", "ms"),
    rate_of("pg-chats-32", "32 chats at once on PostgreSQL, tasks on a pool", "turns/s", 8),
    rate_of("pg-chats-8-threads", "32 chats at once on PostgreSQL, 8 threads", "turns/s", 8),
    Figure("pg-pause", "cycle_ms", "interrupt and resume, PostgreSQL", "ms", (Target(1 / 2.5),)),
    Figure("pg-pause", "commits", "the same: commits a cycle", "commits", (Target(5, absolute=True),)),
    Figure("pg-pause", "writing", "the same: those that write", "commits"),
    *store_memory_figures(),
    *store_postgres_figures(),
]
