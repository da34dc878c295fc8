"""An array in device memory that speaks the three protocols, without a library that has such arrays.

Memory and streams come from the CUDA runtime that the backend's module was linked with where it lets them be seen (the
stand-in does), else from the toolkit's shared library.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from modelwatch_gpu.device import cuda_module

_TO_DEVICE, _TO_HOST = 1, 2
_NON_BLOCKING = 1


@cache
def runtime() -> ctypes.CDLL:
    """The CUDA runtime."""
    module = cuda_module()
    assert module is not None
    own = ctypes.CDLL(module.__file__)
    if hasattr(own, "cudaMalloc"):
        return own
    return ctypes.CDLL(ctypes.util.find_library("cudart") or "libcudart.so.13")


def call(name: str, *arguments: Any) -> None:
    """Calls the runtime; an error fails the test."""
    status = getattr(runtime(), name)(*arguments)
    assert status == 0, f"{name} answers {status}"


class Stream:
    """A stream of the producer's own."""

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        call("cudaStreamCreateWithFlags", ctypes.byref(self.handle), _NON_BLOCKING)

    def close(self) -> None:
        call("cudaStreamDestroy", self.handle)


class Memory:
    """Bytes on the device, filled in the order of a stream."""

    def __init__(self, data: bytes, stream: Stream | None = None) -> None:
        self._kept = ctypes.create_string_buffer(data, max(len(data), 1))  # until the stream has copied it
        self.pointer = ctypes.c_void_p()
        call("cudaMalloc", ctypes.byref(self.pointer), ctypes.c_size_t(max(len(data), 1)))
        size = ctypes.c_size_t(len(data))
        if stream is None:
            call("cudaMemcpy", self.pointer, self._kept, size, _TO_DEVICE)
        else:
            call("cudaMemcpyAsync", self.pointer, self._kept, size, _TO_DEVICE, stream.handle)

    @property
    def address(self) -> int:
        return int(self.pointer.value or 0)

    def __del__(self) -> None:
        # Which the stand-in takes as freed, so that whoever reads it later is found out.
        call("cudaFree", self.pointer)


def on_device(values: np.ndarray[Any, Any], stream: Stream | None = None) -> tuple[Memory, int]:
    """Memory that holds an array with its strides, and the address of its first item."""
    base = values
    while isinstance(base.base, np.ndarray):
        base = base.base
    owner = np.frombuffer(base.tobytes("A"), np.uint8) if base.size else np.empty(0, np.uint8)
    memory = Memory(owner.tobytes(), stream)
    offset = values.ctypes.data - base.ctypes.data if base.size else 0
    return memory, memory.address + offset


class Interface:
    """``__cuda_array_interface__`` of a NumPy array's copy on the device."""

    def __init__(
        self,
        values: np.ndarray[Any, Any],
        *,
        mask: np.ndarray[Any, Any] | None = None,
        stream: Stream | None = None,
        version: int = 3,
        read_only: bool = False,
    ) -> None:
        self._memory, pointer = on_device(values, stream)
        plain = values.flags.c_contiguous
        self.__cuda_array_interface__: dict[str, Any] = {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (pointer if values.size else 0, read_only),
            "strides": None if plain else values.strides,
            "version": version,
        }
        if version >= 3:
            self.__cuda_array_interface__["stream"] = None if stream is None else stream.handle.value
        if mask is not None:
            self.__cuda_array_interface__["mask"] = Interface(mask, stream=stream)


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
#: Functions that C still may call, and what they belong to, by the address of the structure that was handed out.
_HANDED_OUT: dict[int, Any] = {}
_CALLBACKS: list[Any] = []


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _DELETER))


class _Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _DELETER),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


def _capsule(pointer: int, name: bytes) -> Any:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    return new(pointer, name, None)


_CODES = {"i": 0, "u": 1, "f": 2, "c": 5}


class Dlpack:
    """``__dlpack__`` of a NumPy array's copy on the device. ``streams``: those it was asked to be ordered before;
    ``given_back``: how often a consumer let go. A consumer that names no version gets a capsule of old."""

    def __init__(
        self,
        values: np.ndarray[Any, Any],
        *,
        versioned: bool = True,
        major: int = 1,
        kind: int = 2,
        bfloat: bool = False,
        byte_offset: int = 0,
    ) -> None:
        self._memory, self._pointer = on_device(values)
        self._values, self._versioned, self._major, self._kind, self._bfloat = values, versioned, major, kind, bfloat
        self._offset = byte_offset
        self.streams: list[int | None] = []
        self.given_back = 0

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._kind, 0

    def __dlpack__(self, *, stream: int | None = None, **options: Any) -> Any:
        if options and not self._versioned:
            raise TypeError(f"unexpected arguments {sorted(options)}")
        self.streams.append(stream)
        values, item = self._values, self._values.dtype.itemsize
        shape = (ctypes.c_int64 * values.ndim)(*values.shape)
        strides = (ctypes.c_int64 * values.ndim)(*(step // item for step in values.strides))
        in_order = values.flags.c_contiguous and not self._versioned
        tensor = _Tensor(
            self._pointer - self._offset,
            self._kind,
            0,
            values.ndim,
            4 if self._bfloat else _CODES[values.dtype.kind],
            8 * item,
            1,
            shape,
            None if in_order else strides,
            self._offset,
        )
        deleter = _DELETER(self._let_go)
        if self._versioned:
            managed: Any = _Versioned(self._major, 0, None, deleter, 0, tensor)
        else:
            managed = _Managed(tensor, None, deleter)
        _HANDED_OUT[ctypes.addressof(managed)] = (self, shape, strides, managed)
        _CALLBACKS.append(deleter)
        return _capsule(ctypes.addressof(managed), b"dltensor_versioned" if self._versioned else b"dltensor")

    def _let_go(self, at: int) -> None:
        self.given_back += 1
        del _HANDED_OUT[at]


class _ArrowArray(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", _DELETER),
        ("private_data", ctypes.c_void_p),
        ("device_id", ctypes.c_int64),
        ("device_type", ctypes.c_int32),
        ("sync_event", ctypes.c_void_p),
        ("reserved", ctypes.c_int64 * 3),
    )


def _copies(array: pa.Array, stream: Stream | None) -> list[Memory | None]:
    return [None if b is None else Memory(b.to_pybytes(), stream) for b in array.buffers()]


def _described(array: pa.Array, copies: list[Memory | None], release: Any) -> tuple[_ArrowArray, Any]:
    """Arrow's structure of an array, and its pointers, which must live as long."""
    buffers = (ctypes.c_void_p * len(copies))(*(None if b is None else b.address for b in copies))
    made = _ArrowArray()
    made.length, made.null_count, made.offset, made.n_buffers = len(array), -1, array.offset, len(buffers)
    made.buffers, made.release = buffers, release
    return made, buffers


class Arrow:
    """``__arrow_c_device_array__`` of an Arrow array's copy on the device: what lies there, a slice included."""

    def __init__(self, array: pa.Array, *, stream: Stream | None = None, kind: int = 2) -> None:
        self._array, self._kind = array, kind
        self._buffers = _copies(array, stream)
        dictionary = array.dictionary if pa.types.is_dictionary(array.type) else None
        self._dictionary = None if dictionary is None else (dictionary, _copies(dictionary, stream))
        self._event = ctypes.c_void_p()
        if stream is not None:
            call("cudaEventCreateWithFlags", ctypes.byref(self._event), 2)
            call("cudaEventRecord", self._event, stream.handle)
        self.given_back = 0

    def __arrow_c_device_array__(self, requested_schema: Any = None, **options: Any) -> tuple[Any, Any]:
        array = self._array
        release = _DELETER(self._let_go)
        made, buffers = _described(array, self._buffers, release)
        made.device_type = self._kind
        made.sync_event = ctypes.addressof(self._event) if self._event.value else None
        values = None
        if self._dictionary is not None:
            values = _described(*self._dictionary, release)
            made.dictionary = ctypes.addressof(values[0])
        # A consumer moves the structure, so its number is what it is known by.
        made.private_data = len(_CALLBACKS) + 1
        _HANDED_OUT[-made.private_data] = (self, buffers, values, made)
        _CALLBACKS.append(release)
        return array.type.__arrow_c_schema__(), _capsule(ctypes.addressof(made), b"arrow_device_array")

    def _let_go(self, at: int) -> None:
        self.given_back += 1
        released = ctypes.cast(at, ctypes.POINTER(_ArrowArray)).contents
        del _HANDED_OUT[-released.private_data]
        ctypes.memset(at + _ArrowArray.release.offset, 0, ctypes.sizeof(_DELETER))


def leaked() -> Callable[[], tuple[int, int]]:
    """How many allocations, and streams and events, there are more than now; of the stand-in's runtime."""
    own = runtime()
    own.ptxLeakCount.restype = own.ptxLiveHandles.restype = ctypes.c_size_t
    before = own.ptxLeakCount(), own.ptxLiveHandles()
    return lambda: (own.ptxLeakCount() - before[0], own.ptxLiveHandles() - before[1])
