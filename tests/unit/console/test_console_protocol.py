"""What clients say to a console: the first line, messages in any pieces, and what is none (guests 9.3)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.console.command import environment, local_command, remote_command
from quorate.console.protocol import (
    MAX_INPUT,
    MAX_LOGIN,
    Input,
    Login,
    LoginReader,
    Message,
    MessageReader,
    ProtocolError,
    Resize,
)

# -- the first line -------------------------------------------------------------------------------------


def test_the_first_line_says_who_it_is() -> None:
    reader = LoginReader()
    assert reader.feed(b"root@pam:PVEVNC:6B0") is None
    assert reader.feed(b"C7E0F::c2ln\n1:80:24:") == Login("root@pam", "PVEVNC:6B0C7E0F::c2ln")
    assert reader.rest == b"1:80:24:"


def test_names_are_text_and_lines_may_end_as_in_dos() -> None:
    assert LoginReader().feed("jörg@pve!script:T\r\n".encode()) == Login("jörg@pve!script", "T")


@pytest.mark.parametrize("line", [b"\n", b"root@pam\n", b":ticket\n", b"root@pam:\n", b"\xff:ticket\n"])
def test_a_first_line_that_is_none(line: bytes) -> None:
    with pytest.raises(ProtocolError, match="the first line is not"):
        LoginReader().feed(line)


def test_a_first_line_has_its_limit() -> None:
    reader = LoginReader()
    assert reader.feed(b"x" * MAX_LOGIN) is None
    with pytest.raises(ProtocolError, match="longer than 1024 bytes"):
        reader.feed(b"x")


# -- messages -------------------------------------------------------------------------------------------


def test_messages() -> None:
    reader = MessageReader()
    assert reader.feed(b"0:5:ls -l20:0:1:132:43:2") == [Input(b"ls -l"), Resize(132, 43)]


def test_input_is_handed_on_before_its_message_is_whole() -> None:
    reader = MessageReader()
    assert reader.feed(b"0:%d:begin" % MAX_INPUT) == [Input(b"begin")]
    assert reader.feed(b"1:80:24:") == [Input(b"1:80:24:")]  # data, whatever it looks like


@pytest.mark.parametrize(
    "data",
    [
        b"3",
        b"ls\n",
        b"0x",
        b"0:x:",
        b"0::",
        b"0:-1:",
        b"0:+1:",
        b"0: 1:",
        b"0:123456789",
        b"0:16777217:",
        b"1:80:",  # only wrong with what follows
        b"1:0:24:",
        b"1:80:0:",
        b"1:80:10000:",
        b"1:80.5:24:",
        b"1::24:",
        b"122",
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        MessageReader().feed(data + b"x:")


_MESSAGES = st.lists(
    st.one_of(
        st.builds(Input, st.binary(min_size=1, max_size=40)),
        st.builds(Resize, st.integers(1, 9999), st.integers(1, 9999)),
        st.just(None),
    ),
    max_size=8,
)


def _encoded(message: Message | None) -> bytes:
    if message is None:
        return b"2"
    if isinstance(message, Input):
        return b"0:%d:%s" % (len(message.data), message.data)
    return b"1:%d:%d:" % (message.columns, message.rows)


def _joined(messages: list[Message]) -> list[Message]:
    """Neighbouring input as one."""
    result: list[Message] = []
    for message in messages:
        if isinstance(message, Input) and result and isinstance(result[-1], Input):
            result[-1] = Input(result[-1].data + message.data)
        else:
            result.append(message)
    return result


@given(_MESSAGES, st.lists(st.integers(0, 400), max_size=10))
def test_messages_are_the_same_however_they_are_split(
    messages: list[Message | None], cuts: list[int]
) -> None:
    data = b"".join(map(_encoded, messages))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = MessageReader()
    found = [message for start, end in itertools.pairwise(places) for message in reader.feed(data[start:end])]
    assert _joined(found) == _joined([message for message in messages if message is not None])


@given(st.binary(max_size=200))
def test_anything_is_understood_or_refused(data: bytes) -> None:
    reader = MessageReader()
    try:
        found = reader.feed(data)
    except ProtocolError:
        return
    assert sum(len(each.data) for each in found if isinstance(each, Input)) < max(1, len(data))


# -- commands -------------------------------------------------------------------------------------------

SSH = ["/usr/bin/ssh", "-e", "none", "-o", "BatchMode=yes", "root@10.0.0.2"]


@pytest.mark.parametrize(
    ("user", "command", "local", "remote"),
    [
        ("root@pam", "login", ["/bin/login", "-f", "root"], []),
        ("root@pam!token", "login", ["/bin/login"], ["/bin/login"]),
        ("root@pve", "login", ["/bin/login"], ["/bin/login"]),
        ("carol@pve", "login", ["/bin/login"], ["/bin/login"]),
        ("root@pam", "upgrade", ["/usr/bin/apt-get", "dist-upgrade"], ["/usr/bin/apt-get", "dist-upgrade"]),
    ],
)
def test_who_gets_which_program(user: str, command: str, local: list[str], remote: list[str]) -> None:
    assert local_command(user, command, "/bin/login") == local
    argv = remote_command(user, command, SSH)
    target = argv.index("root@10.0.0.2")
    assert argv[:5] == SSH[:5]
    assert argv[target - 1] == "-t"
    assert argv[target + 1 :] == ["--", *remote]


def test_the_program_gets_a_small_environment() -> None:
    outer = {"PATH": "/bin", "LC_ALL": "C", "LANG": "de", "SECRET": "x", "TERM": "vt52", "PYTHONPATH": "/x"}
    assert environment(outer) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "LANG": "de",
        "USER": "root",
        "HOME": "/root",
        "TERM": "xterm-256color",
    }
