"""Task identifiers: text form, parts, the process behind them (pvecm 6.9)."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.tasks import Upid, UpidError, process_start_time
from quorate.tasks.upid import check_parts

EXAMPLE = "UPID:n1:000004D2:0000162E:6B02ED03:clusterjoin::root@pam:"

_part = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":/"), max_size=20)


def test_example_of_the_format() -> None:
    upid = Upid.parse(EXAMPLE)
    assert upid == Upid("n1", 0x4D2, 0x162E, 0x6B02ED03, "clusterjoin", "", "root@pam")
    assert str(upid) == EXAMPLE
    assert len(EXAMPLE.split(":")) == 9
    assert upid.log_name() == f"3/{EXAMPLE}"


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**36 - 1), _part, _part.filter(bool), _part.filter(bool))
def test_text_form_comes_back(pid: int, pstart: int, ident: str, kind: str, user: str) -> None:
    upid = Upid("node-1", pid, pstart, 0x60000000, kind, ident, user)
    assert Upid.parse(str(upid)) == upid


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPID:n1",
        EXAMPLE[:-1],
        EXAMPLE + "x",
        EXAMPLE + "\n",
        EXAMPLE.replace("clusterjoin", ""),
        EXAMPLE.replace("root@pam", ""),
        EXAMPLE.replace("clusterjoin", "../../etc"),
        EXAMPLE.replace("000004D2", "4D2"),
        EXAMPLE.replace("n1", "n_1"),
    ],
)
def test_what_is_no_upid(text: str) -> None:
    with pytest.raises(UpidError) as caught:
        Upid.parse(text)
    assert str(caught.value) == f"unable to parse worker upid '{text}'"


def test_running_means_this_very_process() -> None:
    start = process_start_time(os.getpid())
    assert start is not None
    upid = Upid("n1", os.getpid(), start, 0, "t", "", "u")
    assert upid.is_running()
    assert not upid._replace(pstart=start + 1).is_running()


def test_parts_that_break_the_syntax_are_refused() -> None:
    check_parts("clusterjoin", "", "root@pam")
    for parts in (("a:b", "", "u"), ("", "", "u"), ("t", "a/b", "u"), ("t", "", "u v"), ("t", "", "")):
        with pytest.raises(UpidError):
            check_parts(*parts)
