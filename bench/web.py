"""The part `web`: the API with a thousand guests, and a login to the web interface in a real browser."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import lines
from bench.agents import PROJECT_PYTHON, Agent
from bench.cluster import QUIET_UNITS
from bench.lines import GUESTS, Line
from bench.measure import Figures, Report
from bench.priorities import FIRST, place, prefer
from lab import Lab, LabError, Node
from lab.base import ROOT_PASSWORD
from lab.browser import CHROMIUM
from lab.cluster import wait_api
from lab.setup import ROOT, VENV

SERVED = tuple(unit for unit in QUIET_UNITS if unit != "pvestatd")
"""Whoever makes the guests tells of them as well, in pvestatd's place: for it none would run."""
FIRST_VMID = 100
SECONDS = 3.0
"""For each figure of a round: longer than the 2 s for which the server keeps figures."""
CONNECTIONS = 4
BROWSER_SECONDS = 300.0
NO_HISTORY = "rm -f /usr/lib/*/librrd.so.*"
"""Files of figures over time take 1.3 MB per guest on every node: 4 GB on the one disk of all nodes here."""
BEFORE_OTHERS = f"echo {FIRST} > /proc/$$/autogroup"
"""The browser is a part of what is measured: see priorities.py."""


def web(figures: Figures, lab: Lab, node: Node, rounds: int, report: Report) -> None:
    """Everything of this part, on a lab without the API before and after. The client is on another node."""
    client = next((each for each in lab.nodes if each.name != node.name), node)
    with _serving(lab), Agent(client, "node_http.py") as api:
        place(lab, apart=False)
        prefer(lab)
        _login_to_tree(figures, lab, node, rounds, lines.LOGIN, report)
        with _guests(lab, report):
            place(lab, apart=False)
            prefer(lab)
            api.ask(operation="login", address=node.address(), user="root@pam", password=ROOT_PASSWORD)
            waited = api.ask(operation="wait", guests=GUESTS)["seconds"]
            report(f"all {GUESTS} guests with their figures after {waited:.1f} s")
            for number in range(rounds):
                report(f"resources, round {number + 1} of {rounds}")
                resources(figures, api)
            _login_to_tree(figures, lab, node, rounds, lines.LOGIN_GUESTS, report)


def resources(figures: Figures, api: Agent) -> None:
    """One round of /cluster/resources, plain and compressed."""
    for compressed, each in ((False, lines.PLAIN), (True, lines.GZIP)):
        alone = api.ask(operation="latency", seconds=SECONDS, compressed=compressed)
        figures.add(each.median, alone["median"])
        figures.add(each.slowest, alone["slowest"])
        figures.add_value(each.size, alone["bytes"] / 1000)
        together = api.ask(operation="rate", seconds=SECONDS, connections=CONNECTIONS, compressed=compressed)
        figures.add_value(each.rate, together["rate"])


def shares(nodes: int, guests: int = GUESTS, first: int = FIRST_VMID) -> list[list[int]]:
    """The numbers of each node's guests, spread evenly."""
    return [list(range(first + number, first + guests, nodes)) for number in range(nodes)]


@contextmanager
def _serving(lab: Lab) -> Iterator[None]:
    """Both halves of the API on all nodes, as long as the block lasts."""
    units = " ".join(f"/etc/systemd/system/{unit}.service" for unit in SERVED)
    for node in lab.nodes:
        node.run(["sh", "-c", f"rm {units} && systemctl daemon-reload"])
    try:
        for node in lab.nodes:
            node.systemctl("start", *SERVED)
        for node in lab.nodes:
            wait_api(node)
        yield
    finally:
        for node in lab.nodes:
            node.systemctl("stop", *SERVED, check=False)


@contextmanager
def _guests(lab: Lab, report: Report) -> Iterator[None]:
    """GUESTS guests on all nodes, with figures that change every 10 s; gone afterwards."""
    report(f"creating {GUESTS} guests")
    for node in lab.nodes:  # all of them before the first figures, which make every daemon load it
        node.run(["sh", "-c", NO_HISTORY])
    with ExitStack() as stack:
        for node, vmids in zip(lab.nodes, shares(len(lab.nodes)), strict=True):
            agent = stack.enter_context(Agent(node, "node_guests.py", python=PROJECT_PYTHON))
            stack.callback(_remove, agent)
            agent.ask(operation="create", vmids=vmids)
        yield


def _remove(agent: Agent) -> None:
    with suppress(LabError):  # the lab goes away with all guests, and an error on the way here is worth more
        agent.ask(operation="remove")


def _login_to_tree(figures: Figures, lab: Lab, node: Node, rounds: int, line: Line, report: Report) -> None:
    """Rounds in a browser; with the first line also how much is loaded. Without a browser the lines say why
    they have no figures."""
    report(f"{line.name}, in a browser")
    chosen = (line, lines.FIRST_LOAD, lines.ALL_PARTS) if line is lines.LOGIN else (line,)
    try:
        visits = _visits(lab, node, rounds)
    except LabError as error:
        reason = str(error).strip().splitlines()[0]
        for each in chosen:
            figures.missing[each.name] = reason
        report(f"not measured: {reason}")
        return
    for visit in visits:
        figures.add(line, visit["seconds"])
        if line is lines.LOGIN:
            figures.add_value(lines.FIRST_LOAD, visit["first_bytes"] / 1000)
            figures.add_value(lines.ALL_PARTS, visit["all_bytes"] / 1000)


def _visits(lab: Lab, node: Node, rounds: int) -> Sequence[dict[str, Any]]:
    """As bench.browser gives them. Raises LabError."""
    if not Path(CHROMIUM).exists():
        raise LabError(f"no {CHROMIUM} (apt-get install chromium)")
    request = {
        "netns": lab.record.switch_netns,
        "url": f"https://{node.address()}:8006/",
        "password": ROOT_PASSWORD,
        "nodes": lab.record.node_names(),
        "rounds": rounds,
        "before": BEFORE_OTHERS,
    }
    try:
        done = subprocess.run(
            [str(VENV / "bin/python"), "-m", "bench.browser"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            timeout=BROWSER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"the browser was not done within {BROWSER_SECONDS:.0f} s") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}, no output"]
        raise LabError(f"the browser failed: {last[0]}") from None
    if "error" in answer:
        raise LabError(f"the browser failed: {answer['error']}")
    visits: list[dict[str, Any]] = answer["visits"]
    return visits
