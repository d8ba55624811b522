"""Files that somebody else may have got at."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kegmaster import files


def lay(path: Path, kind: str, victim: Path) -> None:
    match kind:
        case "file":
            path.write_text("old")
        case "symlink":
            path.symlink_to(victim)
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY | os.O_CREAT], ids=["r", "w", "w+"])
@pytest.mark.parametrize(
    ("kind", "number"), [("symlink", errno.ELOOP), ("fifo", errno.EINVAL), ("directory", errno.EINVAL)]
)
def test_nothing_but_a_plain_file_is_opened_and_nothing_is_waited_for(
    tmp_path: Path, kind: str, number: int, flags: int
) -> None:
    path, victim = tmp_path / "path", tmp_path / "victim"
    victim.write_text("kept")
    lay(path, kind, victim)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        files.open_plain(str(path), flags)
    assert caught.value.errno == number
    assert victim.read_text() == "kept"


def test_a_symlink_is_followed_where_a_person_named_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("12345")
    (tmp_path / "link").symlink_to("file")
    assert files.read_plain(str(tmp_path / "link"), 3, follow=True) == b"123"


@pytest.mark.parametrize("kind", ["file", "symlink", "fifo"])
@pytest.mark.parametrize("lasting", [False, True])
def test_whatever_lies_in_the_way_is_replaced_and_not_written_through(
    tmp_path: Path, kind: str, *, lasting: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    for path in (tmp_path / "path", tmp_path / "path.new"):
        lay(path, kind, victim)
    files.replace(str(tmp_path / "path"), b"new", 0o600, lasting=lasting)
    assert (tmp_path / "path").read_text() == "new"
    assert not (tmp_path / "path").is_symlink()
    assert (tmp_path / "path").stat().st_mode & 0o777 == 0o600
    assert victim.read_text() == "kept"
    assert not (tmp_path / "path.new").exists()
