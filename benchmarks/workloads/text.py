"""Text that differs every time and hardly compresses, the same on every side."""

import base64
import random


def kilobytes(count: int, size: int = 1024, seed: int = 7) -> list[str]:
    """`count` ASCII texts of `size` characters; equal arguments give equal texts."""
    source = random.Random(seed)
    return [base64.b64encode(source.randbytes(size)).decode()[:size] for _ in range(count)]
