"""What is found wrong with a corosync.conf, and how it is changed (pvecm 2.4, 2.5, 2.7, 3.7, 4.1)."""

import pytest

from quorate import reports
from quorate.corosync.conf import ConfError, CorosyncConf, parse, write
from quorate.corosync.conf_edit import (
    Link,
    NewNode,
    add_node,
    find_node,
    new_cluster,
    raise_version,
    remove_node,
    resolve_links,
)
from quorate.corosync.conf_verify import resolve, verify

HOSTS = {"two": ["fd00::2", "10.0.0.2"], "six": ["fd00::6"]}


def lookup(name: str) -> list[str]:
    if name not in HOSTS:
        raise OSError(f"no such host {name}")
    return HOSTS[name]


def cluster(*, links: int = 1) -> CorosyncConf:
    ends = {number: Link(f"10.{number}.0.1") for number in range(links)}
    return parse(write(new_cluster("test", NewNode("n1", ends), token_coefficient=125)))


def texts(conf: CorosyncConf, new: NewNode) -> list[str]:
    return reports.errors(add_node(conf, new, lookup).reports)


def test_a_new_cluster_has_the_defaults() -> None:
    node = NewNode("n1", {0: Link("10.77.0.1", 15), 1: Link("10.20.20.1", 0)})
    text = write(raise_version(new_cluster("test", node, token_coefficient=125))).decode()
    assert "config_version: 1\n" in text
    assert "    knet_link_priority: 15\n    linknumber: 0\n" in text
    assert text.count("knet_link_priority") == 1
    assert "  node {\n    name: n1\n    nodeid: 1\n    quorum_votes: 1\n    ring0_addr: 10.77.0.1\n" in text
    assert verify(parse(text.encode()), lookup) == []


@pytest.mark.parametrize(
    ("version", "name", "expected"),
    [
        (None, "two", "fd00::2"),
        ("ipv4", "two", "10.0.0.2"),
        ("ipv4", "six", None),
        ("IPV6", "two", "fd00::2"),
        ("ipv4-6", "two", "10.0.0.2"),
        ("ipv4-6", "six", "fd00::6"),
        ("ipv6-4", "nohost", None),
        ("ipv4", "fd00::9", "fd00::9"),
    ],
)
def test_addresses_resolve_as_corosync_does_it(version: str | None, name: str, expected: str | None) -> None:
    assert resolve(name, {} if version is None else {"ip_version": version}, lookup) == expected


def test_an_empty_file_has_no_nodes_and_no_totem() -> None:
    assert reports.errors(verify(CorosyncConf(), lookup)) == ["no nodes found"]
    conf = parse(b"nodelist { node { name: a } }")
    assert reports.errors(verify(conf, lookup)) == ["no totem found"]


def test_every_fault_is_found_at_once() -> None:
    conf = parse(
        b"totem { version: 2 interface { linknumber: 0 } } nodelist {"
        b" node { name: a nodeid: 1 ring0_addr: two ring1_addr: nohost }"
        b" node { name: b nodeid: 1 } }"
    )
    found = verify(conf, lookup)
    assert reports.errors(found) == [
        "node 'b' is missing address for interface number 0",
        "node 'a' has 'ring1_addr', but there is no interface number 1 configured",
    ]
    assert reports.warnings(found) == [
        (
            "warning: authentication/encryption is not explicitly enabled"
            " (secauth / crypto_cipher / crypto_hash)"
        ),
        (
            "warning: ring0_addr 'two' for node 'a' resolves to 'fd00::2'"
            " - consider replacing it with the currently resolved IP address for stability"
        ),
        (
            "warning: unable to resolve ring1_addr 'nohost' for node 'a' to an IP address according to"
            " Corosync's resolve strategy - cluster could fail on restart!"
        ),
        "warning: nodes 'a' and 'b' have the same nodeid 1",
    ]
    assert list(reports.numbered(found)) == [
        "warning0",
        "warning1",
        "warning2",
        "warning3",
        "error0",
        "error1",
    ]


def test_without_interfaces_every_node_needs_the_links_of_the_others() -> None:
    conf = parse(
        b"totem { secauth: on } nodelist { node { name: a ring0_addr: 10.0.0.1 ring1_addr: 10.1.0.1 }"
        b" node { name: b ring0_addr: 10.0.0.2 } }"
    )
    assert reports.errors(verify(conf, lookup)) == [
        "node 'b' is missing link 1, which is configured on other nodes"
    ]


def test_a_node_is_added_with_the_smallest_free_id() -> None:
    addition = add_node(cluster(), NewNode("n2", fallback_ip="10.0.0.2"), lookup)
    assert addition.reports == []
    assert addition.entry == {"name": "n2", "nodeid": "2", "quorum_votes": "1", "ring0_addr": "10.0.0.2"}
    assert addition.conf is not None
    assert list(addition.conf.nodes) == ["n1", "n2"]


def test_names_are_stored_as_addresses_and_checked_as_such() -> None:
    conf = cluster()
    addition = add_node(conf, NewNode("n2", {0: Link("two", 9)}), lookup)
    assert addition.entry["ring0_addr"] == "10.0.0.2"
    assert addition.conf is not None
    assert texts(addition.conf, NewNode("n3", {0: Link("two")})) == [
        "corosync: address '10.0.0.2' already used on link ring0_addr by node 'n2'"
    ]
    assert texts(conf, NewNode("n3", {0: Link("nohost")}))[0].startswith("link0: cannot use 'nohost'")


@pytest.mark.parametrize(
    ("links", "new", "expected"),
    [
        (
            2,
            NewNode("n2", {0: Link("10.0.0.2")}),
            "corosync: link 1 exists in cluster config but wasn't specified for new node",
        ),
        (
            1,
            NewNode("n2", {0: Link("10.0.0.2"), 3: Link("10.3.0.2")}),
            "corosync: link 3 specified for new node doesn't exist in cluster config",
        ),
        (1, NewNode("n2"), "no links and no fallback ip (new_node_ip) given, cannot join cluster"),
        (
            2,
            NewNode("n2", fallback_ip="10.0.0.2"),
            (
                "no links given but multiple links found on other nodes,"
                " fallback only supported on single-link clusters"
            ),
        ),
        (2, NewNode("n2", {0: Link("10.0.0.2")}, api_version=0), "cluster has 2 links, but only 1 given"),
        (1, NewNode("n1", fallback_ip="10.0.0.9"), "can't add existing node 'n1'"),
        (1, NewNode("n1", fallback_ip="10.0.0.9", force=True, nodeid=7), "can't add existing node 'n1'"),
        (
            1,
            NewNode("n2", fallback_ip="10.0.0.1"),
            "corosync: address '10.0.0.1' already used on link ring0_addr by node 'n1'",
        ),
        (1, NewNode("n2", fallback_ip="10.0.0.2", nodeid=1), "corosync: nodeid 1 already used by node 'n1'"),
    ],
)
def test_refusals(links: int, new: NewNode, expected: str) -> None:
    assert texts(cluster(links=links), new) == [expected]


def test_force_overwrites_the_same_node() -> None:
    addition = add_node(cluster(), NewNode("n1", fallback_ip="10.0.0.9", force=True), lookup)
    assert addition.overwrites
    assert addition.entry["ring0_addr"] == "10.0.0.9"


def test_votes_of_zero_are_left_out() -> None:
    addition = add_node(cluster(), NewNode("n2", fallback_ip="10.0.0.2", votes=0), lookup)
    assert "quorum_votes" not in addition.entry


def test_removing_finds_a_node_by_name_or_address() -> None:
    conf = cluster()
    assert find_node(conf, "n1") == find_node(conf, "10.0.0.1") == "n1"
    assert find_node(conf, "n9") is None
    assert remove_node(conf, "n1").nodes == {}
    assert list(conf.nodes) == ["n1"]


def test_the_version_must_be_there() -> None:
    with pytest.raises(ConfError, match=r"^invalid corosync config: unable to read config version$"):
        raise_version(CorosyncConf(main={"totem": {}}))


def test_links_keep_their_priority_when_resolved() -> None:
    links, found = resolve_links({1: Link("two", 20)}, {"ip_version": "ipv4-6"}, lookup)
    assert (links, found) == ({1: Link("10.0.0.2", 20)}, [])
