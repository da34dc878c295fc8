"""The exceptions a user can meet. Every text is one sentence that says what to do."""

from __future__ import annotations


class ModelwatchError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(ModelwatchError, ValueError):
    """The data, a file or an option is not what it should be (exit code 2 on the command line)."""


class OutputError(ModelwatchError, OSError):
    """A result cannot be written; nothing half-written is left behind (exit code 2 on the command line)."""


class DeviceUnavailable(ModelwatchError, RuntimeError):
    """The device asked for is not there; the text says why."""


class DeviceError(ModelwatchError, RuntimeError):
    """A call of CUDA failed; the text has CUDA's own name and words for it."""


class DeviceMemoryWarning(RuntimeWarning):
    """A device's memory did not suffice, and rows are counted in smaller chunks: the same numbers, more slowly."""


class AlertError(ModelwatchError):
    """Raised by ``Report.raise_on_alert``: the report has findings at or above the level asked for."""
