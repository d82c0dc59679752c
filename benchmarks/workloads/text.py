"""Text that differs every time and hardly compresses, the same on every side."""

import random
import string

ALPHABET = string.ascii_letters + string.digits + " .,;-"


def kilobytes(count: int, size: int = 1024, seed: int = 7) -> list[str]:
    """`count` ASCII texts of `size` characters; equal arguments give equal texts."""
    source = random.Random(seed)
    return ["".join(source.choices(ALPHABET, k=size)) for _ in range(count)]
