"""`./dev bench`: runs everything, prints the table, writes the JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from bench import measure
from bench.agents import client, round_trip
from bench.arguments import PARTS
from bench.cluster import calm, measured_cluster
from bench.lines import NODES
from bench.measure import TREE, Figures
from bench.priorities import place, prefer
from bench.table import as_json, render
from bench.web import web
from lab import Lab, LabError, Node

QUICK = ("visible", "writers", "size")
"""Parts that measure how long something takes, not how much is sent."""


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 0 whatever the figures are, which depend on the machine."""
    if arguments.rounds < 1:
        raise LabError("At least one round is needed.")
    directories = [f"{path.rstrip('/')}/bench" for path in arguments.dir or ["/etc/pve"]]
    own = arguments.lab is None
    parts = set(arguments.part or (PARTS if own else ("ops",)))
    if not own and parts != {"ops"}:
        raise LabError("A running lab is only measured by --part ops: the other parts restart daemons.")
    begin = time.monotonic()
    apart = own and not arguments.together
    with measured_cluster(arguments.nodes) if own else nullcontext(Lab.open(arguments.lab)) as lab:
        figures = _measure(lab, lab.node(arguments.node), directories, parts, arguments)
    if "nodes" in parts:
        _other_sizes(next(iter(figures.values())), arguments.rounds, apart)
    for directory, found in figures.items():
        print(f"\n{directory.removesuffix('/bench')} on {arguments.node}, {arguments.rounds} rounds")
        print(render(found.results(), found.missing))
    _write(arguments, figures, apart, time.monotonic() - begin)
    print(f"\nFigures: {arguments.json}")
    return 0


def _measure(
    lab: Lab, node: Node, directories: Sequence[str], parts: set[str], arguments: argparse.Namespace
) -> dict[str, Figures]:
    first = directories[0]
    figures = {directory: Figures() for directory in directories}
    others = [each for each in lab.nodes if each.name != node.name]
    rounds = arguments.rounds
    own_lab = arguments.lab is None
    apart = not arguments.together
    with client(node) as operations, round_trip(node) as echo:
        own = figures[first]

        def alone(node: Node) -> None:
            place(lab, apart=apart, measured=node)
            prefer(lab, node)
            calm(lab, _say)

        steps: dict[str, tuple[str, Callable[[], None]]] = {
            "visible": (
                "visibility on another node",
                lambda: measure.visibility(own, echo, node, others[0], rounds, alone),
            ),
            "status": ("pvecm status", lambda: measure.status(own, node, rounds)),
            "disk": ("bytes written to disk", lambda: measure.disk(own, operations, node, rounds)),
            "writers": ("several writers", lambda: measure.writers(own, operations, rounds)),
            "size": ("10,000 files", lambda: measure.size(own, echo, operations, node, rounds)),
            "join": (
                "joining with 100 MiB",
                lambda: measure.joining(own, echo, operations, others[-1], rounds),
            ),
        }
        if "ops" in parts:
            if own_lab:
                place(lab, apart=apart, measured=node)
                prefer(lab, node)
            measure.rounds(
                echo,
                operations,
                figures,
                rounds,
                only=arguments.only,
                calm=lambda: calm(lab, _say),
                report=_say,
            )
        for part, (text, step) in steps.items():
            if part in parts:
                _say(text)
                measured = node if part in ("writers", "size") else None
                place(lab, apart=apart and part in QUICK, measured=measured)  # also daemons started anew
                prefer(lab, measured)
                calm(lab, _say)
                _try(part, step)
        if parts & {"disk", "writers", "size", "join"}:
            operations.ask(operation="clean", directory=TREE, count=0)
    if "web" in parts:
        _say("the API and the web interface")
        _try("web", lambda: web(own, lab, node, rounds, _say))
    return figures


def _try(part: str, step: Callable[[], None]) -> None:
    try:
        step()
    except LabError as error:  # the other figures are worth having
        _say(f"{part} could not be measured: {str(error).strip().splitlines()[-1]}")


def _other_sizes(figures: Figures, rounds: int, apart: bool) -> None:
    """Clusters of other sizes, one after the other."""
    for nodes, line in NODES.items():
        _say(f"{nodes} nodes")
        with measured_cluster(nodes) as lab:
            first = lab.nodes[0]
            with client(first) as operations, round_trip(first) as echo:
                place(lab, apart=apart, measured=first)
                prefer(lab, first)
                measure.created(figures, line, echo, operations, rounds)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


def _write(arguments: argparse.Namespace, figures: dict[str, Figures], apart: bool, seconds: float) -> None:
    file: Path = arguments.json
    document: dict[str, Any] = {
        "time": int(time.time()),
        "seconds": round(seconds, 1),
        "rounds": arguments.rounds,
        "machine": {
            "kernel": platform.release(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "corosync_apart": apart,
        },
        "directories": {
            directory.removesuffix("/bench"): {
                "lines": as_json(found.results()),
                "values": found.values,
                "round_trips": found.round_trips,
                "missing": found.missing,
            }
            for directory, found in figures.items()
        },
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
