"""What the tests of the export share: awkward words, and apps that are to leave."""

from __future__ import annotations

from hypothesis import strategies as st

from kegmaster.config import Directories, configure
from kegmaster.convert.draft import Draft, Notes, configuration
from kegmaster.convert.leaving import Leaver, foreground
from kegmaster.spec import Config

DIRECTORIES = Directories(pidfile_dir="/run/kegbot", logfile_dir="/var/log/kegbot")
LETTERS = "%$\\'\" ;#\n\t=,&|(){}[]<>!`*?@:+-x\x85☕"
WORD = st.lists(
    st.sampled_from([*LETTERS, "%(x)s", " ;", " #", "${A}"])
    | st.characters(codec="utf-8", exclude_characters="\r\0~"),
    max_size=15,
).map("".join)
NAME = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
AWKWARD = [
    "", "a b", "%", "%%(x)s", "'", '"', "'\"", "a;b", "a ;b", " ; c", "#", " # d", "back\\slash", "\\n", "line\nbreak", "\n\n", "tab\there",
    "käse ☕", "$HOME", "${HOME}", "`id`", "$(id)", "a~", "*", "a=b", "{x}", "!", "--flag=x y", " lead", "trail ", "\x85", "\u2028", "\x1c", ",", "@x",
]  # fmt: skip


def configured(text: str) -> Config:
    return configure(text, "/srv/apps.cfg", DIRECTORIES)


def leavers(config: Config) -> list[Leaver]:
    return [
        Leaver(app=app, path=app.program, words=words, forking=forking)
        for app in config.apps
        for words, forking in [foreground(app)]
    ]


def one(argv: list[str], environment: dict[str, str] | None = None, **keys: str) -> Config:
    draft = Draft(
        name="a", file="f", line=1, words={"_command": argv}, environment=environment or {}, keys=keys
    )
    return configured(configuration([draft], Notes(), ""))
