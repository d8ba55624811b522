"""A row of changes to the machine that are made all or not at all, also when the process is killed in between.

What undoes a step is on the disk before the step is made. Whoever comes next after a crash undoes what is written
there. Nothing is undone that somebody has changed since. Must not know what the files are for.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Sequence
from typing import Any

from ..boot import detect
from .store import Store, StoreError, write_all

JOURNAL = "undo"
COMMAND_TIMEOUT_S = 120.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class StepError(Exception):
    """A step could not be made; the text says which and why."""


class Transaction:
    """Steps on behalf of one `store`, which is open. Each method raises StepError; then `roll_back`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.made: list[str] = []
        """Directories that were not there before, outermost first."""

    def directory(self, path: str, mode: int = 0o755, owner: tuple[int, int] | None = None) -> None:
        """Make a directory and all above it; those that are there stay as they are."""
        missing = []
        while not os.path.lexists(path):
            missing.append(path)
            path = os.path.dirname(path) or "/"
        for place in reversed(missing):
            self._note({"do": "rmdir", "path": place})
            try:
                os.mkdir(place, mode)
                if owner and place == missing[0]:
                    os.chown(place, *owner)
            except OSError as error:
                raise StepError(f"{place}: cannot be made ({error.strerror})") from None
            self.made.append(place)

    def write(self, path: str, data: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
        """Make `data` the content of the file, in one step; what lies there, a symlink too, is replaced."""
        self._note({"do": "file", "path": path, "before": snapshot(path), "after": _sum(data)})
        new = temporary(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            fd = os.open(new, flags, 0o600)
            try:
                write_all(fd, data)
                if owner:
                    os.fchown(fd, *owner)
                os.fchmod(fd, mode)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.replace(new, path)
            _sync(os.path.dirname(path))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise StepError(f"{path}: cannot be written ({error.strerror})") from None

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        self._note({"do": "file", "path": path, "before": snapshot(path), "after": _sum(os.fsencode(target))})
        new = temporary(path)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            os.symlink(target, new)
            os.replace(new, path)
        except OSError as error:
            raise StepError(f"{path}: cannot be made ({error.strerror})") from None

    def unlink(self, path: str) -> None:
        """Remove a file or a link, if it is there."""
        if not os.path.lexists(path):
            return
        self._note({"do": "file", "path": path, "before": snapshot(path), "after": None})
        try:
            os.unlink(path)
        except OSError as error:
            raise StepError(f"{path}: cannot be removed ({error.strerror})") from None

    def bring_back(self, path: str, shot: dict[str, Any]) -> None:
        """Make the path what it was when `snapshot` was taken."""
        self._note({"do": "file", "path": path, "before": snapshot(path), "after": content_sum(shot)})
        try:
            restore(path, shot)
        except OSError as error:
            raise StepError(f"{path}: cannot be written ({error.strerror})") from None

    def rmdir(self, path: str) -> bool:
        """Remove a directory if it is empty; that it was removed."""
        try:
            seen = os.stat(path, follow_symlinks=False)
            if not stat.S_ISDIR(seen.st_mode) or os.listdir(path):
                return False
            row = {"do": "mkdir", "path": path, "mode": stat.S_IMODE(seen.st_mode)}
            self._note({**row, "owner": [seen.st_uid, seen.st_gid]})
            os.rmdir(path)
        except OSError:
            return False
        return True

    def give(self, path: str, uid: int, gid: int) -> None:
        """Make it that user's; a symlink is not followed."""
        try:
            seen = os.lstat(path)
            self._note(
                {"do": "owner", "path": path, "before": [seen.st_uid, seen.st_gid], "after": [uid, gid]}
            )
            os.chown(path, uid, gid, follow_symlinks=False)
        except OSError as error:
            raise StepError(f"{path}: cannot be given away ({error.strerror})") from None

    def crontab(self, user: str, text: str | None) -> None:
        """Make `text` the crontab of `user` (empty: one's own); None: have none."""
        before = read_crontab(user)
        self._note({"do": "crontab", "user": user, "before": before, "after": text})
        write_crontab(user, text)

    def keep(self, name: str, data: bytes) -> None:
        """Replace a file of the store. Raises OSError, too."""
        before = self._store.read(name)
        self._note({"do": "store", "name": name, "before": None if before is None else before.decode()})
        self._store.write(name, data)

    def command(self, argv: Sequence[str], undo: Sequence[str] = (), *, may_fail: bool = False) -> bool:
        """Run a program to its end; that it ended well, unless StepError says so."""
        if undo:
            self._note({"do": "run", "argv": list(undo)})
        wrong = run(argv)
        if wrong and not may_fail:
            raise StepError(wrong)
        return not wrong

    def commit(self) -> None:
        """All is made: from now on nothing is undone."""
        self._store.unlink(JOURNAL)

    def roll_back(self) -> list[str]:
        """Undo what was made, last first; what could not be undone, in words."""
        problems = undo(self._store)
        self.made = []
        return problems

    def _note(self, row: dict[str, Any]) -> None:
        try:
            self._store.append(JOURNAL, json.dumps(row).encode() + b"\n")
        except OSError as error:
            raise StepError(f"{self._store.path}/{JOURNAL}: cannot be written ({error.strerror})") from None


def undo(store: Store) -> list[str]:
    """Undo what an unfinished transaction made; what could not be undone, in words. Raises StoreError."""
    data = store.read(JOURNAL)
    if data is None:
        return []
    problems = []
    for line in reversed(data.split(b"\n")):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last one, if it was cut short: its step was never made
        try:
            if row["do"] == "store":
                _undo_store(store, row)
            else:
                _undo(row)
        except (OSError, StepError) as error:
            problems.append(str(error))
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"{store.path}/{JOURNAL}: makes no sense; remove it") from None
    store.unlink(JOURNAL)
    return problems


def _undo_store(store: Store, row: dict[str, Any]) -> None:
    if row["before"] is None:
        store.unlink(row["name"])
    else:
        store.write(row["name"], row["before"].encode())


def _undo(row: dict[str, Any]) -> None:
    kind = row["do"]
    if kind == "rmdir":
        with contextlib.suppress(OSError):
            os.rmdir(row["path"])
    elif kind == "mkdir":
        with contextlib.suppress(FileExistsError):
            os.mkdir(row["path"])
            os.chown(row["path"], *row["owner"])
            os.chmod(row["path"], row["mode"])
    elif kind == "crontab":
        if read_crontab(row["user"]) == row["after"]:
            write_crontab(row["user"], row["before"])
    elif kind == "owner":
        with contextlib.suppress(FileNotFoundError):
            seen = os.lstat(row["path"])
            if [seen.st_uid, seen.st_gid] == row["after"]:
                os.chown(row["path"], *row["before"], follow_symlinks=False)
    elif kind == "run":
        run(row["argv"])
    elif kind == "file":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary(row["path"]))
        now = snapshot(row["path"])
        if now != row["before"] and content_sum(now) == row["after"]:
            restore(row["path"], row["before"])
    else:
        raise ValueError


def snapshot(path: str) -> dict[str, Any] | None:
    """What lies there, to be brought back by `restore`; None if nothing does. Raises StepError."""
    try:
        seen = os.lstat(path)
        if stat.S_ISLNK(seen.st_mode):
            return {"link": os.readlink(path)}
        if not stat.S_ISREG(seen.st_mode):
            raise StepError(f"{path}: is no plain file; move it away")
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepError(f"{path}: cannot be read ({error.strerror})") from None
    owner = [seen.st_uid, seen.st_gid]
    return {"data": base64.b64encode(data).decode(), "mode": stat.S_IMODE(seen.st_mode), "owner": owner}


def content_sum(shot: dict[str, Any] | None) -> str | None:
    """What tells the content of a snapshot from another."""
    if shot is None:
        return None
    return _sum(os.fsencode(shot["link"]) if "link" in shot else base64.b64decode(shot["data"]))


def restore(path: str, shot: dict[str, Any] | None) -> None:
    """Make the path what it was. Raises OSError."""
    if shot is None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    new = temporary(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    if "link" in shot:
        os.symlink(shot["link"], new)
    else:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, base64.b64decode(shot["data"]))
            seen = os.fstat(fd)
            if [seen.st_uid, seen.st_gid] != shot["owner"]:
                os.fchown(fd, *shot["owner"])
            os.fchmod(fd, shot["mode"])
            os.fsync(fd)
        finally:
            os.close(fd)
    os.replace(new, path)


def temporary(path: str) -> str:
    """Where the new content of `path` is written first; no init system takes such a name for one of its own."""
    directory, name = os.path.split(path)
    return f"{directory}/.{name}.kegmaster-new~"


def read_crontab(user: str = "") -> str | None:
    """The crontab of `user` (empty: one's own); None if there is none. Raises StepError."""
    done = _call(("crontab", *(("-u", user) if user else ()), "-l"))
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "surrogateescape")
    if b"no crontab for" in done.stderr or b"can't open" in done.stderr:
        return None
    raise StepError(f"crontab -l: {_said(done)}")


def write_crontab(user: str, text: str | None) -> None:
    """Replace it; None: have none. Raises StepError."""
    who = ("-u", user) if user else ()
    if text is None:
        done = _call(("crontab", *who, "-r"))
    else:
        done = _call(("crontab", *who, "-"), text.encode("utf-8", "surrogateescape"))
    if done.returncode and not (text is None and b"no crontab" in done.stderr):
        raise StepError(f"crontab: {_said(done)}")


def run(argv: Sequence[str]) -> str:
    """Run a program to its end; what went wrong, empty if nothing did."""
    try:
        done = _call(argv)
    except StepError as error:
        return str(error)
    return f"{' '.join(argv)}: {_said(done)}" if done.returncode else ""


def _call(argv: Sequence[str], data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    keep = ("HOME", "USER", "LOGNAME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "TMPDIR")
    environment = {name: os.environ[name] for name in keep if name in os.environ}
    if argv[0] in ("systemctl", "loginctl") and (directory := detect.session()):
        environment.setdefault("XDG_RUNTIME_DIR", directory)
    # Messages are looked at, so they must be in the language that is looked for.
    environment |= {"PATH": f"{os.environ.get('PATH', '')}:{_PATH}".strip(":"), "LC_ALL": "C"}
    given: dict[str, Any] = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
    try:
        return subprocess.run(
            argv,
            **given,
            capture_output=True,
            env=environment,
            cwd="/",
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError:
        raise StepError(f"{argv[0]}: is not installed") from None
    except OSError as error:
        raise StepError(f"{argv[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise StepError(f"{' '.join(argv)}: not done within {COMMAND_TIMEOUT_S:.0f} s") from None


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    return " ".join(said[-400:].split()) or f"ended with status {done.returncode}"


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(directory: str) -> None:
    fd = os.open(directory or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
