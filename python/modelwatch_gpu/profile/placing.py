"""Which device counts a log: the one that is asked for, or the one on which it is estimated to be done first."""

from __future__ import annotations

from collections.abc import Iterable

from modelwatch_gpu import device_cost
from modelwatch_gpu.device_cost import Costs, Work
from modelwatch_gpu.log import Log
from modelwatch_gpu.log.memory import TableLogFile


def device_for(device: str, log: Log, columns: Iterable[str], *, threads: int = 0, passes: int = 1) -> str:
    """The device that will count these columns of a log, as ``device.resolve`` names it.

    Args:
        device: "auto" goes by the model (``device_cost``), all else as for ``device.resolve``.
        log: What is counted; the columns that it lacks take no time.
        threads: 0 means MODELWATCH_THREADS or all CPUs of the process.
        passes: How often the log is read.

    Raises:
        DeviceUnavailable, InputError: As for ``device.resolve``, and for a MODELWATCH_DEVICE_COST that makes no sense.
    """
    costs, names = Costs.known(), set(log.schema.names)
    types = [log.schema.field(name).type for name in columns if name in names]
    rows = None if log.rows is None else passes * log.rows
    decoded = all(isinstance(file, TableLogFile) for file in log.files)
    return device_cost.choose(device, Work.of_columns(types, rows, costs, decoded=decoded), costs, threads=threads)
