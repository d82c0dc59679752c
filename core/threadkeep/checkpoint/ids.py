"""Ids as UUIDs: time-ordered ones of checkpoints, random ones of messages, hashes of tasks.

Imports nothing of ours.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Protocol

__all__ = ["task_id", "uuid4", "uuid6"]

_GREGORIAN = 0x01B21DD213814000
"""100 ns steps from 1582-10-15, where UUID time begins, to 1970-01-01."""


class _Uuid6(Protocol):
    def __call__(self, clock_seq: int | None = None, after: str = "") -> str: ...


def _tick_of(uuid: str) -> int:
    """The time of a version 6 UUID; -1 for another string."""
    try:
        return -1 if uuid[14] != "6" else int(uuid[:8] + uuid[9:13], 16) << 12 | int(uuid[15:18], 16)
    except (IndexError, ValueError):
        return -1


def _make_uuid6() -> _Uuid6:
    last = 0
    lock = threading.Lock()
    rng = random.SystemRandom()
    getrandbits = random.Random(rng.getrandbits(128)).getrandbits  # noqa: S311 (unique, not secret)
    now = time.time_ns

    def reseed() -> None:
        nonlocal getrandbits, lock
        getrandbits = random.Random(rng.getrandbits(128)).getrandbits  # noqa: S311 (unique, not secret)
        lock = threading.Lock()

    os.register_at_fork(after_in_child=reseed)

    def uuid6(clock_seq: int | None = None, after: str = "") -> str:
        """A version 6 UUID as a string, greater than every one this process made before, and than `after`.

        `clock_seq` (its lowest 14 bits; random if None) stands after the time. `after` may come from a host
        whose clock is ahead, or from before the clock was set back; what is no such UUID is ignored.
        """
        nonlocal last
        with lock:
            tick = now() // 100 + _GREGORIAN
            if tick <= last:
                tick = last + 1
            last = tick
            tail = getrandbits(62)
        if after and (least := _tick_of(after)) >= tick:
            tick = least + 1
        if clock_seq is not None:
            tail = (clock_seq & 0x3FFF) << 48 | tail & 0xFFFFFFFFFFFF
        head = f"{(tick & ~0xFFF) << 4 | 0x6000 | tick & 0xFFF:016x}"
        rest = f"{1 << 63 | tail:016x}"
        return f"{head[:8]}-{head[8:12]}-{head[12:]}-{rest[:4]}-{rest[4:]}"

    return uuid6


uuid6 = _make_uuid6()


def _make_uuid4() -> Callable[[], str]:
    getrandbits = random.Random(os.urandom(32)).getrandbits  # noqa: S311 (unique, not secret)

    def seed() -> None:
        nonlocal getrandbits
        getrandbits = random.Random(os.urandom(32)).getrandbits  # noqa: S311 (unique, not secret)

    os.register_at_fork(after_in_child=seed)

    def uuid4() -> str:
        """A random UUID as a string.

        Unlike the standard library's it asks the system for randomness once a process: each such call gives
        up the GIL and waits to get it back, 80 us beside a thread that saves (benchmarks, row chats-32).
        """
        bits = getrandbits(128) & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return uuid4


uuid4 = _make_uuid4()


def task_id(
    checkpoint_id: str,
    checkpoint_ns: str,
    step: int,
    name: str,
    path: tuple[Any, ...],
    triggers: tuple[str, ...],
) -> str:
    """The id of a task, in the form of a UUID: equal wherever the same step is planned again."""
    parts = (checkpoint_id, checkpoint_ns, str(step), name, *map(str, path[:2]), *triggers)
    digest = blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"
