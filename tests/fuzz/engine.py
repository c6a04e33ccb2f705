"""Runs one target under Atheris (libFuzzer): ``python -m tests.fuzz.engine TARGET DIRECTORY
[libFuzzer options]``.

Needs the package of ``requirements-fuzz.txt``; ``./dev fuzz`` sees to that.
"""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Does not return: libFuzzer ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["quorate"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
