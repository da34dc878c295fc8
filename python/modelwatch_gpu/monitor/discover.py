"""Which files the log has now, and what tells a changed one: a folder or object store, listed at every look."""

from __future__ import annotations

import glob
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.fs as pafs

from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Files, Log
from modelwatch_gpu.log.partitions import partitioned
from modelwatch_gpu.log.places import Place, open_place, places_in, places_of

_TAKEN: Final = "a folder, a file, a pattern or an address"
_CHUNK: Final = 1 << 20


class Found(NamedTuple):
    """A file as it was seen. ``etag``: changes when it does; of a local file its size, time of change and number, of an
    object its size and time of change."""

    path: str
    size: int
    etag: str
    changed_at: datetime | None
    place: Place


def discover(sources: Any, folder: Path, name: str = "log") -> list[Found]:
    """The files of a log by path. A folder or pattern without files is an empty log: it is still to grow.

    Args:
        sources: A path, or a list of them, or ``Files`` of a filesystem of one's own.
        folder: Where relative paths begin.
        name: What messages call the log.

    Raises:
        InputError: A folder or bucket does not exist or cannot be listed.
    """
    places: dict[str, Place] = {}
    listed: Sequence[Any] = [sources] if isinstance(sources, str | Files) else list(sources)
    home, folders = os.path.realpath(folder), dict[str, str]()
    for source in listed:
        for place in _listed(source, folder, name):
            places.setdefault(_key(place, home, folders), place)
    infos = _infos(list(places.values()))
    found = [_seen(path, place, infos.get(place.path)) for path, place in sorted(places.items())]
    return [one for one in found if one is not None]


def _listed(source: Any, folder: Path, name: str) -> list[Place]:
    try:
        if isinstance(source, Files):
            return places_in(source, name)
        if "://" not in source and not glob.has_magic(source) and not os.path.lexists(folder / source):
            raise InputError(
                f"The {name} {folder / source} does not exist; check the path, or make the folder: an empty one is a "
                "log whose rows are still to come."
            )
        return places_of(source if "://" in source else folder / source, name, _TAKEN)
    except InputError as error:
        if _still_empty(str(error)):
            return []
        raise


def _still_empty(said: str) -> bool:
    """Whether a listing failed only because nothing has come yet."""
    return said.startswith("No file matches the pattern") or " has no files; " in said


def _key(place: Place, home: str, folders: dict[str, str]) -> str:
    """What the store calls the file: one name, however the config leads to it; below the config's folder it is relative
    to that, so both can move together. ``folders``: the real paths of those that were seen, since a log has many files
    in one."""
    if place.filesystem is not None:
        return place.name
    above, name = os.path.split(place.path)
    if os.path.islink(place.path):
        path = os.path.realpath(place.path)
    else:
        if above not in folders:
            folders[above] = os.path.realpath(above)
        path = os.path.join(folders[above], name)
    return path[len(home.rstrip("/")) + 1 :] if path.startswith(home.rstrip("/") + "/") else path


def _infos(places: Sequence[Place]) -> dict[str, Any]:
    """What object stores say of files, by path: one request for a folder, not one for a file."""
    infos: dict[str, Any] = {}
    folders = {(id(p.filesystem), posixpath.dirname(p.path)): p.filesystem for p in places if p.filesystem is not None}
    for (_, folder), filesystem in folders.items():
        assert filesystem is not None
        try:
            infos |= {one.path: one for one in filesystem.get_file_info(pafs.FileSelector(folder))}
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{folder}: cannot be listed ({_said(error)}).") from None
    return infos


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]


def _seen(path: str, place: Place, info: Any = None) -> Found | None:
    """None where the file went away since it was listed."""
    if place.filesystem is None:
        try:
            about = os.stat(place.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{place.path}: cannot be looked at ({error.strerror or error}).") from None
        if not stat.S_ISREG(about.st_mode):
            return None
        changed = datetime.fromtimestamp(about.st_mtime).astimezone()
        return Found(path, about.st_size, f"{about.st_size}-{about.st_mtime_ns}-{about.st_ino}", changed, place)
    try:
        info = place.filesystem.get_file_info(place.path) if info is None else info
        tag = _tag_of(place) or info.mtime_ns
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{place.name}: cannot be looked at ({_said(error)}).") from None
    if not info.is_file:
        return None
    size = info.size or 0
    return Found(path, size, f"{size}-{tag}", info.mtime, place)


def _tag_of(place: Place) -> str | None:
    """What an fsspec filesystem says that changes with the content; pyarrow's own ones say when it changed."""
    handler = getattr(place.filesystem, "handler", None)
    if not isinstance(handler, pafs.FSSpecHandler):
        return None
    info = handler.fs.info(place.path)
    tags = (info.get(name) for name in ("ETag", "etag", "md5Hash", "version_id", "mtime", "LastModified", "created"))
    return next((str(tag) for tag in tags if tag is not None), None)


def settled(found: Sequence[Found], now: datetime, settle: timedelta) -> list[Found]:
    """Without the files that were changed less than ``settle`` ago. One that claims to be of the future is taken: the
    clock that wrote it, or this one, is wrong."""
    if not settle:
        return list(found)
    return [f for f in found if f.changed_at is None or not timedelta(0) <= now - f.changed_at < settle]


def is_unchanged(found: Found) -> bool:
    """Whether a file is still as it was seen: one that changed while it was read was read half old, half new."""
    now = _seen(found.path, found.place)
    return now is not None and now.etag == found.etag


def opened(found: Found, name: str = "log") -> Log:
    """The file as a log of its own, with the columns that its folders name."""
    return Log.of(list(partitioned([open_place(found.place, name, _TAKEN)], [found.place.values])))


def sha256_of(found: Found) -> str:
    """SHA-256 of the file's content; reads all of it."""
    digest = hashlib.sha256()
    for chunk in _chunks(found.place):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(place: Place) -> Iterator[bytes]:
    try:
        if place.filesystem is None:
            with open(place.path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
            return
        with place.filesystem.open_input_stream(place.path) as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{place.name}: cannot be read ({_said(error)}).") from None
