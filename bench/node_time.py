"""Runs in a node by its own python3: processor seconds and wall seconds of the command in the arguments."""

from __future__ import annotations

import resource
import subprocess
import sys
import time


def main() -> None:
    start = time.perf_counter()
    code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
    took = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime, took)
    sys.exit(code)


main()
