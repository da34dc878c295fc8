"""Arrays that lie on a CUDA device, by whichever protocol their library speaks: read where they lie.

Three protocols: Arrow's ``__arrow_c_device_array__`` (cuDF), DLPack (CuPy, torch, JAX) and
``__cuda_array_interface__`` (Numba and all of these). The producer's stream or event is waited for on the device; the
host waits for nothing. A column whose rows do not lie side by side is gathered on the device when it is asked for,
float16 and bfloat16 are widened to float32 there, and a mask becomes a bitmap; everything else is read in place, text
and codes of dictionaries too (``device_text``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa

from modelwatch_gpu import keys
from modelwatch_gpu.device import cuda_module, cuda_reason, devices_of, engine, resolve
from modelwatch_gpu.device_cost import Costs, Work, choose
from modelwatch_gpu.device_text import DeviceText
from modelwatch_gpu.errors import DeviceUnavailable, InputError

_CUDA: Final = (2, 13)  # DLPack's and Arrow's numbers for memory of a CUDA device, plain and managed
_DEFAULT_STREAM: Final = 1
_ELEMENTS: Final = {
    **{
        name: getattr(pa, name)() for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    **{name: pa.float32() for name in ("float16", "bfloat16", "float32")},
    "float64": pa.float64(),
}


@dataclass(frozen=True, eq=False)
class DeviceColumn:
    """One column in a device's memory. ``type``: of its values; ``device``: "cuda:N"; ``device_memory``: where it lies,
    for the engine."""

    type: pa.DataType
    device: str
    device_memory: Any

    def __len__(self) -> int:
        return int(self.device_memory.rows)

    @cached_property
    def null_count(self) -> int:
        """Rows that are null, counted on the device."""
        return int(self._engine.null_rows(self.device_memory))

    @property
    def _engine(self) -> Any:
        return engine(self.device)

    def converted(self, domain: str, otherwise: str) -> DeviceColumn:
        """The column as float64 or int64; InputError(otherwise) where a value would change."""
        memory = self._engine.converted(self.device_memory, domain, otherwise)
        return DeviceColumn(_ELEMENTS[domain], self.device, memory)

    def sorted_values(self) -> np.ndarray[Any, Any]:
        """A copy of all values but NaN in the host's memory, sorted on the device."""
        domain = str(keys.domain_of(self.type))
        found = self._engine.distinct_keys(self, keys.DOMAINS[domain])
        return np.repeat(keys.values_of(found["keys"], domain), found["counts"].astype(np.int64))

    def to_arrow(self) -> pa.Array:
        """A copy in the host's memory."""
        rows, memory = len(self), self.device_memory
        width = self.type.bit_width // 8
        values = pa.py_buffer(self._engine.download(memory.pointer, rows * width))
        bits, offset = memory.validity
        if not bits:
            return pa.Array.from_buffers(self.type, rows, [None, values])
        held = self._engine.download(bits + offset // 8, (offset % 8 + rows + 7) // 8)
        there = np.unpackbits(held, bitorder="little")[offset % 8 :][:rows]
        validity = pa.py_buffer(np.packbits(there, bitorder="little"))
        return pa.Array.from_buffers(self.type, rows, [validity, values])


@dataclass(frozen=True, eq=False)
class _Array:
    """Another library's array, of one or two dimensions. ``strides``: bytes from one row, or column, to the next."""

    device: int
    owner: Any
    pointer: int
    element: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    mask: _Array | None = None

    def column(self, at: int) -> DeviceColumn:
        """Column ``at``; an array of one dimension is its only column."""
        rows, (step, place) = self.shape[0], self._column(at)
        mask = None
        if self.mask is not None:
            mask_step, mask_place = self.mask._column(at)
            mask = (mask_place, mask_step)
        device = f"cuda:{self.device}"
        backend: Any = engine(device)
        memory = backend.column((self.owner, self.mask), place if rows else 0, self.element, rows, step, mask)
        return DeviceColumn(_ELEMENTS[self.element], device, memory)

    def matrix(self, name: str) -> DeviceMatrix:
        """All of it as rows, one behind the other; of one dimension each row has one element."""
        shape = self.shape if len(self.shape) == 2 else (*self.shape, 1)
        strides = self.strides if len(self.shape) == 2 else (*self.strides, _width(self.element))
        if len(self.shape) > 2 or shape[1] == 0:
            raise InputError(f"{name} has the shape {self.shape}; pass one vector a row, (rows, elements).")
        if self.element not in ("float32", "float64") or self.mask is not None:
            raise InputError(
                f"{name} holds {self.element} on a device; vectors there are float32 or float64, unmasked."
            )
        dense = _in_c_order(shape, _width(self.element))
        if any(n > 1 and own != step for n, own, step in zip(shape, strides, dense, strict=True)) and shape[0]:
            raise InputError(f"the rows of {name} do not lie one behind the other on the device; copy it first.")
        return DeviceMatrix(self.owner, self.device, self.pointer if shape[0] else 0, self.element, shape[0], shape[1])

    def _column(self, at: int) -> tuple[int, int]:
        """Bytes between its rows, and where the first one lies."""
        return self.strides[0], self.pointer + (at * self.strides[1] if len(self.shape) == 2 else 0)


@dataclass(frozen=True, eq=False)
class DeviceMatrix:
    """``rows`` vectors of ``dimensions`` elements, one behind the other in a device's memory, which ``owner`` keeps.
    ``element``: "float32" or "float64"."""

    owner: Any
    device_number: int
    device_pointer: int
    element: str
    rows: int
    dimensions: int

    @property
    def device(self) -> str:
        """ "cuda:N"."""
        return f"cuda:{self.device_number}"

    def first(self, rows: int | None = None) -> np.ndarray[Any, Any]:
        """A copy of the first rows, at most so many, in the host's memory; of all of them by default."""
        count, dtype = self.rows if rows is None else min(rows, self.rows), np.dtype(self.element)
        backend: Any = engine(self.device)
        held = backend.download(self.device_pointer, count * self.dimensions * dtype.itemsize)
        found: np.ndarray[Any, Any] = held.view(dtype).reshape(count, self.dimensions)
        return found


class DeviceColumns(Sequence[DeviceColumn]):
    """The columns of a (n, columns) array, each made when it is asked for: one is gathered at a time."""

    def __init__(self, array: _Array, places: range) -> None:
        self._array, self._places = array, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> DeviceColumn: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[DeviceColumn]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return DeviceColumns(self._array, self._places[at])
        return self._array.column(self._places[at])

    def __iter__(self) -> Iterator[DeviceColumn]:
        return (self[i] for i in range(len(self)))


def location(values: Any) -> str | None:
    """ "cuda:N" for what lies on a CUDA device, None for what lies on the host; nothing is read or copied."""
    if isinstance(values, (DeviceColumn, DeviceText)):
        return values.device
    if _is_of_host(values):
        return None
    if (device := _dlpack_device(values)) is not None:
        return f"cuda:{device}" if device >= 0 else None
    described = _interface(values)
    if described is not None:
        return _named(_device_of(described))
    if hasattr(values, "__arrow_c_device_array__") and (module := cuda_module()) is not None:
        return _named(int(module.arrow_device(values.__arrow_c_device_array__()[1])))
    return None


def resolve_for(device: str, *values: Any) -> str:
    """The device that will answer for these arrays: "cpu" or "cuda:N". "auto" is the one they lie on.

    Args:
        device: As for ``device.resolve``.
        values: Arrays, of the host or of a device; what lies on the host is copied to the device that answers.

    Raises:
        InputError: An array lies on another device than the one asked for; nothing is copied from one in silence.
        DeviceUnavailable: As for ``device.resolve``.
    """
    places = sorted({place for value in values if (place := location(value)) is not None})
    if not places:
        return _single(device, *values)
    if len(places) > 1:
        raise InputError(f"the arrays lie on {' and '.join(places)}; bring them to one device.")
    (place,) = places
    chosen = place if device == "auto" else _single(device)
    if chosen != place:
        raise InputError(
            f"an array lies on {place}, and device='{device}' would copy it from there; copy it yourself, or use "
            f"device='auto' or '{place}'."
        )
    return resolve(place)


def _single(device: str, *values: Any) -> str:
    """As ``device.resolve``, for what one device computes: the first of those that MODELWATCH_DEVICE names. "auto" goes
    by the model of what these arrays of the host would take.

    Raises:
        InputError: Several devices are asked for.
    """
    costs = Costs.known()
    sizes = [_numbers_and_bytes(value) for value in values]
    known = [size for size in sizes if size is not None]
    work = None
    if known and len(known) == len(sizes):
        work = Work.of_values(sum(n for n, _ in known), sum(size for _, size in known), costs)
    first, *others = devices_of(choose(device, work, costs))
    if others and device != "auto":
        raise InputError(f"device='{device}' is several devices, and arrays are counted by one; name it, as '{first}'.")
    return first


def _numbers_and_bytes(values: Any) -> tuple[int, int] | None:
    """How many numbers an array of the host has, and their bytes; None for all else, which a device would not count."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return values.size, values.nbytes
    if isinstance(values, (pa.Array, pa.ChunkedArray)) and keys.domain_of(values.type) is not None:
        return len(values), values.nbytes
    return None


def resolve_host(device: str, *values: Any) -> str:
    """ "cpu": for numbers that are computed on the host only, from arrays of the host.

    Raises:
        InputError: An array lies on a device; nothing is copied from one in silence.
        DeviceUnavailable: Another device than "auto" or "cpu" is asked for.
    """
    for value in values:
        if (place := location(value)) is not None:
            raise InputError(
                f"this number is computed on the CPU, and an array lies on {place}; copy it to the host first."
            )
    if device != "auto" and (chosen := resolve(device)) != "cpu":
        raise DeviceUnavailable(f"device='{chosen}' is not available here: this number is computed on the CPU only.")
    return "cpu"


def columns_on_device(values: Any, name: str) -> tuple[Sequence[DeviceColumn | DeviceText], bool] | None:
    """Columns of an array that lies on a device: (columns, whether there were two dimensions). None for the host's.

    Raises:
        DeviceUnavailable: This installation cannot use the device; the text says why.
        InputError: The array's type or shape is none of ours.
    """
    if isinstance(values, (DeviceColumn, DeviceText)):
        return [values], False
    if _is_of_host(values):
        return None
    if hasattr(values, "__arrow_c_device_array__"):
        if (found := _from_arrow(values, name)) is not None:
            return [found], False
        return None
    if (array := _array_of(values, name)) is None:
        return None
    if len(array.shape) not in (1, 2):
        raise InputError(f"{name} has {len(array.shape)} dimensions; pass one column (n,) or several (n, columns).")
    if array.element not in _ELEMENTS:
        raise InputError(f"{name} holds {array.element} on a device; convert it to a number of 8 to 64 bits.")
    if len(array.shape) == 1:
        return [array.column(0)], False
    return DeviceColumns(array, range(array.shape[1])), True


def matrix_on_device(values: Any, name: str) -> DeviceMatrix | None:
    """An array of a device as vectors, None for the host's; raises InputError where it has no floats in rows."""
    array = None if _is_of_host(values) else _array_of(values, name)
    return None if array is None else array.matrix(name)


def _array_of(values: Any, name: str) -> _Array | None:
    """An array of a device by DLPack or its interface; None for the host's."""
    if (device := _dlpack_device(values)) is not None and device >= 0:
        return _from_dlpack(values, device, name)
    if device is None and (described := _interface(values)) is not None:
        return _from_interface(described, values, name)
    return None


def _is_of_host(values: Any) -> bool:
    return isinstance(values, (np.ndarray, pa.Array, pa.ChunkedArray, list, tuple))


def _named(device: int) -> str | None:
    return f"cuda:{device}" if device >= 0 else None


def _checked(name: str) -> None:
    if reason := cuda_reason():
        raise DeviceUnavailable(
            f"{name} lies on a CUDA device, which cannot be used: {reason} Copy it to the host first."
        )


def _dlpack_device(values: Any) -> int | None:
    """The CUDA device's number, -1 where another kind of memory holds it, None where the object does not say."""
    if not hasattr(values, "__dlpack_device__"):
        return None
    kind, index = values.__dlpack_device__()
    return int(index) if int(kind) in _CUDA else -1


def _interface(values: Any) -> dict[str, Any] | None:
    try:
        described = getattr(values, "__cuda_array_interface__", None)
    except (
        RuntimeError,
        NotImplementedError,
        TypeError,
        ValueError,
    ) as error:  # an array that its library cannot describe
        raise InputError(f"an array on a CUDA device cannot be read ({str(error).splitlines()[0]}).") from error
    return described if isinstance(described, dict) else None


def _device_of(described: dict[str, Any]) -> int:
    """The device an interface's pointer belongs to; the first for an array of nothing, which has no pointer."""
    module, pointer = cuda_module(), int(described["data"][0])
    if module is None or cuda_reason() or not pointer:
        return 0
    return int(module.device_of(pointer))


def _from_dlpack(values: Any, device: int, name: str) -> _Array:
    _checked(name)
    module, backend = cuda_module(), engine(f"cuda:{device}")
    assert module is not None
    stream = getattr(backend, "stream")  # noqa: B009  of the CUDA backend only, which a type does not say
    try:
        try:
            capsule = values.__dlpack__(stream=stream, max_version=(1, 0))
        except TypeError:  # a producer from before versions
            capsule = values.__dlpack__(stream=stream)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"{name} cannot be read as an array ({said}).") from error
    pointer, element, shape, strides, owner = module.take_dlpack(capsule)
    width = _width(element)
    return _Array(device, owner, pointer, element, shape, strides or _in_c_order(shape, width))


def _from_interface(described: dict[str, Any], values: Any, name: str) -> _Array:
    _checked(name)
    device = _device_of(described)
    if device < 0:
        raise InputError(f"{name} describes memory of the host as a device's; pass it as a NumPy array.")
    # Version 2 says nothing about streams: its libraries work in the default one.
    stream = described.get("stream") if described.get("version", 0) >= 3 else _DEFAULT_STREAM
    if stream == 0:
        raise InputError(
            f"{name} names stream 0 in its interface, which has no meaning there; 1 is the default stream."
        )
    if stream is not None:
        backend: Any = engine(f"cuda:{device}")
        backend.order_after(int(stream))
    element, width = _element_of(described["typestr"], name)
    shape = tuple(int(n) for n in described["shape"])
    strides = described.get("strides")
    mask = described.get("mask")
    return _Array(
        device,
        values,
        int(described["data"][0]),
        element,
        shape,
        tuple(int(s) for s in strides) if strides is not None else _in_c_order(shape, width),
        None if mask is None else _mask_of(mask, shape, name),
    )


def _mask_of(mask: Any, shape: tuple[int, ...], name: str) -> _Array:
    described = _interface(mask)
    if described is None:
        raise InputError(f"the mask of {name} lies on no device.")
    found = _from_interface({**described, "typestr": "|u1"}, mask, f"the mask of {name}")
    if str(described["typestr"])[1:] not in ("b1", "u1", "i1") or found.shape != shape:
        raise InputError(f"the mask of {name} must hold one byte for each value.")
    return found


def _element_of(typestr: str, name: str) -> tuple[str, int]:
    if typestr[0] == ">":
        raise InputError(f"{name} has the byte order of another machine; convert it first.")
    try:
        dtype = np.dtype(typestr)
    except TypeError as error:
        raise InputError(f"{name} has type '{typestr}' on a device, which cannot be read.") from error
    return dtype.name, dtype.itemsize


def _width(element: str) -> int:
    return 2 if element == "bfloat16" else np.dtype(element).itemsize if element in _ELEMENTS else 1


def _in_c_order(shape: tuple[int, ...], width: int) -> tuple[int, ...]:
    strides: list[int] = []
    for size in reversed(shape):
        strides.insert(0, width)
        width *= size
    return tuple(strides)


def _from_arrow(values: Any, name: str) -> DeviceColumn | DeviceText | None:
    """None where the array lies on the host after all."""
    module = cuda_module()
    if module is None:  # nobody can tell where it lies; the host's protocol answers, or says that it cannot
        return None
    schema, array = values.__arrow_c_device_array__()
    device = int(module.arrow_device(array))
    if device < 0:
        return None
    _checked(name)
    found = pa.DataType._import_from_c_capsule(schema)
    where = f"cuda:{device}"
    backend: Any = engine(where)
    if _is_text(found):
        return DeviceText(found, where, backend.arrow_text(found.__arrow_c_schema__(), array))
    if pa.types.is_dictionary(found) and _is_text(found.value_type):
        codes, values = backend.arrow_dictionary(found.__arrow_c_schema__(), array)
        return DeviceText(found, where, values, DeviceColumn(found.index_type, where, codes))
    if pa.types.is_nested(found) or pa.types.is_decimal(found) or not _is_number(found):
        raise InputError(
            f"{name} has type {found} on a device; numbers, dates, times, text and dictionaries of text are read there."
        )
    return DeviceColumn(found, where, backend.arrow_column(found.__arrow_c_schema__(), array))


def _is_text(found: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_string(found) or t.is_large_string(found) or t.is_binary(found) or t.is_large_binary(found))


def _is_number(found: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_integer(found) or t.is_float32(found) or t.is_float64(found) or t.is_temporal(found))
