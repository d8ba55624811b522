from __future__ import annotations

import pytest

from kegapps.kegnet.address import DEFAULT_ADDRESS, is_loopback, parse_address, shown_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (DEFAULT_ADDRESS, ("127.0.0.1", 9805)),
        ("localhost:9806", ("127.0.0.1", 9806)),
        ("9806", ("127.0.0.1", 9806)),
        (":9806", ("127.0.0.1", 9806)),
        (" 192.0.2.7:1 ", ("192.0.2.7", 1)),
        ("[::1]:9805", ("::1", 9805)),
        ("localhost:0", ("127.0.0.1", 0)),
    ],
)
def test_an_address_is_a_host_and_a_port_or_a_port_alone(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:", "localhost:beer", "localhost:65536", "localhost:-1", "9805:", "²:١"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as localhost:9805"):
        parse_address(text)


@pytest.mark.parametrize("text", ["kegerator.example:9805", "::1:9805x:1", "[127.0.0.1:9805", "1.2.3:4"])
def test_a_host_is_localhost_or_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="neither localhost nor an IP address"):
        parse_address(text)


def test_the_host_of_a_port_alone_can_be_chosen() -> None:
    assert parse_address("9805", default_host="0.0.0.0") == ("0.0.0.0", 9805)


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::", False), ("192.0.2.1", False)],
)
def test_loopback_is_known(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


@pytest.mark.parametrize(
    ("address", "shown"),
    [(("127.0.0.1", 9805), "localhost:9805"), (("192.0.2.1", 1), "192.0.2.1:1"), (("::1", 2), "[::1]:2")],
)
def test_an_address_is_shown_as_kegbot_does(address: tuple[str, int], shown: str) -> None:
    assert shown_address(*address) == shown
