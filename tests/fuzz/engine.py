"""Runs one target under Atheris (libFuzzer): ``python -m tests.fuzz.engine TARGET DIRECTORY
[libFuzzer options]``.

Needs the package of ``requirements-fuzz.txt``; ``./dev fuzz`` sees to that.
"""

from __future__ import annotations

import importlib
import shlex
import sys


def main() -> None:
    """Does not return: libFuzzer ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["quorate"]):
        from tests.fuzz.targets import TARGETS
    name = sys.argv[1]
    # libFuzzer starts itself again, by a shell, to merge inputs.
    program = shlex.join((sys.executable, "-m", "tests.fuzz.engine", name))
    atheris.Setup([program, *sys.argv[2:]], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
