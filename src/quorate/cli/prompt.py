"""Questions to the person at the terminal: a password, a fingerprint, a second factor (pvecm 1.5, 3.3)."""

from __future__ import annotations

import codecs
import os
import sys
import termios
import tty
from collections.abc import Mapping
from typing import Any, Final

MAX_PASSWORD_BYTES: Final = 4096


class PromptError(Exception):
    """No answer was given."""


def read_password(prompt: str) -> str:
    """A password from the terminal, shown as stars; one line without prompt if input is no terminal.

    TAB, or backspace at the beginning, turns the stars off. Raises PromptError.
    """
    if not sys.stdin.isatty():
        line = sys.stdin.readline(MAX_PASSWORD_BYTES)
        if not line:
            raise PromptError("EOF while reading password")
        return line.rstrip("\r\n")
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        # Before the prompt: what is typed upon it must neither be shown nor lost.
        tty.setraw(fd, termios.TCSADRAIN)
        sys.stdout.write(prompt)
        sys.stdout.flush()
        return _read_keys(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        sys.stdout.write("\n")
        sys.stdout.flush()


def confirm_fingerprint(host: str, fingerprint: str) -> bool:
    """Ask whether the peer is the one that is meant."""
    print(f"The authenticity of host '{host}' can't be established.", flush=True)
    print(f"X509 SHA256 key fingerprint is {fingerprint}.", flush=True)
    print("Are you sure you want to continue connecting (yes/no)? ", end="", flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


def second_factor(challenge: Mapping[str, Any]) -> str:
    """Let the user choose one of the offered factors and type its code; ``TYPE:CODE``."""
    if not sys.stdin.isatty():
        raise PromptError("TFA-enabled login currently works only with a TTY.")
    kinds = [kind for kind in ("totp", "recovery", "yubico") if challenge.get(kind)]
    if not kinds:
        raise PromptError("the account has no second factor that can be used on a terminal")
    kind = kinds[0]
    if len(kinds) > 1:
        typed = input(f"Second factor ({', '.join(kinds)}) [{kind}]: ").strip()
        kind = typed if typed in kinds else kind
    return f"{kind}:{input(f'Enter {kind} code: ').strip()}"


def _read_keys(fd: int) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    typed: list[str] = []
    echo = True
    while True:
        data = os.read(fd, 1)
        if not data or data == b"\x04":
            if typed:
                return "".join(typed)
            raise PromptError("EOF while reading password")
        for key in decoder.decode(data):
            if key in "\r\n":
                return "".join(typed)
            if key == "\x03":
                raise PromptError("password input aborted")
            if key == "\t" or (key in "\x7f\x08" and not typed):
                echo = False
            elif key in "\x7f\x08":
                typed.pop()
                _show("\b \b", echo)
            elif len(typed) < MAX_PASSWORD_BYTES:
                typed.append(key)
                _show("*", echo)


def _show(text: str, echo: bool) -> None:
    if echo:
        sys.stdout.write(text)
        sys.stdout.flush()
