"""`./dev demo`: nodes become a cluster, and what /etc/pve does when one of them is cut off."""

from __future__ import annotations

import time

from lab import record as records
from lab.alone import at_once
from lab.cluster import form_cluster, wait_read_only, wait_writable
from lab.errors import LabError
from lab.labcommands import DEMO
from lab.laboratory import Lab, end_stale_labs
from lab.node import Node
from lab.progress import Step
from lab.waiting import wait_for

CATCH_UP_SECONDS = 60.0
WATCHER = """
import sys, time
path, text, limit = sys.argv[1], sys.argv[2], time.monotonic() + 30
print("watching", flush=True)
while time.monotonic() < limit:
    try:
        with open(path) as file:
            if file.read() == text:
                print(time.time(), flush=True)
                break
    except FileNotFoundError:
        pass
    time.sleep(0.0005)
"""
WRITER = """
import sys, time
started = time.time()
with open(sys.argv[1], "w") as file:
    file.write(sys.argv[2])
print(started)
"""


def demo(*, nodes: int, links: int) -> int:
    """Run it on a lab of its own, which stays up. The exit status."""
    if nodes < 3:
        raise LabError(
            "The demo cuts one node off and shows that the others go on: it needs 3 nodes or more."
        )
    with at_once(records.STATE / ".demo", "starts the demo (./dev demo)"):
        return _demo(nodes, links)


def _demo(nodes: int, links: int) -> int:
    end_stale_labs()
    if DEMO in records.names():
        with Step("Ending the demo that is still running"):
            Lab.open(DEMO).destroy()
    lab = Lab(DEMO, nodes=nodes, links=links, keep=True)
    with Step(f"Booting {nodes} nodes"):
        lab.start()
    _form(lab)
    first, second, last = lab.nodes[0], lab.nodes[1], lab.nodes[-1]
    _replicate(first, second)
    _cut_and_heal(lab, first, second, last)
    _farewell(nodes)
    return 0


def _form(lab: Lab) -> None:
    _title("A cluster")
    form_cluster(lab, cluster=DEMO, token=None, report=lambda text: print(f"  {text}", flush=True))
    for command in ("status", "nodes"):
        print(f"\nroot@n1:~# pvecm {command}")
        print(lab.node("n1").run(["pvecm", command]).stdout.rstrip())


def _replicate(writer: Node, reader: Node) -> None:
    _title("A file written on one node is there on the others")
    path, text = "/etc/pve/hello.txt", f"Hello from {writer.name}\n"
    python = "/opt/quorate/.venv/bin/python"
    with reader.start_process([python, "-c", WATCHER, path, text]) as watcher:
        watcher.stdout.readline()
        started = float(writer.python(WRITER, path, text))
        answer = watcher.stdout.readline()
    if not answer:
        raise LabError(f"{reader.name} did not see {path} within 30 s.")
    took = 1000 * (float(answer) - started)
    print(f"  {writer.name} wrote {path}; {reader.name} read it {took:.1f} ms later:")
    print(f"  {reader.read_file(path).rstrip()}")


def _cut_and_heal(lab: Lab, first: Node, second: Node, last: Node) -> None:
    _title(f"{last.name} is cut off")
    lab.cut(last.name)
    cut_at = time.monotonic()
    with Step(f"Waiting until {last.name} has noticed"):
        wait_read_only(last)
    refused = last.run(["touch", "/etc/pve/from-a-minority"], check=False).stderr.strip()
    print(f"  {last.name} is read-only {time.monotonic() - cut_at:.1f} s after the cut:")
    print(f"    {refused}")
    print(f"  and still reads: {last.read_file('/etc/pve/hello.txt').rstrip()}")
    wait_writable(second)
    second.write_file("/etc/pve/meanwhile.txt", "Written by the majority\n")
    print(f"  {second.name} and the others went on: /etc/pve/meanwhile.txt, read on {first.name}:")
    print(f"    {first.read_file('/etc/pve/meanwhile.txt').rstrip()}")

    _title(f"{last.name} is back")
    lab.heal(last.name)
    healed_at = time.monotonic()
    with Step(f"Waiting until {last.name} has caught up"):
        wait_for(
            lambda: last.run(["cat", "/etc/pve/meanwhile.txt"], check=False).stdout,
            timeout=CATCH_UP_SECONDS,
            what=f"{last.name} to catch up",
        )
        wait_writable(last)
    print(f"  {last.name} caught up {time.monotonic() - healed_at:.1f} s after the cable was plugged in:")
    print(f"    {last.read_file('/etc/pve/meanwhile.txt').rstrip()}")


def _farewell(nodes: int) -> None:
    _title("It keeps running")
    print(
        f"""  ./dev shell n1          enter a node (n1 to n{nodes})
  ./dev web               its web interface, for a browser
  ./dev logs n1 -f        its log
  ./dev lab cut n2        pull its cables; ./dev lab heal
  ./dev lab kill n2       pull its plug; ./dev lab on n2
  ./dev down              end it all"""
    )


def _title(text: str) -> None:
    print(f"\n{text}", flush=True)
