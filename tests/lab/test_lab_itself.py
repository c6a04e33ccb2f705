"""The laboratory keeps what it promises: real hosts, real faults, nothing left behind.

Shown with ping and with Debian's own Corosync; none of our daemons runs here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, LabError, Node, NodeOffError, WaitTimeoutError, wait_for
from lab import record as records
from lab.handmade import form_by_hand, wait_not_quorate, wait_quorate
from lab.processes import cgroup_root, is_alive, start_time

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared(laboratories: Any) -> Iterator[Lab]:
    with laboratories.lab(nodes=3, links=2, daemons=False) as lab:
        form_by_hand(lab)
        yield lab


@pytest.fixture
def hosts(shared: Lab) -> Iterator[Lab]:
    """Three hosts with a Corosync by hand, whole again after each test."""
    yield shared
    shared.heal()
    for node in shared.nodes:
        node.thaw()
        node.power_on()
    wait_quorate(shared.nodes)


def reaches(node: Node, address: str) -> bool:
    return node.run(["ping", "-c1", "-W1", address], check=False).returncode == 0


def round_trip(node: Node, address: str) -> float:
    """ms, of the fastest of three."""
    text = node.run(["ping", "-c3", "-i0.1", address]).stdout
    found = re.search(r"= ([\d.]+)/", text)
    assert found, text
    return float(found[1])


# Hosts


def test_a_node_is_a_host_of_its_own(hosts: Lab) -> None:
    n1, n2 = hosts.node("n1"), hosts.node("n2")
    assert n1.run(["uname", "-n"]).stdout == "n1\n"
    assert n1.run(["systemctl", "is-active", "ssh", "dbus"]).stdout == "active\nactive\n"
    assert n1.failed_units() == []
    assert n1.read_file("/etc/machine-id") != n2.read_file("/etc/machine-id")
    assert "10.77.1.1/24" in n1.run(["ip", "-br", "address", "show", "eth1"]).stdout
    n1.write_file("/root/only-here", "x")
    assert n2.run(["test", "-e", "/root/only-here"], check=False).returncode == 1


def test_a_node_cannot_change_the_machine(hosts: Lab) -> None:
    n1 = hosts.node("n1")
    assert n1.run(["date", "-s", "2001-01-01"], check=False).returncode != 0
    assert time.time() > 1_600_000_000
    assert n1.run(["sysctl", "-w", "kernel.panic=1"], check=False).returncode != 0
    assert n1.run(["touch", "/opt/quorate/src/x"], check=False).returncode != 0


def test_commands_carry_input_output_and_status(hosts: Lab) -> None:
    n1 = hosts.node("n1")
    assert n1.run(["sh", "-c", "cat; echo no >&2; exit 7"], input="in", check=False).returncode == 7
    done = n1.run(["sh", "-c", "cat; echo no >&2"], input="in")
    assert (done.stdout, done.stderr) == ("in", "no\n")
    with pytest.raises(LabError, match=r"n1: false ended with 1"):
        n1.run(["false"])


def test_a_command_that_takes_too_long_dies_with_its_children(hosts: Lab) -> None:
    n1 = hosts.node("n1")
    with pytest.raises(WaitTimeoutError, match=r"did not end within 0\.5 s"):
        n1.run(["sh", "-c", "sleep 4242 & sleep 4242"], timeout=0.5)
    wait_for(
        lambda: n1.run(["pgrep", "-f", "sleep 4242$"], check=False).returncode == 1,
        timeout=10,
        what="the command's children to be gone",
    )


def test_a_process_in_a_node_is_ended_with_its_block(hosts: Lab) -> None:
    n1 = hosts.node("n1")
    with n1.start_process(["sh", "-c", "echo ready; exec sleep 4343"]) as process:
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
    assert n1.run(["pgrep", "-f", "^sleep 4343$"], check=False).returncode == 1


def test_root_logs_in_with_the_password_of_the_lab(hosts: Lab) -> None:
    shadow = hosts.node("n1").run(["getent", "shadow", "root"]).stdout
    assert shadow.split(":")[1].startswith("$")


# Network faults


def test_a_cut_node_is_alone_and_the_others_go_on(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    hosts.cut("n3")
    assert not reaches(n1, n3.address(0))
    assert not reaches(n1, n3.address(1))
    wait_not_quorate(n3)
    wait_quorate([n1, n2])
    hosts.heal()
    wait_quorate(hosts.nodes)


def test_one_link_of_two_may_be_cut(hosts: Lab) -> None:
    n1, _, n3 = hosts.nodes
    hosts.cut("n3", link=0)
    assert not reaches(n1, n3.address(0))
    assert reaches(n1, n3.address(1))
    wait_for(
        lambda: "disconnected" in n1.run(["corosync-cfgtool", "-s"], check=False).stdout,
        timeout=30,
        what="corosync to see the dead link",
    )
    wait_quorate(hosts.nodes)  # with the short token of tests the members may part for a moment
    assert not reaches(n1, n3.address(0))


def test_a_split_keeps_groups_apart(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    hosts.split([["n1"], ["n2", "n3"]])
    assert not reaches(n2, n1.address(0))
    assert not reaches(n2, n1.address(1))
    assert reaches(n2, n3.address(0))
    wait_not_quorate(n1)
    wait_quorate([n2, n3])


def test_one_way_means_one_way(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    hosts.cut_one_way("n1", "n2", link=0)
    # addresses are set by hand, so that no address resolution (which needs both ways) is in the play
    _set_neighbour(n1, n2)
    _set_neighbour(n2, n1)
    before = _received(n2), _received(n1)
    assert not reaches(n1, n2.address(0))  # its requests vanish
    assert _received(n2) == before[0]
    assert not reaches(n2, n1.address(0))  # its requests come, the answers vanish
    assert _received(n1) > before[1]
    assert reaches(n1, n3.address(0))
    for node in (n1, n2):
        node.run(["ip", "neigh", "flush", "dev", "eth0", "nud", "permanent"])


def _set_neighbour(node: Node, other: Node) -> None:
    mac = other.read_file("/sys/class/net/eth0/address").strip()
    node.run(["ip", "neigh", "replace", other.address(0), "lladdr", mac, "dev", "eth0", "nud", "permanent"])


def _received(node: Node) -> int:
    """Echo requests that came in."""
    text = node.run(["cat", "/proc/net/snmp"]).stdout
    names, values = [line.split() for line in text.splitlines() if line.startswith("Icmp:")]
    return int(values[names.index("InEchos")])


def test_a_part_of_the_frames_is_dropped(hosts: Lab) -> None:
    n1, n2 = hosts.node("n1"), hosts.node("n2")
    hosts.drop("n2", 50, link=0)
    text = n1.run(["ping", "-c200", "-i0.002", "-W1", n2.address(0)], check=False).stdout
    found = re.search(r"(\d+) received", text)
    assert found, text
    assert 0 < int(found[1]) < 150  # 50 are expected: half of the requests, half of the answers
    hosts.heal("n2")
    assert "200 received" in n1.run(["ping", "-c200", "-i0.002", "-W1", n2.address(0)]).stdout


def test_a_delay_is_added_each_way(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    hosts.delay("n2", 40, link=0)
    assert round_trip(n1, n2.address(0)) >= 80
    assert round_trip(n1, n3.address(0)) < 80
    n2.reboot()  # the fault belongs to the switch: it is there again
    assert round_trip(n1, n2.address(0)) >= 80
    hosts.heal("n2", link=0)
    assert round_trip(n1, n2.address(0)) < 80


def test_faults_of_several_kinds_stand_beside_each_other(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    hosts.delay("n2", 20, link=0)
    hosts.split([["n1"], ["n3"]], link=0)
    assert round_trip(n1, n2.address(0)) >= 40
    assert not reaches(n1, n3.address(0))
    hosts.split([["n1"], ["n2"]], link=0)  # also where a relay stands in the port's place
    assert not reaches(n1, n2.address(0))
    assert reaches(n1, n3.address(0))


def test_unknown_names_are_refused(hosts: Lab) -> None:
    with pytest.raises(LabError, match="no node 'n9'"):
        hosts.cut("n9")
    with pytest.raises(LabError, match="no link 2"):
        hosts.cut("n1", link=2)
    with pytest.raises(LabError, match="n1 stands in two groups"):
        hosts.split([["n1"], ["n1", "n2"]])
    assert hosts.faults().unplugged == set()


# Power


def test_a_power_cut_is_noticed_and_survived(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    n3.write_file("/root/kept", "on disk")
    n3.run(["touch", "/run/lost"])
    n3.power_cut()
    assert not n3.is_on
    with pytest.raises(NodeOffError):
        n3.run(["true"])
    wait_quorate([n1, n2])
    n3.power_on()
    assert n3.read_file("/root/kept") == "on disk"
    assert n3.run(["test", "-e", "/run/lost"], check=False).returncode == 1
    wait_quorate(hosts.nodes)


def test_a_reboot_comes_back_by_itself(hosts: Lab) -> None:
    n2 = hosts.node("n2")
    boots = n2.boots
    boot_id = n2.read_file("/proc/sys/kernel/random/boot_id")
    n2.reboot()
    assert n2.boots == boots + 1
    assert n2.read_file("/proc/sys/kernel/random/boot_id") != boot_id
    wait_quorate(hosts.nodes)


def test_a_shutdown_is_clean(hosts: Lab) -> None:
    n3 = hosts.node("n3")
    n3.power_off()
    assert not n3.is_on
    assert "Stopped target" in n3.journal(None, "-n", "200")
    wait_quorate(hosts.nodes[:2])


def test_a_cut_outlasts_a_power_cycle(hosts: Lab) -> None:
    n1, _, n3 = hosts.nodes
    hosts.cut("n3", link=1)
    n3.power_cut()
    n3.power_on()
    assert reaches(n1, n3.address(0))
    assert not reaches(n1, n3.address(1))


def test_a_frozen_node_is_silent_and_goes_on_when_thawed(hosts: Lab) -> None:
    n1, n2, n3 = hosts.nodes
    n3.freeze()
    wait_quorate([n1, n2])
    assert not reaches(n1, n3.address(0)) or n3.is_frozen  # its kernel may answer: it is the machine's
    n3.thaw()
    wait_quorate(hosts.nodes)


# Labs


def test_labs_stand_side_by_side_and_go_without_a_trace(new_lab: Callable[..., Lab]) -> None:
    one = new_lab(nodes=1, daemons=False)
    two = new_lab(nodes=2, daemons=False)
    assert not reaches(one.node("n1"), "10.77.0.2")  # only the other lab has an n2
    assert reaches(two.node("n1"), "10.77.0.2")
    name, record = two.name, two.record
    two.destroy()
    assert not (cgroup_root() / f"quorate-lab-{name}").exists()
    assert not record.dir.exists()
    assert [entry.name for entry in Path("/run/netns").iterdir() if name in entry.name] == []
    assert one.node("n1").is_on


def test_what_a_crashed_lab_left_is_taken_away() -> None:
    program = (
        "import sys, time\n"
        "from lab import Lab\n"
        "lab = Lab(sys.argv[1], nodes=1, daemons=False)\n"
        "lab.start()\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    name = f"crash-{os.getpid()}"
    argv = [sys.executable, "-c", program, name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    init = Lab.open(name).node("n1").init
    started = start_time(init)
    assert started
    assert Lab.open(name).record.is_stale()
    with Lab(nodes=1, boot=[], daemons=False):  # starting any lab cleans up
        assert name not in records.names()
    assert not is_alive(init, started)
