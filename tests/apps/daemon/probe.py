"""A program made only to try the runner with.

It does what --behave says.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

from absl import flags

from kegapps.daemon import runner

FLAGS = flags.FLAGS
flags.DEFINE_string("behave", "serve", "What to do: the name of a function in the source.")
flags.DEFINE_string("file", "", "A path for those that want one.")
flags.DEFINE_enum("colour", "red", ["red", "green"], "A choice.")
flags.DEFINE_float("ratio", 0.5, "A number.")
flags.DEFINE_integer("count", 0, "A whole number.")
flags.DEFINE_list("names", ["a", "b"], "Some names.")
flags.DEFINE_multi_string("also", [], "A thing to add.")

log = logging.getLogger("probe")


def serve(service: runner.Service) -> None:
    service.ready("serving")
    service.loop.run()


def refuse(service: runner.Service) -> None:
    raise runner.StartError("no tap here; connect one")


def misunderstand(service: runner.Service) -> None:
    raise runner.UsageError("--file=x: no such thing")


def crash(service: runner.Service) -> None:
    raise RuntimeError("a prepared crash")


def crash_later(service: runner.Service) -> None:
    service.ready()
    service.loop.call_later(0, lambda: crash(service))
    service.loop.run()


def killed(service: runner.Service) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(service: runner.Service) -> int:
    return int(service.positional[0])


def use_up_descriptors(service: runner.Service) -> None:
    while True:
        os.open(os.devnull, os.O_RDONLY)


def leave_by_exit(service: runner.Service) -> None:
    sys.exit("gone on purpose")


def show(service: runner.Service) -> None:
    values = {name: FLAGS[name].value for name in FLAGS}
    print(json.dumps({"flags": values, "positional": service.positional, "path": service.path("here")}))


def wait_for_writer(service: runner.Service) -> None:
    """Ready only after somebody wrote into the FIFO."""
    with open(FLAGS.file, "rb") as fifo:
        fifo.read()
    serve(service)


def hang_in_sleep(service: runner.Service) -> None:
    service.ready()
    time.sleep(600)


def hang_in_c(service: runner.Service) -> None:
    """Where no Python signal handler runs, as in a name lookup."""
    service.ready()
    ctypes.CDLL(None).sleep(600)
    ctypes.CDLL(None).sleep(600)


def hang_in_loop(service: runner.Service) -> None:
    service.ready("about to hang")
    service.loop.call_later(0, lambda: time.sleep(600))
    service.loop.run()


def hang_after_loop(service: runner.Service) -> None:
    serve(service)
    threading.Event().wait()


def hang_in_thread(service: runner.Service) -> None:
    threading.Thread(target=threading.Event().wait).start()
    serve(service)


def complain_on_stderr(service: runner.Service) -> None:
    service.ready()
    os.write(2, b"said on descriptor 2\n")
    service.loop.run()


def crash_in_thread(service: runner.Service) -> None:
    service.ready()
    thread = threading.Thread(target=crash, args=(service,), name="reader")
    thread.start()
    thread.join()
    service.loop.run()


def spawn(service: runner.Service) -> None:
    """Let a child write down what it inherited."""
    with open(FLAGS.file, "wb") as report:
        subprocess.run(
            ["sh", "-c", "ls /proc/$$/fd; umask; exec grep -E 'Sig(Blk|Ign)' /proc/self/status"],
            stdout=report,
            check=True,
        )
    serve(service)


def log_on_signal(service: runner.Service) -> None:
    signal.signal(signal.SIGUSR1, lambda *_: log.info("asked\nfor \x1b[31mit"))
    serve(service)


def print_lines(service: runner.Service) -> None:
    while True:
        print("line")


def print_many(service: runner.Service) -> None:
    print("x" * 199_999)


def print_word(service: runner.Service) -> None:
    print(service.positional[0])
    log.info("%s", service.positional[0])


def talk(service: runner.Service) -> None:
    log.debug("a detail")
    log.info("some news")
    log.warning("a warning")


def status_flood(service: runner.Service) -> None:
    service.ready("one\ntwo")
    for number in range(1000):
        service.status(f"status {number}")
    service.loop.run()


def write_many(service: runner.Service) -> None:
    for number in range(300):
        log.info("%s %s", number, "x" * 3000)


if __name__ == "__main__":
    sys.exit(
        runner.main(
            lambda service: globals()[FLAGS.behave](service),
            module=__name__,
            argv=sys.argv,
            usage=__doc__,
            job="PROBE_IS_A_JOB" in os.environ,
            max_positional=1,
        )
    )
