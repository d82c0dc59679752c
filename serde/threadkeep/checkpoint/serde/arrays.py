"""NumPy arrays and scalars of every dtype but object. NumPy is imported only when one of them is met.

An array: dtype, shape, whether it is in Fortran order, its memory. A scalar: dtype and memory. Strings of
variable length (`StringDType`) are lists of their texts.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from ormsgpack import Ext

from threadkeep.checkpoint.serde.base import SerializationError
from threadkeep.checkpoint.serde.wire import Encoder, Pack, Unpack

__all__ = ["decode_array", "decode_scalar", "numpy_encoder"]


def numpy_encoder(cls: type) -> Encoder | None:
    """The encoder for *cls* if it is `numpy.ndarray` or one of NumPy's scalar types."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    if cls is numpy.ndarray:
        return _encode_array
    if issubclass(cls, numpy.generic) and cls.__module__ == "numpy":
        return _encode_scalar
    return None


def _encode_array(value: Any, pack: Pack) -> Ext:
    if value.dtype.kind == "T":
        return Ext(34, pack([None, list(value.shape), False, _texts(value)]))
    dtype = _described(value.dtype)
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    return Ext(34, pack([dtype, list(value.shape), fortran, value.tobytes("F" if fortran else "C")]))


def _texts(value: Any) -> list[str]:
    if hasattr(value.dtype, "na_object"):
        raise SerializationError(
            "a StringDType array with an na_object cannot be saved", type_name="numpy:ndarray"
        )
    texts: list[str] = value.ravel().tolist()
    return texts


def _described(dtype: Any) -> Any:
    """*dtype* as a string, or, structured, as nested lists."""
    import numpy

    if dtype.hasobject:
        raise SerializationError(
            "a numpy array of dtype object cannot be saved: use tolist()",
            type_name="numpy:ndarray",
        )
    if dtype.fields is None and dtype.subdtype is None:
        return dtype.str
    return numpy.lib.format.dtype_to_descr(dtype)


def _encode_scalar(value: Any, pack: Pack) -> Ext:
    return Ext(35, pack([_described(value.dtype), value.tobytes()]))


def decode_array(data: bytes, unpack: Unpack) -> Any:
    import numpy

    described, shape, fortran, memory = unpack(data)
    if type(shape) is not list or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an array without a shape")
    if described is None and type(memory) is list:
        return numpy.array(memory, dtype=numpy.dtypes.StringDType()).reshape(shape)
    dtype = _dtype(described)
    if type(memory) is not bytes or len(memory) != math.prod(shape) * dtype.itemsize:
        raise ValueError("an array whose data does not fit its shape")
    return numpy.ndarray(shape, dtype, bytearray(memory) or None, order="F" if fortran else "C")


def decode_scalar(data: bytes, unpack: Unpack) -> Any:
    import numpy

    described, memory = unpack(data)
    dtype = _dtype(described)
    if not dtype.itemsize:
        return dtype.type()
    if type(memory) is not bytes:
        raise ValueError("a scalar without data")
    (scalar,) = numpy.frombuffer(bytearray(memory), dtype)
    return scalar


def _dtype(described: Any) -> Any:
    import numpy

    dtype = numpy.lib.format.descr_to_dtype(described)
    if dtype.hasobject:
        raise ValueError("an array of dtype object")
    return dtype
