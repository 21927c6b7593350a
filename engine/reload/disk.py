"""Small files that are replaced whole: whoever reads one finds the old text or the new, also after a power loss."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def write_whole(path: Path, content: bytes, mode: int | None = None) -> None:
    """Replace a file by another of this content, making the folder if it is missing; `mode` is who may do what with it.

    Raises:
        OSError: if it cannot be written; the old file is then untouched.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    entries = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(entries)
    finally:
        os.close(entries)


def what_helps(error: OSError) -> str:
    """What helps where something cannot be written.

    >>> what_helps(PermissionError(errno.EACCES, "Permission denied"))
    'let the user that the session runs as write there'
    """
    return _HELP.get(error.errno or 0, "make room, or free the folder")


_HELP = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "let the user that the session runs as write there"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "move away what stands there in its place"),
    errno.EROFS: "mount it so that it can be written",
}
