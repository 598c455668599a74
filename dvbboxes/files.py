"""Files that are replaced whole or not at all: what stood there stays until all of what follows it is there."""

from __future__ import annotations

import os
from pathlib import Path

#: Of what is in the [DATA] folder, whose group may read and replace it.
SHARED = 0o664


def replace_whole(
    path: Path,
    content: bytes,
    mode: int | None = None,
    *,
    owner: tuple[int, int] | None = None,
    synced: bool = True,
) -> None:
    """Put ``content`` in the place of a file, and nothing beside it if that fails. Raises OSError.

    ``mode`` None: what the umask leaves of 0666; ``owner`` (user and group id) None: whoever runs this. Both are set
    before anything is in it: it may be a secret. ``synced``: it outlives a power cut.
    """
    # What a killed process leaves is taken over by the next of its number; a link is not followed.
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        descriptor = os.open(fresh, flags, 0o666 if mode is None else 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if owner is not None:
                os.fchown(descriptor, *owner)
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(content)
            if synced:
                file.flush()
                os.fsync(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
