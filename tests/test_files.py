"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dvbboxes.files import SHARED, replace_whole

pytestmark = pytest.mark.pure


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept"
    path.write_bytes(b"before")
    return path


def beside(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_it_is_replaced_with_the_mode_that_was_asked_for_whatever_the_umask(kept: Path) -> None:
    mask = os.umask(0o077)
    try:
        replace_whole(kept, b"after", SHARED)
        replace_whole(kept.with_name("private"), b"")
    finally:
        os.umask(mask)
    assert kept.read_bytes() == b"after"
    assert kept.stat().st_mode & 0o777 == 0o664
    assert kept.with_name("private").stat().st_mode & 0o777 == 0o600
    assert beside(kept) == ["kept", "private"]


def test_who_may_read_it_is_settled_before_anything_is_in_it(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, int]] = []

    def spy(name: str) -> None:
        real = getattr(os, name)

        def watched(descriptor: int, *arguments: int) -> None:
            found = os.fstat(descriptor)
            seen.append((name, found.st_size, found.st_mode & 0o077))
            real(descriptor, *arguments)

        monkeypatch.setattr(os, name, watched)

    spy("fchown")
    spy("fchmod")
    replace_whole(kept, b"secret" * 100_000, 0o640, owner=(os.getuid(), os.getgid()))
    assert seen == [("fchown", 0, 0), ("fchmod", 0, 0)]
    assert (kept.stat().st_mode & 0o777, kept.stat().st_size) == (0o640, 600_000)


def test_where_it_fails_what_stood_there_stays_and_nothing_else(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_whole(kept, b"after")
    assert kept.read_bytes() == b"before"
    assert beside(kept) == ["kept"]


def test_what_a_killed_process_left_is_taken_over(kept: Path) -> None:
    kept.with_name(f".kept.{os.getpid()}").write_bytes(b"half of something much longer")
    replace_whole(kept, b"after")
    assert kept.read_bytes() == b"after"
    assert beside(kept) == ["kept"]


def test_a_link_in_its_way_is_not_followed(kept: Path) -> None:
    other = kept.with_name("other")
    other.write_bytes(b"another's")
    kept.with_name(f".kept.{os.getpid()}").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        replace_whole(kept, b"after")
    assert (other.read_bytes(), kept.read_bytes()) == (b"another's", b"before")
