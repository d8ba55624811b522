"""What an import makes: apps to be, what is to be said about them, and their text as a configuration.

Knows our INI dialect and `_keys`. Must not know other launchers, nor open files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .. import ini
from ..config import Directories, configure, sound_name
from ..keys import KEYS
from ..problems import Problem, printable

MAX_NOTES: Final = 500
MAX_APPS: Final = 1000
SECRET: Final = re.compile(r"KEY|PASS|SECRET|TOKEN|CREDENTIAL", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.@:+-]+")


class UnfitError(ValueError):
    """A value that our file cannot hold; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What of the machine a reader may ask for.

    read         the text of a file; raises OSError or ValueError with what a person is told
    files        the files of a pattern, sorted, those only that may be read for this import
    user_name    the name of a numeric user, or the text as it was
    """

    read: Callable[[str], str]
    files: Callable[[str], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    user_name: Callable[[str], str] = str
    group_name: Callable[[str], str] = str
    host: str = "localhost"


@dataclass(slots=True, kw_only=True)
class Draft:
    """An app to be. `keys`: the value of each key as our parser shall see it; `words`: of those that are lists."""

    name: str
    file: str
    line: int
    section: str = ""
    enabled: bool = True
    bare: bool = False
    """It has no command line of its own: its name is that of the program."""
    keys: dict[str, str] = field(default_factory=dict)
    plain: dict[str, str] = field(default_factory=dict)
    """Keys whose text is in our dialect already."""
    words: dict[str, list[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    after: list[str] = field(default_factory=list)
    requires: list[str] = field(default_factory=list)


class Notes:
    """What has no counterpart, and what to do instead; each once."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._seen: set[tuple[object, ...]] = set()

    def add(self, file: str, line: int, section: str | None, key: str | None, wrong: str, cure: str) -> None:
        """Say it, unless it was said or too much was said already."""
        if len(self.found) > MAX_NOTES or (facts := (file, line, section, key, wrong, cure)) in self._seen:
            return
        self._seen.add(facts)
        note = Problem(file=file, line=line, section=section, key=key, wrong=wrong, cure=cure)
        if len(self.found) == MAX_NOTES:
            note = Problem(
                file=file, wrong="there is more to say than can be read", cure="import less at once"
            )
        self.found.append(note)

    def at(self, draft: Draft, key: str | None, wrong: str, cure: str, line: int = 0) -> None:
        """The same of an app to be."""
        self.add(draft.file, line or draft.line, draft.section or draft.name, key, wrong, cure)


class Names:
    """Gives each app a name that is ours to have, and no other's."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self._next: dict[str, int] = {}

    @property
    def full(self) -> bool:
        """There are more apps than one import may bring."""
        return len(self.taken) > MAX_APPS

    def give(self, wanted: str) -> str:
        """`wanted`, or what comes nearest to it."""
        name = _NO_NAME.sub("_", wanted)[:60].lstrip(".@:+-") or "app"
        if not sound_name(name) or name == ini.DEFAULT:
            name = f"app_{name}"[:60]
        chosen, base = name, name[:50]
        while chosen in self.taken:
            number = self._next[base] = self._next.get(base, 1) + 1
            chosen = f"{base}-{number}"
        self.taken.add(chosen)
        return chosen


def quote(word: str) -> str:
    """`word` as one of a `_command`: quoted where it must be, whatever it holds. Raises UnfitError."""
    if "\0" in word or "\r" in word:
        raise UnfitError("holds a NUL or a carriage return")
    try:
        word.encode()
    except UnicodeEncodeError:
        raise UnfitError("is not UTF-8") from None
    if _PLAIN.match(word):
        return word
    # Lines of a value are stripped, and none may look like a comment: so each begins and ends with a quote.
    return "'" + word.replace("'", "'\"'\"'").replace("\n", "''\n''") + "'"


def join(words: Iterable[str]) -> str:
    """The text of a `_key` of words. Raises UnfitError."""
    return " ".join(quote(word) for word in words)


def entry(key: str, text: str, *, raw: bool) -> str:
    """`key = text` as our reader reads it back. Raises UnfitError."""
    if not raw:
        if any(letter in text for letter in "\0\r\n"):
            raise UnfitError("goes on over several lines")
        if text != text.strip() or not text or ini.unquote(text) != text:
            text = f"'{text}'"
    value = text.replace("%", "%%")
    if len(value) > ini.MAX_VALUE_CHARS:
        raise UnfitError(f"has more than {ini.MAX_VALUE_CHARS} characters")
    return f"{key} = " + value.replace("\n", "\n    ") + "\n"


def say_secrets(draft: Draft, notes: Notes) -> None:
    """A note on each variable that looks like a secret."""
    found = [name for name, value in draft.environment.items() if SECRET.search(name) and value]
    if found:
        notes.at(
            draft,
            "environment",
            f"{', '.join(found)} may be secret, and now {'stand' if len(found) > 1 else 'stands'}"
            " in the new file",
            "move to a file of NAME=value lines, chmod 600, named by _environment_file",
        )


def settings(draft: Draft, notes: Notes) -> dict[str, str]:
    """Every key of the section to be, in the order of the table of keys, with its text in the file."""
    variables = {}
    for name, value in draft.environment.items():
        if _VARIABLE.match(name):
            variables[name] = value
        else:
            notes.at(draft, "environment", f"{name!r} is no name of a variable", "rename it")
    if variables:
        draft.words["_environment"] = [f"{name}={value}" for name, value in variables.items()]
    for word in draft.words.get("_command", ()):
        if word.startswith("~"):
            notes.at(draft, None, f"{word[:40]!r} is a home to the launcher", "check that it was meant so")
    raw = {key for key, words in draft.words.items() if words}
    texts = dict(draft.keys)
    for key in sorted(raw):
        try:
            texts[key] = join(draft.words[key])
        except UnfitError as error:
            _unfit(draft, notes, key, error)
    for key, names in (("_after", draft.after), ("_requires", draft.requires)):
        if names:
            texts[key] = " ".join(names)
    texts = {"_enabled": str(draft.enabled), **texts}
    order = {key: number for number, key in enumerate(KEYS)}
    written = {}
    for key in sorted(texts, key=lambda key: (order.get(key, 999), key)):
        try:
            written[key] = entry(key, texts[key], raw=key in raw)
        except UnfitError as error:
            _unfit(draft, notes, key, error)
    return written | {key: f"{key} = {text}".rstrip() + "\n" for key, text in draft.plain.items()}


def _unfit(draft: Draft, notes: Notes, key: str, error: UnfitError) -> None:
    notes.at(
        draft,
        key.lstrip("_"),
        f"{error}, which no line of the new file can",
        "give it to the program another way",
    )


def configuration(drafts: Sequence[Draft], notes: Notes, header: str) -> str:
    """The INI. What our own parser would refuse is left out and said, so that the result always passes it."""
    if len(drafts) > MAX_APPS:
        notes.add(
            drafts[0].file, 0, None, None, f"there are more than {MAX_APPS} apps", "import less at once"
        )
    kept = {draft.name: draft for draft in drafts[:MAX_APPS]}
    texts = {draft.name: settings(draft, notes) for draft in kept.values()}
    while True:
        for name in [name for name, keys in texts.items() if "_command" not in keys and not kept[name].bare]:
            notes.at(
                kept[name], None, "has no command line that can be taken over", "write the section by hand"
            )
            del texts[name]
        text = header + "".join(f"\n[{name}]\n{''.join(keys.values())}" for name, keys in texts.items())
        config = configure(text, "INI", Directories(pidfile_dir="/run/kegbot", logfile_dir="/var/log/kegbot"))
        problems = [problem for problem in config.problems if problem.section in texts]
        if not problems:
            return text
        for problem in problems:
            name, key = str(problem.section), problem.key
            if name not in texts:
                continue
            cure = f"write it by hand: {problem.cure}"
            if key in texts[name]:
                notes.at(kept[name], key, f"is not taken over: {problem.wrong}", cure)
                del texts[name][str(key)]
            elif "logfile" in problem.wrong and "logfile" in texts[name]:
                notes.at(
                    kept[name], "logfile", problem.wrong, "left to the launcher: it has a log of its own now"
                )
                del texts[name]["logfile"]
            else:
                notes.at(kept[name], None, f"is not taken over: {problem.wrong}", cure)
                del texts[name]


def comment(text: str) -> str:
    """`text` as a line of comment."""
    return f"# {printable(text)}\n"
