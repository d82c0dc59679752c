"""Values as objects: cut so that each part is stored once, and joined again. Pure; shared by all savers.

`codec` turns values into bytes, `cut` makes trees, `nodes` writes them down, `join` reads them.
"""

from threadkeep.checkpoint.objects.codec import Blob, Codec, PageCodec, blob_data, blob_size
from threadkeep.checkpoint.objects.cut import Cutter, ListMemo, ListTree, Tree, rebased
from threadkeep.checkpoint.objects.join import Range, join, minus, missing, needs
from threadkeep.checkpoint.objects.nodes import NODE_TAG, Node, inherit

__all__ = [
    "NODE_TAG",
    "Blob",
    "Codec",
    "Cutter",
    "ListMemo",
    "ListTree",
    "Node",
    "PageCodec",
    "Range",
    "Tree",
    "blob_data",
    "blob_size",
    "inherit",
    "join",
    "minus",
    "missing",
    "needs",
    "rebased",
]
