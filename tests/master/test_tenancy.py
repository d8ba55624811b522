"""Whom --force may end, and what is said of a run directory that is busy."""

from __future__ import annotations

from typing import Any

import pytest

from kegmaster.holder import Claim
from kegmaster.lean import replace
from kegmaster.tenancy import Scene, Seen, judge

KEEPER = Seen(
    pid=99, parent=1, uid=0, start_ticks=10, since="2026-01-31 18:00:00", command="python3 master.py start"
)
WATCHDOG = replace(KEEPER, pid=100, parent=99, start_ticks=11, stopped=True)
STRANGER = replace(KEEPER, pid=300, start_ticks=12, command="flock /run/kegbot sleep 9")
CLAIM = Claim(
    pid=100,
    boot_id="b",
    start_ticks=11,
    pid_namespace=5,
    host="bar",
    since_unix=1.0,
    command="python3 master.py start",
)
FROZEN = Scene(
    directory="/run/kegbot", owner=0, euid=0, boot_id="b", pid_namespace=5, file_system="tmpfs", locked=True,
    holders=(KEEPER, WATCHDOG), number=100, named=WATCHDOG, claim=CLAIM, claimed_since="2026-01-31 18:00:00",
    script="master.py",
)  # fmt: skip


def test_a_frozen_master_is_described_and_both_its_processes_may_be_ended() -> None:
    finding = judge(FROZEN)
    assert (finding.kind, finding.refusal, finding.masters) == ("not answering", "", (WATCHDOG, KEEPER))
    for words in (
        "process 100",
        "since 2026-01-31 18:00:00",
        "`python3 master.py start`",
        "does not answer",
        "--force",
    ):
        assert words in finding.text


@pytest.mark.parametrize(
    ("how", "pids"),
    {
        "a dead watchdog that its frozen keeper has not buried": ({"holders": (KEEPER,), "named": replace(WATCHDOG, zombie=True)}, [99]),
        "a watchdog that outlived its keeper": ({"holders": (replace(WATCHDOG, parent=1),), "named": replace(WATCHDOG, parent=1)}, [100]),
        "one that is just being born": ({"holders": (KEEPER, WATCHDOG, replace(WATCHDOG, pid=101))}, [100, 99, 101]),
        "one of a version that left no words but a number": ({"claim": None}, [100, 99]),
    }.values(),
)  # fmt: skip
def test_who_is_of_a_frozen_master_is_proven_by_lock_identity_and_kinship(
    how: dict[str, Any], pids: list[int]
) -> None:
    finding = judge(replace(FROZEN, **how))
    assert ([seen.pid for seen in finding.masters], finding.refusal) == (pids, "")


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    {
        "another program's lock": ({"holders": (STRANGER,), "named": None}, "another program", "process 300, since 2026-01-31 18:00:00, `flock"),
        "another program besides": ({"holders": (KEEPER, WATCHDOG, STRANGER)}, "another program", "process 300"),
        "pidfile names a stranger": ({"number": 400, "named": replace(STRANGER, pid=400, command="nginx")}, "another program", "names process 400, which is `nginx` and does not hold it"),
        "pidfile names a dead one": ({"number": 400, "named": None}, "another program", "names process 400, which is dead"),
        "the number was used again": ({"claim": replace(CLAIM, start_ticks=9)}, "another program", "process 99"),
        "an earlier boot's words": ({"claim": replace(CLAIM, boot_id="a")}, "another program", "process 99"),
        "nothing but a number, and no master.py": ({"claim": None, "script": "other.py"}, "another program", "process 99"),
        "another user's process": ({"holders": (replace(KEEPER, uid=7), replace(WATCHDOG, uid=7))}, "another program", "process 99"),
        "another user's directory": ({"owner": 7}, "unseen", "belongs to user 7"),
        "hidden": ({"holders": (), "claim": None}, "unseen", "cannot be seen from here"),
        "another machine": ({"holders": (), "claim": replace(CLAIM, boot_id="z")}, "unseen", "process 100 of another machine (bar)"),
        "another container": ({"holders": (), "claim": replace(CLAIM, pid_namespace=6)}, "unseen", "process 100 of another container (bar; pid namespace 6)"),
        "a network's disk": ({"file_system": "nfs4"}, "unseen", "network file system (nfs4)"),
    }.values(),
)  # fmt: skip
def test_the_least_doubt_is_a_refusal_that_says_why(how: dict[str, Any], kind: str, words: str) -> None:
    finding = judge(replace(FROZEN, **how))
    assert (finding.kind, finding.masters) == (kind, ())
    assert words in finding.text
    assert words in finding.refusal


@pytest.mark.parametrize(
    ("boot", "words"), [("b", "is dead"), ("a", "is dead: it was of an earlier boot, or machine")]
)
def test_a_lock_nobody_holds_is_said_to_be_of_a_dead_master(boot: str, words: str) -> None:
    finding = judge(replace(FROZEN, locked=False, holders=(), claim=replace(CLAIM, boot_id=boot)))
    assert (finding.kind, finding.refusal) == ("dead", "")
    assert finding.text.startswith(
        "the master before (process 100, since 2026-01-31 18:00:00, `python3 master.py start`)"
    )
    assert finding.text.endswith(words)
    assert judge(replace(FROZEN, locked=False, claim=None)).kind == "nobody"
