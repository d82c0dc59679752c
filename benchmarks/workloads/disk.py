"""What a process has written and what its files occupy."""

from pathlib import Path

MEGABYTE = 1_000_000


def written_bytes() -> int | None:
    """Bytes this process has caused to be written to a disk; None where the kernel does not count them.

    Counted when a page of the page cache gets dirty, so it needs a real disk: tmpfs counts as nothing.
    """
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def stored_megabytes(database: Path) -> float:
    """Size of a SQLite file with its write-ahead log and index."""
    return sum(path.stat().st_size for path in database.parent.glob(f"{database.name}*")) / MEGABYTE


def footprint(database: Path, written_before: int | None) -> dict[str, float]:
    figures = {"stored_mb": stored_megabytes(database)}
    written = written_bytes()
    if written is not None and written_before is not None and written > written_before:
        figures["written_mb"] = (written - written_before) / MEGABYTE
    return figures
