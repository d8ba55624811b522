"""URLs and keys as people write them."""

from __future__ import annotations

import pytest

from kegapps.server.url import parse_api_key, parse_api_url


@pytest.mark.parametrize(
    ("text", "written", "authority"),
    [
        ("http://localhost:8000/api/v1/", "http://localhost:8000/api/v1/", "localhost:8000"),
        ("  HTTP://Bar.Example/api\n", "http://bar.example/api/", "bar.example"),
        ("http://bar.example", "http://bar.example/", "bar.example"),
        ("https://bar.example:443//kegbot///api/v1", "https://bar.example/kegbot/api/v1/", "bar.example"),
        ("http://bar.example:80/", "http://bar.example/", "bar.example"),
        ("https://bar.example:80/", "https://bar.example:80/", "bar.example:80"),
        ("http://[::1]:8000/api/", "http://[::1]:8000/api/", "[::1]:8000"),
        ("http://[fe80::1%eth0]/api/", "http://[fe80::1]/api/", "[fe80::1]"),
        ("http://10.0.0.7/~keg/api;v=1/", "http://10.0.0.7/~keg/api;v=1/", "10.0.0.7"),
        ("http://keg_bot/api/", "http://keg_bot/api/", "keg_bot"),
    ],
)
def test_a_url_is_written_in_one_way(text: str, written: str, authority: str) -> None:
    url = parse_api_url(text)
    assert (str(url), url.authority) == (written, authority)
    assert parse_api_url(str(url)) == url or "%" in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no URL"),
        ("localhost:8000/api/v1/", "is no URL"),
        ("ftp://bar/api/", "http:// or https://"),
        ("http://", "names no server"),
        ("http:///api/", "names no server"),
        ("http://:8000/api/", "names no server"),
        ("http://bar:0/api/", "names no server"),
        ("http://bar:99999/api/", "is no URL"),
        ("http://bar:x/api/", "is no URL"),
        ("http://[::1/api/", "is no URL"),
        ("http://admin:hunter2@bar/api/", "no user or password"),
        ("http://admin@bar/api/", "no user or password"),
        ("http://bar/api/v1/?api_key=hunter2", "nothing may follow"),
        ("http://bar/api/v1/#hunter2", "nothing may follow"),
        ("http://bar/api/?", "nothing may follow"),
        ("http://bar/a b/", "the path is none"),
        ("http://bar/api/../admin/", "the path is none"),
        ("http://bar/api/\r\nX-Evil: 1", "characters that no URL has"),
        ("http://bär.example/api/", "characters that no URL has"),
        ("http://bar/" + "x" * 3000, "characters that no URL has"),
        ("http://a b/api/", "names no server"),
        ("http://bar<script>/api/", "names no server"),
    ],
)
def test_what_is_no_url_is_refused_on_one_line_without_a_secret(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse_api_url(text)
    line = str(refused.value)
    assert line.isprintable()
    assert "hunter2" not in line
    assert len(line) < 300


def test_a_path_is_joined_below_the_url_or_from_the_root() -> None:
    url = parse_api_url("http://bar/kegbot/api/v1/")
    assert url.target("taps/kegboard.flow0") == "/kegbot/api/v1/taps/kegboard.flow0"
    assert url.target("/kegbot/api/kegboard-event") == "/kegbot/api/kegboard-event"
    assert url.target("../drinks") == "/kegbot/api/drinks"
    assert parse_api_url("http://bar/").target("../drinks") == "/drinks"
    assert str(url.with_path("/api/")) == "http://bar/api/"


def test_a_key_is_one_word() -> None:
    assert parse_api_key(" 0123abcd\n") == "0123abcd"


@pytest.mark.parametrize(
    "text", ["", " \n", "two words", "line\r\nX-Evil: 1", "schlüssel", "x" * 300, "a\0b"]
)
def test_what_no_header_can_carry_is_no_key_and_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="API key") as refused:
        parse_api_key(text)
    assert str(refused.value).isprintable()
    assert not text.strip() or text.strip() not in str(refused.value)
