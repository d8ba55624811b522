"""Flow meters, relays and 1-wire thermometers on a Raspberry Pi's own pins, without a Kegboard.

To the core it is a board: --kegboard_name, with meters and relays of the names given here. A meter's count is on the
disk before it is told, so that a crash or a power cut makes none go backwards; kill -9 loses no tick that was counted.
What flows while the program does not run is not counted. Needs: pip install 'kegmaster[gpio]'.

Example: gpio_meter.py --meters=flow0=GPIO17,flow1=GPIO27 --relays=relay0=GPIO5
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from absl import flags

from kegapps.daemon import runner
from kegapps.daemon.boot import boot_id
from kegapps.daemon.errors import UsageError
from kegapps.daemon.service import Service
from kegapps.daemon.state_path import state_path
from kegapps.gpio.board import Board, log
from kegapps.gpio.counts_file import CountsFile
from kegapps.gpio.header import Header
from kegapps.gpio.live import LiveCounts
from kegapps.gpio.wiring import check_board_name, parse_wiring
from kegapps.kegnet.flags import core_address, kegnet_token

FLAGS = flags.FLAGS
PULLS = {"up": "up", "down": "down", "none": "floating"}

flags.DEFINE_list("meters", ["flow0=GPIO17"], "Flow meters: NAME=PIN, with Broadcom's numbers of the pins.")
flags.DEFINE_list(
    "relays", [], "Relays of valves: NAME=PIN. Each goes off 10 s after the core spoke of it last."
)
flags.DEFINE_string(
    "kegboard_name", "gpio", "What the board is called: a meter is NAME.flow0. Each board has its own name."
)
flags.DEFINE_enum(
    "pull",
    "up",
    tuple(PULLS),
    "The pins' own resistor: up for sensors that only pull down, as nearly all do.",
)
flags.DEFINE_float(
    "debounce_ms", 0.2, "A level that lasts less long is noise. 0: every edge counts.", 0.0, 100.0
)
flags.DEFINE_boolean("relays_active_low", False, "The relays are on while their pin is low.")
flags.DEFINE_string(
    "counts",
    "",
    "File that keeps the counts. Empty: /var/lib/kegbot/gpio_meter.counts for root, "
    "~/.local/state/kegbot/gpio_meter.counts otherwise.",
)
flags.DEFINE_string(
    "w1_folder",
    "/sys/bus/w1/devices",
    "Where the kernel shows its 1-wire thermometers. Empty: none are read.",
)


def serve(service: Service) -> None:
    """Count until told to stop."""
    try:
        wiring = parse_wiring(meters=FLAGS.meters, relays=FLAGS.relays)
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        check_board_name(FLAGS.kegboard_name)
    except ValueError as error:
        raise UsageError(f"--kegboard_name={error}") from None
    core, token = core_address(), kegnet_token(service.path)
    counts = CountsFile(
        service.path(FLAGS.counts) if FLAGS.counts else state_path("gpio_meter.counts", flag="counts")
    )
    # Unknown: no counts of another process are of this boot.
    live = LiveCounts(f"{counts.path}.live", boot_id() or str(os.getpid()))
    counts.take_over(live.read())
    if counts.damaged and not counts.counts:
        log.warning("%s holds no counts that can be read: they begin at 0", counts.path)
    header = Header(
        wiring,
        pull=PULLS[FLAGS.pull],
        debounce_s=FLAGS.debounce_ms / 1000,
        active_low=FLAGS.relays_active_low,
        folder=os.path.dirname(counts.path),
    )
    w1_folder = service.path(FLAGS.w1_folder) if FLAGS.w1_folder else ""
    board = Board(
        service,
        name=FLAGS.kegboard_name,
        wiring=wiring,
        header=header,
        counts=counts,
        live=live,
        core=core,
        token=token,
        w1_folder=w1_folder,
    )
    board.start()
    service.loop.run()
    board.farewell()


def main(argv: Sequence[str]) -> int:
    """The program."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
