"""The programs that are measured, by name. They import a library only through `benchmarks.api.Api`."""

from benchmarks.scale import Workload
from benchmarks.workloads import (
    bare_postgres,
    chat,
    chats,
    line,
    pause,
    postgres,
    puts,
    sends,
    serialise,
    start,
    store_memory,
    store_postgres,
)

WORKLOADS: dict[str, Workload] = {
    "start": Workload(start.start, start.bare_start),
    "line-sync": Workload(line.line_sync, line.bare_line),
    "line-async": Workload(line.line_async(line.add_one_async), line.bare_line),
    "line-async-sync-nodes": Workload(line.line_async(line.add_one), line.bare_line),
    "sends-sync": Workload(sends.sends_sync, sends.bare_threads),
    "sends-async": Workload(sends.sends_async, sends.bare_asyncio),
    "line-memory": Workload(line.line_memory, line.bare_line),
    "line-sqlite": Workload(line.line_sqlite, line.bare_line_sqlite),
    "chat-messages": Workload(chat.chat(chat.message_dialect), chat.bare_chat, whole=True),
    "chat-dicts": Workload(chat.chat(chat.dict_dialect), chat.bare_chat, whole=True),
    "chat-delta": Workload(chat.chat(chat.delta_dialect), whole=True),
    "chats-32": Workload(chats.chats, chats.bare_chats),
    "put-1": Workload(puts.puts(1), puts.bare_puts(1)),
    "put-8-threads": Workload(puts.puts(8), puts.bare_puts(8)),
    "put-32-tasks": Workload(puts.puts_async(32), puts.bare_puts(32)),
    "pause": Workload(pause.pause, pause.bare_pause),
    "serde-messages": Workload(
        serialise.serialiser(serialise.messages), serialise.bare_msgpack(serialise.plain_messages)
    ),
    "serde-nested": Workload(
        serialise.serialiser(serialise.nested), serialise.bare_msgpack(serialise.plain_nested)
    ),
    "pg-chat": Workload(postgres.chat(chat.message_dialect), bare_postgres.chat, whole=True),
    "pg-chat-delta": Workload(postgres.chat(chat.delta_dialect), whole=True),
    "pg-commits-sync": Workload(postgres.commits("sync")),
    "pg-commits-exit": Workload(postgres.commits("exit")),
    "pg-put-1": Workload(postgres.puts(1), bare_postgres.puts(1)),
    "pg-put-8-threads": Workload(postgres.puts(8), bare_postgres.puts(8)),
    "pg-put-32-tasks": Workload(postgres.puts_async(32), bare_postgres.puts_async(32)),
    "pg-read": Workload(postgres.read, bare_postgres.read, whole=True),
    "pg-chats-32": Workload(postgres.chats_async, bare_postgres.chats(32)),
    "pg-chats-8-threads": Workload(postgres.chats_threads),
    "pg-pause": Workload(postgres.pause, bare_postgres.pause),
    "store-memory-query": Workload(store_memory.queries, store_memory.bare_queries),
    "store-memory-ingest": Workload(store_memory.ingest, store_memory.bare_ingest),
    "store-memory-aput": Workload(store_memory.single("aput", 50), store_memory.bare_single(50)),
    "store-memory-aget": Workload(store_memory.single("aget", 50), store_memory.bare_single(50)),
    "store-memory-aput-gathered": Workload(store_memory.single("aput", 1), store_memory.bare_single(1)),
    "store-memory-aget-gathered": Workload(store_memory.single("aget", 1), store_memory.bare_single(1)),
    **{
        f"store-pg-{kind}": Workload(
            store_postgres.ingest(kind), store_postgres.bare_ingest(kind), whole=True
        )
        for kind in ("hnsw", "ivfflat", "flat")
    },
    "store-pg-bulk": Workload(store_postgres.bulk, store_postgres.bare_ingest("hnsw"), whole=True),
    "store-pg-tenants": Workload(store_postgres.tenants, whole=True),
    "store-pg-batch": Workload(store_postgres.batched, store_postgres.bare_batched),
    "store-pg-aget": Workload(store_postgres.gets_async, store_postgres.bare_gets_async),
}
