"""Where the files of a log are: local paths, addresses such as ``s3://bucket/log``, folders and patterns of both."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa

from ..errors import InputError
from .files import LogFile, first_line
from .kinds import KNOWN_SUFFIXES, file_of, is_columnar, text_suffix
from .partitions import Values, values_of

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?(\?.*)?")
_MAGIC = re.compile(r"[*\[]")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files on a filesystem that an address cannot describe: ``Files("bucket/log", filesystem=fs)``.

    source: a path, a folder or a pattern within the filesystem, or a list of these. filesystem: a ``pyarrow.fs`` or
    an ``fsspec`` filesystem, with its own credentials, retries and time-outs.
    """

    source: str | Sequence[str]
    filesystem: Any

    def __init__(self, source: str | Sequence[str], *, filesystem: Any) -> None:
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "filesystem", filesystem)


@dataclass(frozen=True)
class Place:
    """One file: what messages call it, where it is, and what the folders around it say."""

    name: str
    path: str
    filesystem: pafs.FileSystem | None  # None: local
    values: Values


def places_of(source: str | os.PathLike[str], name: str, taken: str) -> list[Place]:
    """The files that a path, a pattern or an address stands for; ``taken`` says in messages what would be taken."""
    path = os.fspath(source)
    if not isinstance(path, str):
        raise InputError(f"The {name} is a path of bytes, {path!r}; pass it as text.")
    if not path or "\0" in path:
        raise InputError(f"The {name} is not a path: {path!r}; pass {taken}.")
    address = _ADDRESS.fullmatch(path)
    if address is not None and not os.path.lexists(path):
        return _places_of_address(path, address, name)
    return _local_places(path, name)


def places_in(files: Files, name: str) -> list[Place]:
    """The files of a filesystem given as such."""
    import pyarrow.fs as pafs

    filesystem = files.filesystem
    if not isinstance(filesystem, pafs.FileSystem):
        if not hasattr(filesystem, "open") or not hasattr(filesystem, "info"):
            raise InputError(
                f"The filesystem of the {name} is a {type(filesystem).__name__}; pass one of pyarrow.fs or fsspec."
            )
        filesystem = pafs.PyFileSystem(pafs.FSSpecHandler(filesystem))
    prefix = f"{filesystem.type_name}://" if re.fullmatch(r"s3|gcs|abfs|hdfs", filesystem.type_name) else ""
    sources = [files.source] if isinstance(files.source, str) else list(files.source)
    if not sources:
        raise InputError(f"The {name} is an empty list; pass one file at least.")
    found = []
    for path in sources:
        if not isinstance(path, str) or not path:
            raise InputError(f"The {name} is not a path: {path!r}; pass paths within the filesystem.")
        segments = path.split("/")
        at = next((i for i, part in enumerate(segments) if _MAGIC.search(part)), len(segments))
        base, pattern = "/".join(segments[:at]), segments[at:]
        found += _remote_places(filesystem, base, pattern, prefix, f"{prefix}{path}", name)
    return found


def open_place(place: Place, name: str, taken: str) -> LogFile:
    """Open one file, by what its bytes or its name say it is."""
    return _open_local(place.path, name, taken) if place.filesystem is None else _open_remote(place, name)


def _local_places(path: str, name: str) -> list[Place]:
    if os.path.isdir(path):
        paths, root = _paths_in_folder(path), path
    elif not os.path.lexists(path) and glob.has_magic(path):
        paths = sorted(match for match in glob.glob(path, recursive=True) if not os.path.isdir(match))
        if not paths:
            raise InputError(f"No file matches the pattern {path!r} of the {name}; check the folder and the pattern.")
        segments = path.split("/")
        root = "/".join(segments[: next(i for i, part in enumerate(segments) if glob.has_magic(part))])
    else:
        paths, root = [path], os.path.dirname(path)
    return [Place(one, one, None, values_of(one, root.rstrip("/") or root)) for one in paths]


def _paths_in_folder(folder: str) -> list[str]:
    found: list[str] = []
    for here, below, names in os.walk(folder, onerror=functools.partial(_refuse_folder, folder)):
        below[:] = [one for one in below if not _is_hidden(one)]
        found += [os.path.join(here, one) for one in names if not _is_hidden(one)]
    return _logs_among(found, folder)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _logs_among(paths: Sequence[str], folder: str) -> list[str]:
    """The files of a folder that belong to a log, sorted. A ``.json`` beside files of other kinds describes them."""
    columnar = [path for path in paths if is_columnar(path)]
    text = [path for path in paths if not is_columnar(path) and text_suffix(path) is not None]
    lines = [path for path in text if text_suffix(path) != ".json"]
    if columnar and lines:
        raise InputError(
            f"The folder {folder} has files such as {posixpath.basename(min(columnar))!r} and "
            f"{posixpath.basename(min(lines))!r}; pass a pattern, or a list, that says which belong to the log."
        )
    found = columnar or lines or text
    if not found:
        only = f"only files such as {posixpath.basename(min(paths))!r}" if paths else "no files"
        raise InputError(f"The folder {folder} has {only}; a log is made of {KNOWN_SUFFIXES} files.")
    return sorted(found)


def _refuse_folder(folder: str, error: OSError) -> None:
    raise InputError(f"The folder {folder} cannot be listed: {error.strerror or error}; check its permissions.")


def _open_local(path: str, name: str, taken: str) -> LogFile:
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{path} is neither a file nor a folder; pass {taken}.")
        with open(path, "rb") as file:
            head = file.read(8)
            file.seek(max(0, about.st_size - 8))
            tail = file.read(8)
    except FileNotFoundError:
        raise InputError(f"The {name} {path} does not exist; check the path.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}; check its permissions.") from None
    return file_of(path, head, tail, functools.partial(pa.OSFile, os.fsencode(path)))


def _places_of_address(text: str, address: re.Match[str], name: str) -> list[Place]:
    import pyarrow.fs as pafs

    scheme, authority, path, query = (part or "" for part in address.groups())
    # Credentials may stand before the @ and in the query: messages and reports do without.
    shown = f"{scheme}://{authority.rpartition('@')[2]}{path}"
    segments = path.split("/")
    at = next((i for i, part in enumerate(segments) if _MAGIC.search(part)), len(segments))
    fixed = quote("/".join(segments[:at]), safe="/%=:+,@!$&'()*;~")
    try:
        filesystem, base = pafs.FileSystem.from_uri(f"{scheme}://{authority}{fixed}{query}")
    except (pa.ArrowException, OSError, ValueError) as error:
        if "Unrecognized filesystem type" in str(error):
            raise InputError(
                f"{shown} is an address of a kind that is not known; use file, s3, gs, abfs or hdfs, or mw.Files."
            ) from None
        raise _refused(shown, error) from None
    pattern = [unquote(part) for part in segments[at:]]
    if isinstance(filesystem, pafs.LocalFileSystem):
        return _local_places("/".join([base.rstrip("/") or "", *pattern]) if pattern else base, name)
    return _remote_places(filesystem, base, pattern, f"{scheme}://", shown, name)


def _remote_places(
    filesystem: pafs.FileSystem, base: str, pattern: list[str], prefix: str, shown: str, name: str
) -> list[Place]:
    import pyarrow.fs as pafs

    try:
        if pattern:
            paths = sorted(set(_matches(filesystem, base, pattern)))
            if not paths:
                raise InputError(
                    f"No file matches the pattern {shown!r} of the {name}; check the folder and the pattern."
                )
            root = base
        else:
            about = filesystem.get_file_info(base)
            if about.type == pafs.FileType.NotFound:
                raise InputError(f"The {name} {shown} does not exist; check the address.")
            if about.type == pafs.FileType.Directory:
                root = base.rstrip("/")
                below = filesystem.get_file_info(pafs.FileSelector(base, recursive=True))
                files = [one.path for one in below if one.type == pafs.FileType.File]
                paths = _logs_among([one for one in files if not _hidden_below(one, root)], shown)
            else:
                paths, root = [base], posixpath.dirname(base)
    except (pa.ArrowException, OSError) as error:
        raise _refused(shown, error) from None
    return [
        Place(f"{prefix}{one.lstrip('/') if prefix else one}", one, filesystem, values_of(one, root)) for one in paths
    ]


def _hidden_below(path: str, root: str) -> bool:
    return any(_is_hidden(part) for part in path[len(root) :].split("/"))


def _matches(filesystem: pafs.FileSystem, base: str, pattern: Sequence[str]) -> Iterator[str]:
    """The files below a folder that a pattern matches, segment by segment; ``**`` is any number of folders."""
    import pyarrow.fs as pafs

    first, rest = pattern[0], pattern[1:]
    if rest and not _MAGIC.search(first):
        yield from _matches(filesystem, posixpath.join(base, first), rest)
        return
    if first == "**" and rest:
        yield from _matches(filesystem, base, rest)
    for one in filesystem.get_file_info(pafs.FileSelector(base, allow_not_found=True)):
        hidden = one.base_name.startswith(".") and not first.startswith(".")
        folder = one.type == pafs.FileType.Directory
        if hidden or not (first == "**" or fnmatch.fnmatchcase(one.base_name, first)):
            continue
        if folder and (rest or first == "**"):
            yield from _matches(filesystem, one.path, pattern if first == "**" else rest)
        elif not folder and not rest:
            yield one.path


def _open_remote(place: Place, name: str) -> LogFile:
    assert place.filesystem is not None
    opener = functools.partial(place.filesystem.open_input_file, place.path)
    try:
        with opener() as file:
            size = file.size()
            head = file.read(8)
            file.seek(max(0, size - 8))
            tail = file.read(8)
    except FileNotFoundError:
        raise InputError(f"The {name} {place.name} does not exist; check the address.") from None
    except (pa.ArrowException, OSError) as error:
        raise _refused(place.name, error) from None
    return file_of(place.name, head, tail, opener, remote=True)


def _refused(shown: str, error: BaseException) -> InputError:
    """The sentence for an address that cannot be listed or opened."""
    if isinstance(error, InputError):
        return error
    said = str(error)
    if isinstance(error, FileNotFoundError) or "NO_SUCH_BUCKET" in said or "NO_SUCH_KEY" in said:
        return InputError(f"{shown} does not exist; check the address.")
    if isinstance(error, PermissionError) or "ACCESS_DENIED" in said or "status 403" in said:
        return InputError(f"{shown} may not be read with the credentials given; check them and the permissions.")
    if "NETWORK_CONNECTION" in said or "connect" in said:
        return InputError(f"{shown} cannot be reached; check the address, the endpoint and the network.")
    # The parser repeats the address, which may hold credentials.
    reason = re.sub(r"'?[A-Za-z][A-Za-z0-9+.-]*://\S*", "the address", first_line(error))
    return InputError(f"{shown} cannot be opened: {reason}; check the address and the credentials.")
