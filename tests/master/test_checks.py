"""The syntax of `_ready` and `_health`."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kegmaster.checks import health, ready
from kegmaster.keys import size


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("tcp://localhost:80", {"kind": "tcp", "host": "localhost", "port": 80}),
        ("tcp://:8080", {"kind": "tcp", "host": "localhost", "port": 8080}),
        ("tcp://[::1]:65535", {"kind": "tcp", "host": "::1", "port": 65535}),
        ("http://127.0.0.1/live?deep=1", {"kind": "http", "host": "127.0.0.1", "port": 80, "path": "/live?deep=1"}),
        ("http://localhost:8080", {"kind": "http", "port": 8080, "path": "/"}),
        ("kegnet://localhost:9805", {"kind": "kegnet", "port": 9805}),
        ("kegnet://", {"kind": "kegnet", "host": "localhost", "port": 9805}),
        ("unix:///run/app.sock", {"kind": "unix", "path": "/run/app.sock"}),
        ("file:/run/alive", {"kind": "file", "path": "/run/alive", "max_age_s": 60.0}),
        ("file:///run/alive max_age=2min", {"kind": "file", "path": "/run/alive", "max_age_s": 120.0}),
        ("'file:/run/two words'", {"kind": "file", "path": "/run/two words"}),
        ("check --port 80 'a b'", {"kind": "command", "argv": ("check", "--port", "80", "a b")}),
        ("check every=5 x timeout=2s", {"argv": ("check", "every=5", "x"), "timeout_s": 2.0, "every_s": 10.0}),
        ("tcp://:1", {"every_s": 10.0, "timeout_s": 3.0, "failures": 3, "grace_s": None}),
        (
            "tcp://:1 every=500ms timeout=1s failures=2 grace=0s",
            {"every_s": 0.5, "timeout_s": 1.0, "failures": 2, "grace_s": 0.0},
        ),
    ],
)  # fmt: skip
def test_a_check_is_an_address_or_a_command_with_options_behind_it(text: str, fields: dict[str, Any]) -> None:
    check = health(text)
    assert {name: getattr(check, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("tcp://localhost", "expected a port from 1 to 65535, as in tcp://localhost:8080"),
        ("tcp://localhost:0", "expected a port from 1 to 65535, as in tcp://localhost:8080"),
        ("tcp://localhost:99999", "expected a port from 1 to 65535, as in tcp://localhost:8080"),
        ("tcp://localhost:8080/x", "expected tcp://HOST:PORT, an IPv6 address in [ ]"),
        ("tcp://::1:80", "expected tcp://HOST:PORT, an IPv6 address in [ ]"),
        ("http://example.com/", "expected localhost or an address in numbers, names are not looked up"),
        ("tcp://1.2.3.4.5:80", "expected localhost or an address in numbers, names are not looked up"),
        ("tcp://256.1.1.1:80", "expected localhost or an address in numbers, names are not looked up"),
        ("http://:80/ü", "the path of an http:// address is plain ASCII, write other letters as %XX"),
        ("https://localhost/", "TLS is not spoken here, use http:// or a command such as curl -fsS"),
        ("ftp://x", "ftp:// is unknown, expected tcp://HOST:PORT, unix:///PATH, http://HOST:PORT/PATH, kegnet://HOST:PORT, file:/PATH or a command"),
        ("unix://run/x", "expected unix:///PATH, of at most 107 bytes"),
        ("unix:///" + "x" * 107, "expected unix:///PATH, of at most 107 bytes"),
        ("file:alive", "expected an absolute path, such as file:/run/app/alive"),
        ("tcp://:1 evry=5", "'evry=5' is no option, after the address come only every=, timeout=, failures=, grace=, max_age="),
        ("tcp://:1 every=soon", "every= wants seconds, such as every=5s or every=2min"),
        ("tcp://:1 every=0", "every= wants at least 0.1 s, such as every=5s"),
        ("tcp://:1 failures=0", "failures= wants a whole number, 1 or more"),
        ("tcp://:1 every=1 every=2", "every= stands twice, take one out"),
        ("tcp://:1 max_age=5s", "max_age= belongs to file:, take it out"),
        ("check 'open", "cannot be split into words (no closing quotation), close the quote"),
        ("''", "expected tcp://HOST:PORT, unix:///PATH, http://HOST:PORT/PATH, kegnet://HOST:PORT, file:/PATH or a command"),
    ],
)  # fmt: skip
def test_a_mistake_says_what_would_be_right(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wrong)}$"):
        health(text)


def test_ready_takes_a_timeout_and_no_option_of_health() -> None:
    assert ready("tcp://:1 timeout=1s").timeout_s == 1
    with pytest.raises(ValueError, match="every= belongs to _health, take it out"):
        ready("tcp://:1 every=1s")


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("64M", 64 << 20), ("1g", 1 << 30), ("4096", 4096), ("1K", 1024), ("0", 0), ("64 MB", 64 << 20)],
)
def test_a_size_is_bytes_or_a_power_of_1024(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "-1", "M", "1e9", "1.5G"])
def test_a_wrong_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        size(text)
