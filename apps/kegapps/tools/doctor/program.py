"""Shows the whole chain of a kegerator, link by link, from the board to the Kegbot Server, and what to do.

Looks at what runs here; without anything running, at what is configured. Its flags are for another kegerator than
that. It changes nothing, and ends within 15 s whatever hangs. A board to which no program listens is asked itself,
which resets many boards; --noprobe leaves it alone.

Exit status: 0 no link is cut, 1 one is (the last line says which, and what to do), 2 the command line is wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from absl import flags

from kegapps.daemon import flags as common_flags
from kegapps.daemon import runner
from kegapps.daemon.errors import StartError, UsageError
from kegapps.daemon.service import Service
from kegapps.kegnet.flags import core_address
from kegapps.tools.doctor import look_master, rights
from kegapps.tools.doctor.finding import first_cut
from kegapps.tools.doctor.gather import Gathered, Gathering, Wish
from kegapps.tools.doctor.judge import judge
from kegapps.tools.doctor.show import as_object, as_text

FLAGS = flags.FLAGS

flags.DEFINE_boolean("json", False, "Print one JSON object.")
flags.DEFINE_boolean(
    "probe", True, "Open the line of a board that no program listens to, for up to 5 s, and ask the board."
)
flags.DEFINE_string("user", None, "Whose rights to look at. Not given: the user of the daemons, or you.")
flags.DEFINE_string("master_config", None, "The master's configuration, as for master.py.")
flags.DEFINE_alias("config", "master_config")
flags.DEFINE_string("pidfile_dir", None, "The master's directory of pidfiles, as for master.py.")
flags.DEFINE_string("kegboard_device", None, "The board's device: a path, a pattern or auto.")
flags.DEFINE_string("store", None, "The core's store.")
flags.DEFINE_string("api_url", None, "The Kegbot Server.")
flags.DEFINE_string(
    "api_key", None, "The key for --api_url. Better in a file: everybody can read a command line."
)
flags.DEFINE_string("api_key_file", None, "A file with that key.")

_PATHS = ("kegboard_device", "store", "api_key_file", "kegnet_token_file")
_OWN = ("kb_core_addr", "api_url", "api_key", *_PATHS)


def serve(service: Service, script: str) -> int:
    """Look, judge and print."""
    gathering = Gathering(service.loop, _wish(service, script), service.loop.stop)
    service.loop.run()
    if not gathering.done:
        gathering.close()
        raise StartError("ended before everything was looked at")
    return _tell(gathering.result)


def _tell(gathered: Gathered) -> int:
    facts = replace(gathered.facts, now_unix_s=time.time())
    findings = judge(facts, gathered.settings, gathered.paths)
    if FLAGS.json:
        print(json.dumps(as_object(findings, gathered.settings, user=gathered.user), indent=2))
    else:
        terminal = sys.stdout.isatty()
        colours = terminal and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")
        width = shutil.get_terminal_size().columns if terminal else 100
        print(as_text(findings, gathered.settings, user=gathered.user, colours=colours, width=width))
    return runner.FAILED if first_cut(findings) else runner.DONE


def _wish(service: Service, script: str) -> Wish:
    own = {name: str(FLAGS[name].value) for name in _OWN if FLAGS[name].present}
    core_address()  # says so if it is none
    for name in _PATHS:
        if own.get(name):
            words = own[name].split(",") if name == "kegboard_device" else [own[name]]
            own[name] = ",".join(word if word in ("", "auto") else service.path(word) for word in words)
    config = service.path(FLAGS.master_config) if FLAGS.master_config else None
    if config is not None and not os.path.exists(config):
        raise StartError(f"--master_config={config}: no such file")
    given = {"master_config": config, "pidfile_dir": FLAGS.pidfile_dir and service.path(FLAGS.pidfile_dir)}
    try:
        user = rights.named(FLAGS.user) if FLAGS.user else None
    except (KeyError, OverflowError):
        raise UsageError(f"--user={FLAGS.user}: there is no such user") from None
    return Wish(
        own=own,
        master_flags=tuple(f"--{name}={value}" for name, value in given.items() if value),
        master=look_master.beside(script),
        user=user,
        probe=FLAGS.probe,
    )


def main(argv: Sequence[str]) -> int:
    """Run kegbot_doctor; the exit status."""
    common_flags.define()
    FLAGS.set_default("log_to_stdout", False)  # what it prints is its result
    return runner.main(
        partial(serve, script=argv[0]), module=__name__, argv=argv, usage=__doc__, job=True, max_positional=0
    )
