"""The options of the command and their exit codes (core 1.1)."""

from __future__ import annotations

import pytest

from quorate.cli import pmxcfs as command
from quorate.settings import Settings


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], command.Options()),
        (["-d", "-f", "-l"], command.Options(debug=True, foreground=True, local=True)),
        (["-fl"], command.Options(foreground=True, local=True)),
        (["--debug", "--foreground", "--local"], command.Options(debug=True, foreground=True, local=True)),
        (["-h", "word"], command.Options(help=True)),
        (["-l", "--"], command.Options(local=True)),
    ],
)
def test_options(arguments: list[str], options: command.Options) -> None:
    assert command.parse(arguments) == options


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["-x"], 1), (["--nothing"], 1), (["-fx"], 1), (["word"], 255), (["--", "word"], 255)],
)
def test_misuse(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments, Settings()) == code
    assert "--help" in capsys.readouterr().err


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"], Settings()) == 0
    assert "-f, --foreground" in capsys.readouterr().out
