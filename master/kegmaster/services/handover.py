"""Directories that root's master has used, given to the user whose master is to use them from now on.

What belongs to the master is known by its name; where anything else lies, nothing is touched. Must not know boot
entries.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from .. import paths
from .store import NAME as STORE
from .transaction import Transaction

_OWN = ("boot.log", paths.NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What is to be done so that `account` can write into its directories.

    directories  those that are root's now
    files        all that is to change hands: what lies in a directory before the directory itself
    """

    account: pwd.struct_passwd
    directories: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def ours(name: str, apps: Collection[str]) -> bool:
    """A file of this name in one of the master's directories is the master's, or one of these apps'."""
    stems = (*_OWN, STORE, *apps)
    return name in (*_OWN, STORE) or any(name.startswith(f"{stem}.") for stem in stems)


def plan(
    account: pwd.struct_passwd, directories: Iterable[str], extra: Iterable[str], apps: Collection[str]
) -> tuple[Handover, list[str]]:
    """What is to change hands, and, in words, what cannot. `extra`: files elsewhere that the user's master reads.

    Raises OSError.
    """
    found: dict[str, None] = {}
    given, problems = [], []
    for directory in dict.fromkeys(directories):
        if not os.path.isdir(directory) or os.lstat(directory).st_uid == account.pw_uid:
            continue
        strange = [name for name in sorted(os.listdir(directory)) if not ours(name, apps)]
        inner = [] if strange else list(_inner(directory))
        strange += [path for path in inner if not _plain(account, os.lstat(path))]
        if not _plain(account, os.lstat(directory)) or strange:
            whose = f"holds {', '.join(strange[:3])}" if strange else "is not root's alone"
            problems.append(
                f"{directory}: cannot be given to {account.pw_name}, it {whose};"
                f" name another directory, or: chown {account.pw_name} {directory}"
            )
            continue
        given.append(directory)
        found |= dict.fromkeys((*inner, directory))
    for path in extra:
        if os.path.lexists(path) and _plain(account, os.lstat(path)):
            found[path] = None
    return Handover(account=account, directories=tuple(given), files=tuple(found)), problems


def carry_out(transaction: Transaction, handover: Handover) -> None:
    """Do it. Raises StepError."""
    for path in handover.files:
        transaction.give(path, handover.account.pw_uid, handover.account.pw_gid)


def _inner(directory: str) -> Iterator[str]:
    """All below `directory` but the store, which stays root's; the deepest first, and no symlink followed."""
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name == STORE or entry.name.startswith(f"{STORE}."):
                continue
            # What the user has already, he may exchange while we look.
            if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == 0:
                yield from _inner(entry.path)
            yield entry.path


def _plain(account: pwd.struct_passwd, seen: os.stat_result) -> bool:
    """Root's own or the user's, and reachable by this name only: what else it may be is not to be guessed."""
    kind = stat.S_IFMT(seen.st_mode)
    if seen.st_uid not in (0, account.pw_uid) or kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK):
        return False
    return not (seen.st_uid == 0 and seen.st_mode & 0o022) if kind == stat.S_IFDIR else seen.st_nlink == 1
