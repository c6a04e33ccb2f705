"""The text that Prometheus reads, and what is counted for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.api import node_metrics
from quorate.api.exposition import BUCKETS, Family, Histogram, exposition
from quorate.api.requestfigures import OTHER, RequestFigures
from quorate.cfs import Cfs
from quorate.fuse.abi import Opcode
from quorate.fuse.figures import RequestCounter
from quorate.ipc.shared import Changes
from quorate.pmxcfs.figures import GroupFigures, TreeFigures, figures_text
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api


def test_text_format() -> None:
    families = [
        Family("a_total", "counter", "Help.").add(3, path='x"y\\z\n', type_="t").add(1.5),
        Family("empty", "gauge", "Left out."),
    ]
    assert exposition(families) == (
        "# HELP a_total Help.\n# TYPE a_total counter\n"
        'a_total{path="x\\"y\\\\z\\n",type="t"} 3\na_total 1.5\n'
    )
    with pytest.raises(ValueError, match="no name of a metric"):
        Family("no-name", "gauge", "")


def test_histogram_counts_up_to_each_limit() -> None:
    histogram = Histogram()
    for seconds in (0.001, 0.02, 0.02, 99.0):
        histogram.observe(seconds)
    family = Family("t_seconds", "histogram", "T.")
    histogram.add_to(family, {"path": "/x"})
    lines = dict(line.rsplit(" ", 1) for line in family.samples)
    assert lines['t_seconds_bucket{path="/x",le="0.005"}'] == "1"
    assert lines['t_seconds_bucket{path="/x",le="0.025"}'] == "3"
    assert lines[f't_seconds_bucket{{path="/x",le="{BUCKETS[-1]}"}}'] == "3"
    assert lines['t_seconds_bucket{path="/x",le="+Inf"}'] == lines['t_seconds_count{path="/x"}'] == "4"
    assert float(lines['t_seconds_sum{path="/x"}']) == pytest.approx(99.041)


def test_requests_are_counted_by_operation() -> None:
    figures = RequestFigures()
    figures.observe("GET", "/nodes/{node}/status", 200, 0.01)
    figures.observe("GET", "/nodes/{node}/status", 403, 0.01)
    for method in ("GET", "BREW", "PUT"):
        figures.observe(method, OTHER, 501, 0.01)
    text = exposition(figures.families(streams=2, connections=5))
    assert 'quorate_api_requests_total{method="GET",path="/nodes/{node}/status",status="403"} 1' in text
    assert 'quorate_api_requests_total{method="other",path="other",status="501"} 3' in text
    assert "quorate_api_event_streams 2" in text
    assert "quorate_api_connections 5" in text


def test_without_a_file_system_it_says_so(tmp_path: Path) -> None:
    text = exposition(node_metrics.file_system(Settings(root=tmp_path)))
    assert "quorate_pmxcfs_up 0" in text
    assert "quorate_cluster_quorate" not in text


def test_file_system_in_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    members = {
        "nodename": "n1",
        "cluster": {"name": "lab", "version": 3, "nodes": 2, "quorate": 1},
        "nodelist": {"n1": {"id": 1, "online": 1}, "n2": {"id": 2, "online": 0}},
    }
    guests = {"version": 1, "ids": {"100": {"node": "n2", "type": "qemu", "version": 4}}}
    (settings.mountpoint / ".members").write_text(json.dumps(members))
    (settings.mountpoint / ".vmlist").write_text(json.dumps(guests))
    changes = Changes(1, 7, 2, {"user.cfg": 5}, {"n1": {"a": 1, "b": 2}})
    monkeypatch.setattr(Cfs, "changes", lambda cfs: changes)
    text = exposition(node_metrics.file_system(settings))
    for line in (
        "quorate_pmxcfs_up 1",
        "quorate_cluster_quorate 1",
        'quorate_node_online{node="n2"} 0',
        'quorate_guests{node="n2",type="qemu"} 1',
        'quorate_pmxcfs_changes_total{path="user.cfg"} 5',
        'quorate_pmxcfs_status_values{node="n1"} 2',
        "quorate_pmxcfs_cluster_info_total 7",
    ):
        assert line in text.splitlines()


def test_corosync_in_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    link = {"node": "n2", "link": 0, "connected": True, "latency": 250, "down_count": 3, "tx_total_bytes": 9}
    text = exposition(
        [
            *node_metrics._votes({"votes": 3, "expected": 4, "needed": 3, "quorate": True}),
            *node_metrics._links([link]),
            *node_metrics._totem([("stats.srp.operational_entered", 12), ("stats.srp.name", "x")]),
        ]
    )
    for line in (
        'quorate_votes{kind="needed"} 3',
        'quorate_link_connected{node="n2",link="0"} 1',
        'quorate_link_latency_seconds{node="n2",link="0",kind="average"} 0.00025',
        'quorate_link_down_total{node="n2",link="0"} 3',
        'quorate_link_bytes_total{node="n2",link="0",direction="out"} 9',
        "quorate_membership_changes_total 12",
    ):
        assert line in text.splitlines()


def test_what_the_daemon_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = RequestCounter()
    counter.answered(Opcode.FLUSH, 0.0004, refused=False)
    counter.answered(Opcode.FLUSH, 20.0, refused=True)
    text = figures_text(
        counter.figures(),
        in_flight=2,
        tree=TreeFigures(7, 900, 41, broken=True),
        groups={"dcdb": GroupFigures("synced", 3, 5, 8, 1), "status": GroupFigures("start_sync", 3, 5, 8, 0)},
        ipc_clients=4,
    )
    monkeypatch.setattr(Cfs, "figures", lambda self: json.loads(text))
    lines = exposition(node_metrics._counted(Cfs(Settings(root=tmp_path)))).splitlines()
    flush = 'operation="flush"'
    for line in (
        f'quorate_pmxcfs_operation_seconds_bucket{{{flush},le="0.00025"}} 0',
        f'quorate_pmxcfs_operation_seconds_bucket{{{flush},le="0.0005"}} 1',
        f'quorate_pmxcfs_operation_seconds_bucket{{{flush},le="+Inf"}} 2',
        f"quorate_pmxcfs_operation_seconds_count{{{flush}}} 2",
        f"quorate_pmxcfs_operation_errors_total{{{flush}}} 1",
        "quorate_pmxcfs_operations_waiting 2",
        "quorate_pmxcfs_entries 7",
        "quorate_pmxcfs_database_broken 1",
        "quorate_pmxcfs_ipc_clients 4",
        'quorate_pmxcfs_group_synced{group="dcdb"} 1',
        'quorate_pmxcfs_group_synced{group="status"} 0',
        'quorate_pmxcfs_messages_delivered_total{group="dcdb"} 8',
        'quorate_pmxcfs_messages_queued{group="dcdb"} 1',
    ):
        assert line in lines


def test_the_operation_is_a_text_also_without_a_daemon(tmp_path: Path) -> None:
    text = Api(Settings(root=tmp_path))("GET", "/nodes/n1/metrics")
    assert "quorate_build_info{version=" in text
    assert "\nquorate_pmxcfs_up 0\n" in text
    assert "corosync" not in text  # there is no cluster
