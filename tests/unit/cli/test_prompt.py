"""Reading a password, at a terminal and from a pipe (pvecm 1.5)."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

import pytest

from quorate.cli.prompt import PromptError, read_password

PROMPT = "Password: "


ASK = """
import sys
from quorate.cli.prompt import PromptError, read_password
try:
    result = f"read {read_password(sys.argv[1])!r}"
except PromptError as e:
    result = f"failed {e}"
print(result)
"""


def typed(keys: bytes) -> tuple[str, str]:
    """What a program at a terminal reads when these keys are typed, and what the screen shows."""
    fd, terminal = pty.openpty()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
    argv = [sys.executable, "-c", ASK, PROMPT]
    program = subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    screen = b""
    sent = False
    while True:
        try:
            data = os.read(fd, 1024)
        except OSError:
            break
        if not data:
            break
        screen += data
        if PROMPT.encode() in screen and not sent:
            os.write(fd, keys)
            sent = True
    program.wait()
    os.close(fd)
    shown, _, result = screen.decode().replace("\r", "").strip().rpartition("\n")
    return result, shown.strip()


@pytest.mark.parametrize(
    ("keys", "result", "shown"),
    [
        (b"ab\r", "read 'ab'", "Password: **"),
        (b"\tab\r", "read 'ab'", "Password:"),
        (b"\x7fab\r", "read 'ab'", "Password:"),
        (b"abc\x7f\r", "read 'ab'", "Password: ***\b \b"),
        ("\u00e4\r".encode(), "read '\u00e4'", "Password: *"),
        (b"ab\x03", "failed password input aborted", "Password: **"),
    ],
)
def test_at_a_terminal(keys: bytes, result: str, shown: str) -> None:
    assert typed(keys) == (result, shown)


def test_from_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\nmore\n"))
    assert read_password(PROMPT) == "secret"
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(PromptError, match=r"^EOF while reading password$"):
        read_password(PROMPT)
    assert capsys.readouterr().out == ""
