"""The file of destinations: which lines are understood, which are refused, and that no secret gets out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kegapps.daemon.secret_file import FileError
from kegapps.publish.destinations import DestinationError, parse, without_secrets
from kegapps.publish.networks import facebook, twitter
from kegapps.publish.private_file import Unnamed, read_secret
from kegapps.publish.reasons import with_cause

HOOK = "discord://123456789012345678/s3cret-T0ken"


def test_each_line_is_a_destination_of_its_own() -> None:
    found = parse(f"# ours\n\n{HOOK}\n  team slack://xoxb-1/xoxb-2/C0\n\tMASTODONS://token@host\n")
    assert [(each.label, each.line) for each in found] == [
        ("discord of line 3", 3), ("team (slack)", 4), ("mastodons of line 5", 5),
    ]  # fmt: skip
    assert found[1].url == "slack://xoxb-1/xoxb-2/C0"
    assert found[1].key == "team"


def test_a_named_destination_stays_the_same_with_another_password_and_an_unnamed_one_on_another_line() -> (
    None
):
    (before,), (after,) = parse("bar json://u:old@h"), parse("bar json://u:new@h")
    assert before.key == after.key
    (before,), (_, after) = parse(HOOK), parse(f"json://h\n{HOOK}")
    assert before.key == after.key


def test_a_slash_at_the_end_makes_no_other_destination() -> None:
    with pytest.raises(DestinationError, match="line 2: the same as line 1"):
        parse("json://h/x\njson://h/x/")
    assert [each.url for each in parse("json://h/x\nother json://h/x/")] == ["json://h/x", "json://h/x/"]


def test_neither_key_nor_label_nor_repr_tells_the_secret() -> None:
    (found,) = parse(HOOK)
    assert "s3cret" not in f"{found!r} {found.key} {found.label}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no destination in it"),
        ("# only words", "no destination in it"),
        ("not-a-url", "line 1: expected a URL"),
        ("discord://", "line 1: expected a URL"),
        ("json://a b c", "line 1: expected a URL"),
        ("json://a json://b", "line 1: expected a URL"),
        ("my/name json://a", "line 1: a name is at most"),
        (f"{HOOK}\n\n{HOOK}", "line 3: the same as line 1"),
        ("x json://a\nx json://b", "line 2: the same as line 1"),
        ("\n".join(f"json://h{number}" for number in range(33)), "33 destinations; at most 32"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_and_not_quoted(text: str, reason: str) -> None:
    with pytest.raises(DestinationError) as error:
        parse(text)
    assert reason in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Failed to send: error=500.", "Failed to send: error=500"),
        (
            "POST https://discord.com/api/123456789012345678/s3cret-T0ken failed",
            "POST https://discord.com/api/*** failed",
        ),
        ("token s3cret-T0ken\nwas\x1b[1m refused", "token *** was [1m refused"),
        ("x" * 1000, "x" * 200),
    ],
)
def test_what_apprise_says_is_shown_without_what_could_be_secret(said: str, shown: str) -> None:
    assert without_secrets(said, HOOK) == shown


def test_a_host_that_is_known_is_not_secret() -> None:
    assert without_secrets("http://h.example:80/login", "json://h.example:80/") == "http://***login"
    assert without_secrets("http://h.example:80/x", "json://h.example:80/", known={"h.example"}).endswith(
        ":80/x"
    )
    url = "json://network.example.org/a-token-of-ours"
    text = "network.example.org: a-token-of-ours is wrong"
    assert without_secrets(text, url) == "***: *** is wrong"
    assert without_secrets(text, url, known={"network.example.org"}) == "network.example.org: *** is wrong"


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("", "no way"),
        ("HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: / (Caused by NewConnectionError("
         '"HTTPConnection(host=\'h\', port=1): [Errno 111] Connection refused"))', "no way: connection refused"),
        ("NameResolutionError(...): Failed to resolve 'h' ([Errno -2] Name or service not known)",
         "no way: its name is not known"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: "
         "self-signed certificate (_ssl.c:1006)'))", "no way: its certificate: self-signed certificate"),
        ("SSLError(SSLEOFError(8, '[SSL: UNEXPECTED_EOF_WHILE_READING] EOF'))",
         "no way: it does not speak TLS as it should"),
        ("('Connection aborted.', RemoteDisconnected('Remote end closed ...'))", "no way: it closed the connection"),
        ("HTTPConnectionPool(host='h', port=1): Read timed out. (read timeout=4.0)", "no way: no answer in time"),
        ("redirected to http://h/login", "no way: redirected to http://h/login"),
        ("something new", "no way: something new"),
    ],
)  # fmt: skip
def test_why_a_network_was_not_reached_is_said_in_words(detail: str, said: str) -> None:
    assert with_cause("no way.", detail).rstrip(".") == said


def test_what_is_written_in_another_form_in_the_url_is_masked_too() -> None:
    assert without_secrets("pass word! is wrong", "json://u:pass%20word%21@h") == "*** is wrong"


def test_a_password_is_masked_however_short_and_short_words_of_the_url_are_not() -> None:
    assert without_secrets("u:abc@h said no", "json://u:abc@h/path") == "u:***@h said no"


@pytest.mark.parametrize(
    ("url", "made"),
    [
        ("x://a/b/c/d", "twitter://a/b/c/d?mode=tweet"),
        ("twitter://a/b/c/d?cache=no", "twitter://a/b/c/d?cache=no&mode=tweet"),
        ("twitter://u@a/b/c/d?mode=dm", "twitter://u@a/b/c/d?mode=dm"),
        ("jsons://host/hook", "jsons://host/hook"),
    ],
)
def test_kegbot_twitter_posts_for_everybody(url: str, made: str) -> None:
    assert parse(url, twitter)[0].url == made


def test_fb_publisher_posts_to_the_feed_of_a_page() -> None:
    (page,) = parse("facebook://1234567890/EAAB_abcdefghijklmnop", facebook)
    assert page.url == (
        "forms://graph.facebook.com/1234567890/feed?:access_token=EAAB_abcdefghijklmnop&:version=&:title=&:type="
    )
    assert page.label == "facebook of line 1"


@pytest.mark.parametrize(
    ("text", "adapt", "reason"),
    [
        (HOOK, facebook, "line 1: discord:// is not Facebook; publisher.py serves every network"),
        (
            "facebook://1234567890/x",
            twitter,
            "line 1: facebook:// is not X; publisher.py serves every network",
        ),
        (
            "facebook://me/token-of-some-length",
            facebook,
            "line 1: expected facebook://PAGE_ID/PAGE_ACCESS_TOKEN",
        ),
    ],
)
def test_the_programs_of_2010_serve_their_network_only(text: str, adapt: object, reason: str) -> None:
    with pytest.raises(DestinationError) as error:
        parse(text, adapt)  # type: ignore[arg-type]
    assert str(error.value) == reason


def test_a_file_of_secrets_must_be_ours_alone(tmp_path: Path) -> None:
    path = tmp_path / "urls"
    path.write_text("\ufeffjson://h\n", encoding="utf-8")
    for mode in (0o644, 0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(
            FileError, match=f"has mode 0{mode:o}, so others may read or change it; chmod 600"
        ):
            read_secret(str(path))
    path.chmod(0o600)
    assert read_secret(str(path)) == "json://h\n"
    link = tmp_path / "link"
    link.symlink_to(path)
    assert read_secret(str(link)) == "json://h\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_or_a_link_that_somebody_else_made_is_refused(tmp_path: Path) -> None:
    path, link = tmp_path / "urls", tmp_path / "link"
    path.touch(mode=0o600)
    link.symlink_to(path)
    os.lchown(link, 12345, 12345)
    with pytest.raises(FileError, match="a link that 12345 made, who may point it elsewhere"):
        read_secret(str(link))
    os.chown(path, 12345, 12345)
    with pytest.raises(FileError, match="belongs to 12345; chown root"):
        read_secret(str(path))


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    fifo, folder, binary, large = (tmp_path / name for name in ("fifo", "folder", "binary", "large"))
    os.mkfifo(fifo, 0o600)
    folder.mkdir(mode=0o700)
    binary.write_bytes(b"\xff\xfe\x00")
    large.write_bytes(b"#" * (2 << 20))
    for path, reason in [
        (fifo, "no plain file"), (folder, "no plain file"), (binary, "not UTF-8"), (large, "larger than 1 MiB"),
        (tmp_path / "missing", "No such file"), (Path("a\0b"), "no path"),
    ]:  # fmt: skip
        if path.is_file():
            path.chmod(0o600)
        with pytest.raises(FileError, match=reason):
            read_secret(str(path))


def test_who_wants_no_mention_is_read_anew_when_that_changes_and_remembered_while_it_is_away(
    tmp_path: Path,
) -> None:
    path = tmp_path / "optout"
    path.write_text("# these\nAlice\nZoe\u0308\n", encoding="utf-8")
    unnamed = Unnamed(str(path))
    assert [name in unnamed for name in ("alice", "ALICE", "Zoë", "bob", None)] == [
        True,
        True,
        True,
        False,
        False,
    ]
    path.write_text("bob\n", encoding="utf-8")
    assert ("alice" in unnamed, "bob" in unnamed) == (False, True)
    path.unlink()
    assert "bob" in unnamed
    assert "alice" not in Unnamed("")
    with pytest.raises(FileError, match="No such file"):
        Unnamed(str(path))
