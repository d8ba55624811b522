"""Values of variables survive the file they are kept in, whatever they hold; files written by people mean what they did."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kegmaster import envfile

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.text(st.characters(blacklist_characters="\0", codec="utf-8")),
    st.binary(max_size=12).map(lambda data: os.fsdecode(data.replace(b"\0", b""))),
    st.lists(st.sampled_from(["'", '"', "$'", "\\", "\\n", "\n", "=", "#", " ", "%", "é", "$"])).map("".join),
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_is_read_back_exactly(values: dict[str, str]) -> None:
    assert envfile.read(envfile.write(values)) == values


def test_a_shell_reads_it_too_if_nothing_in_it_is_a_single_quote() -> None:
    values = {"A": 'a=b " % $HOME `x`', "B": "line\nbreak\t'q' \x1b é", "C": ""}
    script = f'{envfile.write(values)}printf "%s\\0" "$A" "$B" "$C"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:3] == list(values.values())


def test_what_people_write_means_what_it_did() -> None:
    text = "# a comment\n\n A=1\nB='two words'\r\nC=\"x\nD=\"a\\nb\"\nE=\nF=a 'b'\nG=$HOME\nH=$'\n"
    assert envfile.read(text) == {
        "A": "1", "B": "two words", "C": '"x', "D": "a\\nb", "E": "", "F": "a 'b'", "G": "$HOME", "H": "$'",
    }  # fmt: skip


@pytest.mark.parametrize("line", ["no equals", "1A=x", "A B=x", "é=x", "A=$'\\q'", "A=$'\\x00'", "A=$'\\'"])
def test_what_is_no_variable_is_told_by_its_number_alone(line: str) -> None:
    with pytest.raises(ValueError, match=r"\A2\Z"):
        envfile.read(f"X=1\n{line}\n")
