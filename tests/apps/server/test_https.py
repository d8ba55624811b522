"""https: a certificate that is trusted, one that is not, and one of another name; nothing is sent before it is checked.

The certificate in tests/vectors/tls was made for these tests, by itself, for localhost and until 2120.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kegapps.server.calls import Call
from kegapps.server.exchange import exchange
from kegapps.server.url import parse_api_url
from kegapps.server.verdicts import Asked, Kind, judge
from tests.apps.server.rawserver import request_of

ROOT = Path(__file__).parents[3]
TLS = ROOT / "tests" / "vectors" / "tls"
WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"objects": []}'


@contextmanager
def https_server(host: str = "127.0.0.1") -> Iterator[tuple[int, list[bytes]]]:
    """Its port, and the requests it got."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.crt", TLS / "localhost.key")
    requests: list[bytes] = []
    with socket.create_server((host, 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with plain, suppress(OSError):
                    plain.settimeout(10)
                    with context.wrap_socket(plain, server_side=True) as connection:
                        requests.append(request_of(connection))
                        connection.sendall(WHOLE)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], requests
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


CLIENT = """
import sys
from kegapps.server.calls import Call
from kegapps.server.exchange import exchange
from kegapps.server.url import parse_api_url
answer = exchange(parse_api_url(sys.argv[1]), "secret-key", Call(method="GET", path="taps", timeout_s=5.0))
print(answer.status, answer.sent, answer.error or answer.body.decode(), sep="|")
"""


def asked(url: str, trusted: Path | None) -> str:
    """What a process says that trusts `trusted` beside nothing."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, url],
        cwd=ROOT, env={"SSL_CERT_FILE": str(trusted or "/dev/null"), "SSL_CERT_DIR": "/dev/null"},
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_trusted_certificate_of_the_right_name_is_spoken_to(host: str) -> None:
    with https_server() as (port, requests):
        assert asked(f"https://{host}:{port}/api/v1/", TLS / "localhost.crt") == '200|True|{"objects": []}'
    assert b"X-Kegbot-Api-Key: secret-key\r\n" in requests[0]
    assert requests[0].startswith(b"GET /api/v1/taps HTTP/1.1\r\n")


def test_a_certificate_that_nobody_trusts_gets_no_key_and_the_drink_is_kept() -> None:
    with https_server() as (port, requests):
        url = parse_api_url(f"https://localhost:{port}/api/v1/")
        answer = exchange(url, "secret-key", Call(method="POST", path="taps/x", timeout_s=5.0))
    assert f"the certificate of localhost:{port} is not trusted: self" in answer.error
    assert (answer.sent, requests) == (False, [])
    assert judge(answer, Asked.DRINK).kind is Kind.RETRY


def test_a_trusted_certificate_of_another_name_is_not_enough() -> None:
    with https_server("127.0.0.2") as (port, requests):
        said = asked(f"https://127.0.0.2:{port}/api/v1/", TLS / "localhost.crt")
        assert said.startswith(f"None|False|the certificate of 127.0.0.2:{port} is not trusted: ")
        assert "mismatch" in said
    assert requests == []


def test_a_server_that_hangs_in_the_handshake_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = parse_api_url(f"https://127.0.0.1:{silent.getsockname()[1]}/api/v1/")
        answer = exchange(url, "secret-key", Call(method="GET", path="taps", timeout_s=0.3))
    assert not answer.sent
    assert "no connection within 0.3 s" in answer.error
