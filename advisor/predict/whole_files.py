"""Files that a reader sees whole: the old one or the new one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from advisor.errors import DataError


def write_whole(path: Path, content: bytes, *, what: str) -> None:
    """Write beside the file and then into its place.

    Args:
        what: The content in words, at the beginning of a sentence.

    Raises:
        DataError: It cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except OSError as exc:
        raise DataError(f"{what} could not be written to {path}: {exc.strerror or exc}.") from exc
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
