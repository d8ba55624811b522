"""A busy run directory: which of those that hold its lock are a master, what to say of it, whom --force may end.

Pure: what was seen is passed in as a Scene. The rule for --force: every holder must be proven to be of one master of
our own user on this machine, by what the kernel says of the lock and by what the master wrote down of itself; the
least doubt is a refusal, for whoever is ended wrongly is ended with SIGKILL.
"""

from __future__ import annotations

from .lean import TYPE_CHECKING, Final, dataclass

if TYPE_CHECKING:
    from .holder import Claim

NETWORK_FILE_SYSTEMS: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gfs2", "ocfs2", "glusterfs", "beegfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.cephfs", "fuse.s3fs", "fuse.rclone",
})  # fmt: skip
"""As /proc/self/mountinfo calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A living process, or one that is dead and not yet buried (`zombie`)."""

    pid: int
    parent: int
    uid: int
    start_ticks: int
    since: str
    """In words: local date and time."""
    command: str
    stopped: bool = False
    zombie: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What there is to see of a run directory and its lock."""

    directory: str
    owner: int
    """The user whom the directory belongs to."""
    euid: int
    boot_id: str
    pid_namespace: int
    file_system: str = ""
    locked: bool
    holders: tuple[Seen, ...] = ()
    """Whom the kernel shows to hold the lock; those of other users are hidden from all but root."""
    number: int | None = None
    """What stands in the pidfile."""
    named: Seen | None = None
    """Who has that number now."""
    claim: Claim | None = None
    claimed_since: str = ""
    script: str = ""
    """What we are called, such as master.py: for masters of a version that wrote no claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`kind`: not answering, another program, dead, unseen, nobody. `text`: the same for a person, one line.

    `refusal`: why --force ends nobody; empty: `masters` are those to end, the watchdog first. `rights`: they are not
    ours to end.
    """

    kind: str
    text: str
    masters: tuple[Seen, ...] = ()
    refusal: str = ""
    rights: bool = False


def judge(scene: Scene) -> Finding:
    """Who is there, provided that nobody answers at the socket."""
    if not scene.locked:
        return _gone(scene)
    if scene.owner != scene.euid:
        text = f"{scene.directory} belongs to user {scene.owner}, and so does what runs there"
        return Finding(kind="unseen", text=text, refusal=f"{text}; call --force as that user", rights=True)
    if scene.file_system in NETWORK_FILE_SYSTEMS:
        text = (
            f"{scene.directory} is on a network file system ({scene.file_system}): who holds its lock may be on"
            " another machine; name a local --pidfile_dir"
        )
        return Finding(kind="unseen", text=text, refusal=text)
    if not scene.holders:
        return _unseen(scene)
    masters = _proven(scene)
    strangers = [holder for holder in scene.holders if holder not in masters]
    if strangers:
        return _strangers(scene, strangers)
    main = next((seen for seen in masters if seen.pid == scene.number), masters[0])
    halted = " It is halted (SIGSTOP): kill -CONT lets it go on." if main.stopped else ""
    return Finding(
        kind="not answering",
        text=f"the master (process {main.pid}) does not answer; it runs since {main.since} as `{main.command}`.{halted}"
        " start --force ends it and takes its apps over as they run",
        masters=masters,
    )


def _gone(scene: Scene) -> Finding:
    claim = scene.claim
    if claim is None:
        return Finding(kind="nobody", text=f"no master runs in {scene.directory}")
    since = f"process {claim.pid}, since {scene.claimed_since}, `{claim.command}`"
    if claim.boot_id != scene.boot_id:
        return Finding(
            kind="dead", text=f"the master before ({since}) is dead: it was of an earlier boot, or machine"
        )
    return Finding(kind="dead", text=f"the master before ({since}) is dead")


def _unseen(scene: Scene) -> Finding:
    claim = scene.claim
    whose = "a process that cannot be seen from here: another user's, or in another container"
    if claim and claim.boot_id != scene.boot_id:
        whose = f"process {claim.pid} of another machine ({claim.host}), by its own words"
    elif claim and claim.pid_namespace != scene.pid_namespace:
        whose = (
            f"process {claim.pid} of another container ({claim.host}; pid namespace {claim.pid_namespace})"
        )
    text = f"{scene.directory} is locked by {whose}; end it there, or name another --pidfile_dir"
    return Finding(kind="unseen", text=text, refusal=text)


def _strangers(scene: Scene, strangers: list[Seen]) -> Finding:
    first = strangers[0]
    if scene.number is None and _is_called(scene.script, first) and first.uid == scene.euid:
        text = (
            f"a master (process {first.pid}, since {first.since}, `{first.command}`) holds the lock of"
            f" {scene.directory} and does not answer; its files there were removed, so --force cannot tell whose it is."
            f" If a process of it is halted, kill -CONT lets it go on and make them anew; else kill process {first.pid}"
        )
        return Finding(kind="another program", text=text, refusal=text)
    text = (
        f"another program (process {first.pid}, since {first.since}, `{first.command}`) holds the lock of"
        f" {scene.directory}; end it, or name another --pidfile_dir"
    )
    if scene.number is not None and scene.number != first.pid:
        who = f"process {scene.number}, which is "
        who += f"`{scene.named.command}` and does not hold it" if scene.named else "dead"
        text += f". The pidfile names {who}"
    return Finding(kind="another program", text=text, refusal=text, rights=first.uid != scene.euid)


def _is_called(script: str, seen: Seen) -> bool:
    return script in (word.rpartition("/")[2] for word in seen.command.split())


def _proven(scene: Scene) -> tuple[Seen, ...]:
    """The holders that are of one master: the one the pidfile names, its parent the keeper, and their children."""
    named, claim = scene.named, scene.claim
    if named is None or scene.number != named.pid:
        return ()
    if claim is not None:
        identity = (claim.pid, claim.boot_id, claim.start_ticks)
        if identity != (named.pid, scene.boot_id, named.start_ticks):
            return ()
    elif not _is_called(scene.script, named):
        return ()
    ours = [holder for holder in scene.holders if holder.uid == scene.euid]
    if named not in ours and not (named.zombie and any(holder.pid == named.parent for holder in ours)):
        return ()
    family = {named.pid, named.parent}
    # Whoever the keeper or the watchdog has just forked, and is frozen before it is itself.
    found = [holder for holder in ours if holder.pid in family]
    young = [
        holder for holder in ours if holder not in found and holder.parent in family and holder.parent > 1
    ]
    found.sort(key=lambda holder: holder.pid != named.pid)
    return (*found, *young)
