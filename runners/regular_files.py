"""Opens the files that a spec names, and nothing that only looks like one.

Opening a named pipe waits until somebody writes into it, which may be never; a device may have no end, or do
something when it is opened. So what is opened has to be a regular file, links followed.
"""

import errno
import os
import stat
from io import BufferedReader
from typing import TypeAlias

StrPath: TypeAlias = str | os.PathLike[str]

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: StrPath) -> BufferedReader:
    """Opens a regular file to read its bytes; never waits for another process.

    Raises:
        OSError: It is no regular file, with its kind as `strerror`, or it cannot be read.
    """
    # Looked at first, since opening alone can do something: a writer that waits at a pipe would go on.
    _refuse_others(os.stat(path), path)
    # It may have been exchanged since: with O_NONBLOCK a pipe does not wait, and files take no notice of it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _refuse_others(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    # The descriptor has no name: messages of libraries that get the file tell the path as it was given.
    return open(path, "rb", opener=lambda *_: descriptor)


def read_bytes(path: StrPath) -> bytes:
    """All that a regular file holds; raises as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def read_text(path: StrPath) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        OSError: As `open_regular`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path).decode("utf-8")


def require_regular(path: StrPath) -> None:
    """Asks for a file that a library is about to open by its path; raises as `open_regular`."""
    open_regular(path).close()


def _refuse_others(found: os.stat_result, path: StrPath) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    kind = next((name for is_so, name in _KINDS if is_so(found.st_mode)), "something else")
    raise OSError(errno.EINVAL, f"got {kind}, but needs a regular file", os.fspath(path))
