"""The name of a process, seen from outside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = """
import sys
from quorate.processname import set_process_name
set_process_name("pmxcfs")
print(flush=True)
sys.stdin.read()
"""


def test_a_process_is_found_by_its_programs_name() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SOURCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert Path(f"/proc/{process.pid}/comm").read_text() == "pmxcfs\n"
        process.communicate("")
