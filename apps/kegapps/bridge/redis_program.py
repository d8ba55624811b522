"""Joins the core to the Redis channel on which Kegbot's programs since pycore 1.1 speak.

What they publish (meter readings, tokens, temperatures, requests) goes to the core; what the core tells (flows, drinks,
valves) is published. Only the core says what was poured and which valve opens: from Redis that is refused. Needs
nothing but this package, and a Redis.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from absl import flags

from kegapps.bridge.redis_address import DEFAULT_URL, RedisAddress, parse_redis_url
from kegapps.bridge.redis_bridge import Directions, RedisBridge
from kegapps.bridge.redis_cursor import CursorFile
from kegapps.bridge.redis_dialect import DEFAULT_CHANNEL
from kegapps.daemon import runner
from kegapps.daemon.errors import UsageError
from kegapps.daemon.service import Service
from kegapps.daemon.state_path import state_path
from kegapps.kegnet.flags import core_address, kegnet_token

FLAGS = flags.FLAGS
URL_VARIABLE = "KEGBOT_REDIS_URL"

flags.DEFINE_string(
    "redis_url",
    "",
    "Where Redis is: redis://[USER:PASSWORD@]HOST:PORT/0 or unix:///PATH. Empty: the environment's "
    f"{URL_VARIABLE}, or {DEFAULT_URL}.",
)
flags.DEFINE_string("redis_channel_name", DEFAULT_CHANNEL, "The channel that all of them publish to.")
flags.DEFINE_enum(
    "redis_direction",
    "both",
    ["both", "to_core", "to_redis"],
    "What is passed on: to_core what others publish, to_redis what the core tells.",
)
flags.DEFINE_string(
    "redis_state",
    "",
    "The file that keeps which drinks were published. Empty: redis_bridge.json in /var/lib/kegbot (root) or "
    "$XDG_STATE_HOME/kegbot.",
)


def _address() -> RedisAddress:
    """Raises UsageError, which says where the URL came from."""
    told = os.environ.get(URL_VARIABLE, "")
    source = "--redis_url" if FLAGS.redis_url or not told else URL_VARIABLE
    try:
        return parse_redis_url(FLAGS.redis_url or told or DEFAULT_URL)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


def serve(service: Service) -> None:
    """Pass on until told to stop."""
    address = _address()
    if not FLAGS.redis_channel_name:
        raise UsageError("--redis_channel_name: a channel has a name, such as kegnet")
    directions = Directions(
        to_core=FLAGS.redis_direction != "to_redis", to_redis=FLAGS.redis_direction != "to_core"
    )
    cursor = None
    if directions.to_redis:
        flag = "redis_state"
        path = (
            service.path(FLAGS.redis_state)
            if FLAGS.redis_state
            else state_path("redis_bridge.json", flag=flag)
        )
        cursor = CursorFile(path, flag=flag)
    bridge = RedisBridge(
        service,
        core=core_address(),
        token=kegnet_token(service.path),
        address=address,
        channel=FLAGS.redis_channel_name,
        directions=directions,
        cursor=cursor,
    )
    service.ready(bridge.status)
    service.loop.run()
    bridge.close()


def main(argv: Sequence[str]) -> int:
    """The program."""
    return runner.main(serve, module=__name__, argv=argv, usage=__doc__, max_positional=0)
