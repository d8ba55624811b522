"""From a broker's name to a connection on which we said hello: what may take seconds, to be done in a thread.

Knows paho, names and their errors. Must not know the loop, topics or what is published.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any, Final

from kegapps.bridge.mqtt_settings import Broker
from kegapps.bridge.mqtt_tls import context, explained
from kegapps.daemon.errors import StartError

KEEPALIVE_S: Final = 10
"""A broker that says nothing for twice as long is gone; it takes us for gone after 15 s, and tells our last will."""

CONNECT_TIMEOUT_S: Final = 5.0
MAX_PACKET_BYTES: Final = 65536
"""The broker is to keep from us what is longer; one that does not is left."""
_INFLIGHT: Final = 100


def new_client(mqtt: Any, broker: Broker, *, client_id: str, on_too_long: Callable[[int], None]) -> Any:
    """A paho client for one connection; `mqtt` is the library. `on_too_long` gets the bytes of a packet that is."""
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=mqtt.MQTTv5,
        reconnect_on_failure=False,
    )
    if broker.user:
        client.username_pw_set(broker.user, broker.password or None)
    client.connect_timeout = CONNECT_TIMEOUT_S
    client.max_inflight_messages = _INFLIGHT
    # paho would take in a packet of 256 MB. It asks for all that is left of one at once.
    receive = client._sock_recv

    def receive_bounded(most: int) -> bytes:
        if most > MAX_PACKET_BYTES:
            on_too_long(most)
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        received: bytes = receive(most)
        return received

    client._sock_recv = receive_bounded
    return client


def dial(mqtt: Any, client: Any, broker: Broker) -> str:
    """Look the broker up, connect, shake hands and say hello; "" if that went well, else why not, for a person."""
    try:
        if broker.tls is not None:
            client.tls_set_context(context(broker.tls))
        properties = mqtt.Properties(mqtt.PacketTypes.CONNECT)
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        client.connect(broker.host, broker.port, KEEPALIVE_S, clean_start=True, properties=properties)
    except OSError as error:  # also of looking up the name, and of TLS
        return explained(error, tls=broker.tls is not None)
    except (ValueError, StartError) as error:
        return str(error)
    return ""
