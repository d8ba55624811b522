"""`reload APP`: apps that read their own configuration again, asked to by the signal that they have for it.

Knows the watchdog. Whoever has no such signal, or does not heed it, is refused: of an unexpected signal a program dies.
Imported with the first such request.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import proc
from .exit_codes import Verb
from .keys import SIGNALS
from .lifecycle import State
from .reloading import Listener
from .watchdog import Watchdog


def ask(watchdog: Watchdog, names: Sequence[str], talk: Listener) -> None:
    """Ask all of these, or, if one of them cannot be asked, none; and tell `talk`."""
    for name in names:
        if refusal := _refusal(watchdog, name):
            talk.finish(error=refusal[0], exit=refusal[1])
            return
    failed = False
    for name in names:
        life, instance = watchdog.lives[name], watchdog.crew.instances[name]
        number = life.app.reload_signal
        asked = instance.main is not None and instance.main.signal(number)
        failed |= not asked
        text = f"{_name(number)} sent" if asked else "it has just ended"
        watchdog.journal.info(f"{name}: reload: {text} to process {instance.main_pid}")
        talk.send(app=name, ok=asked, state=life.state.value, pid=instance.main_pid, text=text)
    talk.finish(exit=Verb.FAILED if failed else Verb.DONE)


def _refusal(watchdog: Watchdog, name: str) -> tuple[str, Verb] | None:
    """Why the app is not asked, in words, and the exit status; None if it may be."""
    life, file = watchdog.lives.get(name), watchdog.config.file
    app = life.app if life else watchdog.config.find(name)
    if app is None and watchdog.config.unknown([name]):
        return f"{file}: there is no section [{name}]", Verb.USAGE
    if app is not None and not app.reload_signal:
        how = f"write _reload_signal = HUP, or whatever it takes, into [{name}], and master.py reload"
        return (
            f"{name}: has no _reload_signal, and was sent none; if it can reload, {how}",
            Verb.NOT_CONFIGURED,
        )
    instance = watchdog.crew.instances.get(name)
    if life is None or instance is None or instance.main is None or life.state is not State.RUNNING:
        return f"{name}: does not run ({life.state.value if life else State.STOPPED.value})", Verb.NOT_RUNNING
    if not proc.heeds(instance.main_pid, life.app.reload_signal):
        signal = _name(life.app.reload_signal)
        why = f"has no handler for {signal} and might die of it"
        if proc.ignores(instance.main_pid, life.app.reload_signal):
            why = f"ignores {signal}"
        return f"{name}: process {instance.main_pid} {why}; it was not sent", Verb.FAILED
    return None


def _name(number: int) -> str:
    return next(f"SIG{name}" for name, known in SIGNALS.items() if known == number)
