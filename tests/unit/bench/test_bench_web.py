"""The pure parts of the bench's part `web`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.browser import visit_of
from bench.lines import GUESTS, GZIP, LOGIN, ONCE, PLAIN, REPEATED
from bench.measure import Figures
from bench.node_guests import MadeUp, file_of
from bench.table import render
from bench.web import resources, shares
from quorate.statd import guestconf


def test_the_guests_are_spread_over_all_nodes() -> None:
    found = shares(3)
    assert sorted(vmid for share in found for vmid in share) == list(range(100, 100 + GUESTS))
    assert [len(share) for share in found] == [334, 333, 333]


def test_a_guests_file_is_one_of_the_products() -> None:
    directory, text = file_of(101)
    machine = guestconf.virtual_machine(101, text)
    assert (directory, machine.name, machine.maxcpu, machine.maxdisk) == (
        "qemu-server",
        "guest-101",
        4,
        32 << 30,
    )
    directory, text = file_of(104)
    container = guestconf.container(104, text)
    assert (directory, container.name, container.maxmem) == ("lxc", "guest-104", 2 << 30)


def test_figures_of_guests_change_from_round_to_round() -> None:
    reader = MadeUp()
    reader.begin(2e9, [101], [104])
    first = reader.machine(101), reader.container(104)
    reader.begin(2e9 + 10, [101], [104])
    assert all(
        now != before for now, before in zip((reader.machine(101), reader.container(104)), first, strict=True)
    )


def test_the_first_load_is_the_files_until_the_tree_is_there() -> None:
    received = [
        {"name": "https://n1/", "startTime": 0, "encodedBodySize": 300},
        {"name": "https://n1/assets/index.js", "startTime": 20, "encodedBodySize": 200_000},
        {"name": "https://n1/api2/json/cluster/resources", "startTime": 900, "encodedBodySize": 50_000},
        {"name": "https://n1/assets/later.js", "startTime": 1300, "encodedBodySize": 9_000},
    ]
    assert visit_of({"begin": 700.0, "end": 1200.0}, received) == {
        "seconds": 0.5,
        "first_bytes": 200_300,
        "all_bytes": 209_300,
        "files": 2,
    }


class Api:
    """In the agent's place."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, bool]] = Counter()

    def ask(self, **request: Any) -> dict[str, float]:
        self.asked[request["operation"], request["compressed"]] += 1
        if request["operation"] == "rate":
            return {"rate": 250.0}
        return {"median": 0.002, "slowest": 0.09, "bytes": 51_000.0}


def test_a_round_measures_both_encodings_in_the_lines_units() -> None:
    figures, api = Figures(), Api()
    resources(figures, api)  # type: ignore[arg-type]
    assert set(api.asked.values()) == {1}
    for each in (PLAIN, GZIP):
        found = {line: figures.values[line.name] for line in each.all}
        assert found == {
            each.median: [pytest.approx(2.0)],
            each.slowest: [pytest.approx(90.0)],
            each.rate: [250.0],
            each.size: [51.0],
        }
    assert {line.name: line.met for line in figures.results()} == {
        "resources plain": True,
        "resources plain max": None,
        "resources plain rate": True,
        "resources plain size": None,
        "resources gzip": True,
        "resources gzip max": None,
        "resources gzip rate": True,
        "resources gzip size": None,
    }


def test_lines_without_a_browser_say_so() -> None:
    figures = Figures(missing={LOGIN.name: "no /usr/bin/chromium"})
    table = render(figures.results(), figures.missing)
    assert table.splitlines()[-1] == "login to tree         not measured: no /usr/bin/chromium"


def test_every_line_has_a_name_of_its_own() -> None:
    names = [line.name for line in (*REPEATED, *ONCE)]
    assert len(set(names)) == len(names)
