"""Whether the store is there, sound, writable and private, and has room left.

Knows what the file system and SQLite tell of it, and what the core complains of. Pure.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from kegapps.tools.doctor.facts import Facts, StoreFacts
from kegapps.tools.doctor.finding import Finding, Link, hint, ok, trouble, unknown
from kegapps.tools.doctor.settings import Settings
from kegapps.tools.doctor.wording import plain, process, size

_LINK: Final = Link.STORE
APPLICATION_ID: Final = 0x4B65_6773
NEEDED_BYTES: Final = 1 << 20
SCARCE_BYTES: Final = 100 << 20
SCARCE_INODES: Final = 100
GONE: Final = " (deleted)"
OTHER_STORE: Final = "restore a backup, or name another file with --store (it is left as it is)"


def findings(facts: Facts, settings: Settings) -> list[Finding]:
    """What is to be said of the store."""
    store = facts.store
    if store is None:
        return [
            unknown(
                _LINK,
                "the disk of the store did not answer in time",
                "see what the kernel says: dmesg | tail",
            )
        ]
    told = facts.core.report.get("store", {}) if facts.core and facts.core.report else {}
    if store.used_instead:
        text = f"{store.path} is what you named, but the core uses another store: {plain(store.used_instead)}"
        other = hint(_LINK, text, "leave out --store, and that one is looked at")
        return [*_file(store, {}, is_meant=True), other]
    found = _file(store, told, is_meant=settings.store is not None or settings.core_process is not None)
    if told.get("trouble") and not store.exists and not store.held_path:
        found = []  # the core lost it: it will not be made at the next start
    if all(finding.level != "trouble" for finding in found) and told.get("trouble"):
        found.insert(
            0, trouble(_LINK, f"the core says: {plain(told['trouble'])}", _cure_of(str(told["trouble"])))
        )
    return found


def _file(store: StoreFacts, told: Mapping[str, Any], *, is_meant: bool) -> list[Finding]:
    if store.held_path:
        return [_astray(store)]
    if not store.exists:
        return [_missing(store, is_meant=is_meant)]
    if not store.is_file:
        return [trouble(_LINK, f"{store.path} is not a file", "name a file with --store")]
    if store.names > 1:
        return [
            trouble(
                _LINK,
                f"{store.path} has another name (a hard link), by which a second core could use it and destroy it",
                f"find that (find / -xdev -samefile {shlex.quote(store.path)}), and remove it, or make it a copy",
            )
        ]
    if damage := _damage(store):
        return [damage]
    troubles = [finding for finding in (_rights(store), _room(store)) if finding is not None]
    if troubles:
        return troubles
    if store.unread and store.holder_pid is None and store.user != store.owner:
        return [
            unknown(_LINK, f"{store.path} cannot be looked at: {store.unread}", "run the doctor with sudo")
        ]
    return [_well(store, told), *_hints(store)]


def _astray(store: StoreFacts) -> Finding:
    """Somebody took the file away, or put another in its place, while the core used it."""
    core, held = process("kegbot_core", store.held_by), plain(store.held_path)
    gone = store.held_path.endswith(GONE)
    where = "was removed" if gone else f"is at {held} now"
    text = f"{core} holds a file that is no longer at {store.path}: it {where}"
    if store.exists:
        return trouble(
            _LINK,
            f"{text}, and another is in its place",
            "put the other aside, then stop kegbot_core, which saves what it holds, and have that in its place",
        )
    if gone:
        return trouble(
            _LINK,
            text,
            "do not kill kegbot_core, which alone has what was in it: it writes the file anew when it next stores "
            "something, or ends; pour something, and see its log",
        )
    return trouble(_LINK, text, f"move it back: {shlex.join(['mv', held, store.path])}")


def _missing(store: StoreFacts, *, is_meant: bool) -> Finding:
    """`is_meant`: a core runs or is configured with it; otherwise it is just where one would be."""
    if store.may_write is False and is_meant:
        return trouble(
            _LINK,
            f"there is no {store.path}, and {store.user} may not make it",
            "name a file in a folder of that user with --store, or give the folder to it (chown)",
        )
    return hint(
        _LINK, f"there is no {store.path} yet", "kegbot_core makes it when it starts first; else see --store"
    )


def _damage(store: StoreFacts) -> Finding | None:
    if store.check and store.check != "ok":
        return trouble(_LINK, f"{store.path} is damaged: {plain(store.check, 100)}", OTHER_STORE)
    if store.application_id not in (None, APPLICATION_ID) and not _is_new(store):
        return trouble(
            _LINK, f"{store.path} is a database of another program", "name another file with --store"
        )
    if store.schema_version is not None and store.schema_version > store.known_schema_version:
        return trouble(
            _LINK,
            f"{store.path} was written by a newer version (schema {store.schema_version}, this one knows "
            f"{store.known_schema_version})",
            "update kegmaster, or name another file with --store",
        )
    return None


def _is_new(store: StoreFacts) -> bool:
    return store.application_id == 0 and not store.taps and store.schema_version == 0


def _rights(store: StoreFacts) -> Finding | None:
    if store.read_only_disk:
        return trouble(
            _LINK,
            f"{store.path} lies on a file system that is mounted read-only",
            "see why (dmesg | tail: a failing disk?), and mount it writable, or name another file with --store",
        )
    if store.may_write is False and not (
        store.unread and store.user != store.owner and store.holder_pid is None
    ):
        return trouble(
            _LINK,
            f"user {store.user} may not write {store.path} (it is {store.owner}'s, mode {store.mode:04o})",
            f"sudo chown {store.user} {store.path}* and see that {store.user} may write into its folder",
        )
    if store.strange_files:
        names = " ".join(store.strange_files)
        return trouble(
            _LINK,
            f"user {store.user} may not write {names}, which belongs to the store",
            f"sudo chown {store.user} {names} (a program of another user has made it)",
        )
    return None


def _room(store: StoreFacts) -> Finding | None:
    if store.free_bytes is not None and store.free_bytes < NEEDED_BYTES:
        return trouble(
            _LINK,
            f"the disk of {store.path} is full: {size(store.free_bytes)} left",
            "make room: du -x -d1 /",
        )
    if store.free_inodes == 0:
        return trouble(
            _LINK,
            f"the disk of {store.path} takes no more files (no inodes left)",
            "remove files that are not needed: many small ones somewhere",
        )
    return None


def _well(store: StoreFacts, told: Mapping[str, Any]) -> Finding:
    parts = [f"{store.path}: {size(store.size_bytes)}"]
    if store.schema_version is not None:
        parts.append(f"schema {store.schema_version}")
    elif told.get("schema_version"):
        parts.append(f"schema {told['schema_version']}")
    if store.check == "ok":
        parts.append("sound")
    parts.append(f"of {store.owner}, {store.mode:04o}")
    if store.holder_pid is not None:
        parts.append(f"held by {process('kegbot_core', store.holder_pid)}")
    if store.free_bytes is not None:
        parts.append(f"{size(store.free_bytes)} left on its disk")
    return ok(_LINK, ", ".join(parts))


def _hints(store: StoreFacts) -> list[Finding]:
    found = []
    if store.mode & 0o077:
        found.append(
            hint(_LINK, f"others than {store.owner} may read {store.path}", f"chmod 600 {store.path}")
        )
    if store.free_bytes is not None and store.free_bytes < SCARCE_BYTES:
        found.append(hint(_LINK, f"only {size(store.free_bytes)} are left on its disk", "make room"))
    if store.free_inodes is not None and 0 < store.free_inodes < SCARCE_INODES:
        found.append(hint(_LINK, f"its disk takes only {store.free_inodes} more files", "remove some"))
    if store.unread:
        found.append(
            unknown(
                _LINK,
                f"what is in the store was not looked at: {plain(store.unread)}",
                "run the doctor with sudo",
            )
        )
    elif not store.check_complete:
        found.append(
            hint(
                _LINK,
                "the store is too large to be checked in a moment",
                f'check it at leisure: sqlite3 -readonly {store.path} "pragma quick_check"',
            )
        )
    return found


def admin(facts: Facts, words: str) -> str:
    """What to type so that kegbot_admin.py does `words` to this store."""
    path = facts.store.used_instead or facts.store.path if facts.store else ""
    return f"kegbot_admin.py {words}" + (
        f" --store={shlex.quote(path)}" if path not in ("", facts.default_store) else ""
    )


def _cure_of(text: str) -> str:
    """The core's complaints say after a semicolon what to do."""
    said = text.split("; ", 1)
    return plain(said[1]) if len(said) > 1 else "see kegbot_core's log"
