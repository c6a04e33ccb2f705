"""Several real Debian nodes on one machine: for the demo, the tests, and people who try things.

Standard library only, so that it runs before the project's Python environment exists. The public surface
is what this file exports; docs/guide/lab.md explains it.
"""

from lab.errors import LabError, NodeOffError
from lab.laboratory import Lab
from lab.node import Node, Process
from lab.waiting import WaitTimeoutError, wait_for

__all__ = ["Lab", "LabError", "Node", "NodeOffError", "Process", "WaitTimeoutError", "wait_for"]
