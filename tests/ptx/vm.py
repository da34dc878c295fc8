"""Runs kernels from PTX text on NumPy arrays: the arrays are the device memory."""

import ctypes as C
import functools
import os
import struct
from pathlib import Path

import building
import numpy as np


@functools.cache
def _library():
    """The machine's shared library: PTX_LIB, or what the build of the tests made."""
    lib = C.CDLL(os.environ.get("PTX_LIB") or building.OUTPUTS / "libptx_machine.so")
    lib.ptx_load.restype = C.c_void_p
    lib.ptx_load.argtypes = [C.c_char_p]
    lib.ptx_error.restype = C.c_char_p
    lib.ptx_free.argtypes = [C.c_void_p]
    lib.ptx_map.argtypes = [C.c_void_p, C.c_void_p, C.c_uint64, C.c_int]
    lib.ptx_unmap_all.argtypes = [C.c_void_p]
    lib.ptx_options.argtypes = [
        C.c_void_p,
        C.c_uint32,
        C.c_int,
        C.c_uint32,
        C.c_int,
        C.c_int,
        C.c_int,
        C.c_int,
        C.c_uint32,
        C.c_uint64,
    ]
    lib.ptx_launch.argtypes = [
        C.c_void_p,
        C.c_char_p,
        C.POINTER(C.c_uint32),
        C.POINTER(C.c_uint32),
        C.c_uint64,
        C.c_char_p,
        C.c_uint64,
    ]
    lib.ptx_counters.argtypes = [C.c_void_p, C.POINTER(C.c_uint64), C.c_int]
    lib.ptx_counter_name.restype = C.c_char_p
    lib.ptx_counter_name.argtypes = [C.c_int]
    lib.ptx_lines.argtypes = [C.c_void_p, C.c_char_p, C.c_char_p, C.c_int]
    lib.ptx_reset_coverage.argtypes = [C.c_void_p]
    lib.ptx_uncovered.argtypes = [C.c_void_p, C.c_char_p, C.c_char_p, C.c_int, C.POINTER(C.c_int)]
    lib.ptx_warnings.argtypes = [C.c_void_p, C.c_char_p, C.c_int]
    lib.ptx_unsupported.argtypes = [C.c_void_p, C.c_char_p, C.c_int]
    lib.ptx_params.argtypes = [C.c_void_p, C.c_char_p, C.POINTER(C.c_uint64), C.c_int]
    lib.ptx_variable.restype = C.c_void_p
    lib.ptx_variable.argtypes = [C.c_void_p, C.c_char_p, C.POINTER(C.c_uint64)]
    return lib


_LINE_VALUES = ("executions", "requests", "sectors", "ideal_sectors", "bytes")
_ORDERS = {"in-order": 0, "reversed": 1, "random": 2}
_RACES = {False: 0, True: 1, "global": 3}
_TEXT = 1 << 20

#: Option sets under which a kernel's result should be the same.
SCHEDULES = [dict(), dict(order="reversed", reverse_warps=True)] + [
    dict(seed=seed, randomize=True, resident=3, order="random") for seed in (1, 2, 3)
]


class PtxError(RuntimeError):
    """A kernel broke a rule, or the PTX could not be used."""


class VM:
    def __init__(self, source):
        """`source` is a path to a .ptx file, or PTX text."""
        text = source.encode() if "\n" in source else Path(source).read_bytes()
        self._m = _library().ptx_load(text)
        if not self._m:
            raise PtxError(_library().ptx_error().decode())
        self.options()

    def __del__(self):
        if getattr(self, "_m", None):
            _library().ptx_free(self._m)

    def options(
        self,
        seed=0,
        randomize=False,
        resident=1,
        order="in-order",
        reverse_warps=False,
        races=True,
        traffic=True,
        noise=0,
        limit=0,
    ):
        """Schedule and checks of the following launches.

        order: of blocks ("in-order", "reversed", "random"); resident: blocks that interleave; races: look for races in
        shared memory (True), there and in global memory ("global") or nowhere (False); traffic: count sectors and bank
        conflicts; noise: ulps of error in approximate functions; limit: most warp instructions, 0 for no limit.
        """
        _library().ptx_options(
            self._m, seed, randomize, resident, _ORDERS[order], reverse_warps, _RACES[races], traffic, noise, limit
        )

    def launch(self, kernel, grid, block, *args, shared=0):
        """Runs a kernel and returns the counters.

        ndarray arguments are passed as pointers (read-only arrays may not be written); ints, floats and NumPy scalars
        as values of the size the kernel declares; bytes as they are.
        """
        layout = self._parameters(kernel)
        if len(args) != len(layout):
            raise TypeError(f"{kernel} takes {len(layout)} arguments, got {len(args)}")
        _library().ptx_unmap_all(self._m)
        block_of_params = bytearray(max((offset + size for size, offset in layout), default=0))
        for argument, (size, offset) in zip(args, layout, strict=True):
            value = self._pack(argument, size)
            if len(value) != size:
                raise TypeError(f"{kernel}: argument of {len(value)} bytes for a parameter of {size}")
            block_of_params[offset : offset + size] = value
        dims = [self._dim(d) for d in (grid, block)]
        if _library().ptx_launch(
            self._m, kernel.encode(), dims[0], dims[1], shared, bytes(block_of_params), len(block_of_params)
        ):
            raise PtxError(_library().ptx_error().decode())
        values = (C.c_uint64 * 64)()
        count = _library().ptx_counters(self._m, values, len(values))
        return {_library().ptx_counter_name(i).decode(): values[i] for i in range(count)}

    @staticmethod
    def _dim(d):
        d = (d,) if np.isscalar(d) else tuple(d)
        return (C.c_uint32 * 3)(*((*d, 1, 1))[:3])

    def _parameters(self, kernel):
        flat = (C.c_uint64 * 512)()
        count = _library().ptx_params(self._m, kernel.encode(), flat, 256)
        if count < 0:
            raise PtxError(f"no kernel named {kernel}")
        return [(flat[2 * i], flat[2 * i + 1]) for i in range(count)]

    def _pack(self, argument, size):
        if isinstance(argument, np.ndarray):
            if not argument.flags.c_contiguous:
                raise TypeError("arrays must be contiguous")
            _library().ptx_map(self._m, argument.ctypes.data, argument.nbytes, not argument.flags.writeable)
            return struct.pack("<Q", argument.ctypes.data)
        if isinstance(argument, np.generic):
            return argument.tobytes()
        if isinstance(argument, int):
            return (argument & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        if isinstance(argument, float):
            return struct.pack("<d" if size == 8 else "<f", argument)
        return bytes(argument)

    def coverage(self, kernel):
        """(number of instructions, descriptions of those that no launch so far has executed)."""
        buffer, total = C.create_string_buffer(_TEXT), C.c_int()
        _library().ptx_uncovered(self._m, kernel.encode(), buffer, _TEXT, total)
        return total.value, buffer.value.decode().splitlines()

    def lines(self, kernel):
        """What happened on each source line (`-lineinfo`) in all launches so far.

        {(file, line): {"executions": by warps, "requests", "sectors", "ideal_sectors", "bytes": of global memory}}
        """
        size = _library().ptx_lines(self._m, kernel.encode(), None, 0)
        if size < 0:
            raise PtxError(f"no kernel named {kernel}")
        buffer = C.create_string_buffer(size)
        _library().ptx_lines(self._m, kernel.encode(), buffer, size)
        found = {}
        for text in buffer.value.decode().splitlines():
            file, line, *values = text.split("\t")
            found[file, int(line)] = dict(zip(_LINE_VALUES, map(int, values), strict=True))
        return found

    def reset_coverage(self):
        """Forget which instructions and lines ran."""
        _library().ptx_reset_coverage(self._m)

    def warnings(self):
        buffer = C.create_string_buffer(_TEXT)
        _library().ptx_warnings(self._m, buffer, _TEXT)
        return buffer.value.decode().splitlines()

    def unsupported(self):
        """Descriptions of the module's instructions that the machine does not know."""
        buffer = C.create_string_buffer(_TEXT)
        _library().ptx_unsupported(self._m, buffer, _TEXT)
        return buffer.value.decode().splitlines()

    def variable(self, name):
        """Bytes of a module-scope __device__ or __constant__ variable, as a writable array."""
        size = C.c_uint64()
        address = _library().ptx_variable(self._m, name.encode(), size)
        if not address:
            raise PtxError(f"no variable named {name}")
        return np.ctypeslib.as_array((C.c_uint8 * size.value).from_address(address))
