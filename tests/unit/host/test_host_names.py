"""resolv.conf and hosts as texts (pvecm 6.8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.host.names import hosts_problem, parse_resolv_conf, set_resolv_conf

TEXT = """\
# by hand
domain old
search example.org b
nameserver 10.0.0.1
options edns0
nameserver 10.0.0.2
"""


def test_name_servers() -> None:
    text = "# by hand\ndomain old\nsearch example.org b\n" + "".join(
        f"nameserver 10.0.0.{n}\n" for n in range(1, 5)
    )
    assert parse_resolv_conf(text) == {
        "search": "example.org",
        "dns1": "10.0.0.1",
        "dns2": "10.0.0.2",
        "dns3": "10.0.0.3",
    }
    assert parse_resolv_conf("search\nnameserver\n") == {}


def test_other_lines_stay_where_they_are() -> None:
    assert set_resolv_conf(TEXT, "example.com", ["10.0.0.3"]) == (
        "# by hand\nsearch example.com\nnameserver 10.0.0.3\noptions edns0\n"
    )


def test_a_search_list_that_begins_so_stays_whole() -> None:
    changed = set_resolv_conf(TEXT, "example.org", ["10.0.0.2"])
    assert "search example.org b\n" in changed
    assert parse_resolv_conf(changed) == {"search": "example.org", "dns1": "10.0.0.2"}


def test_what_is_so_already_changes_nothing() -> None:
    assert set_resolv_conf(TEXT, "example.org", ["10.0.0.1", "10.0.0.2"]) == TEXT


def test_an_empty_file_and_one_without_an_end() -> None:
    assert set_resolv_conf("", "a.b", ["::1"]) == "search a.b\nnameserver ::1\n"
    assert set_resolv_conf("options x", "a.b", []) == "options x\nsearch a.b\n"


@given(
    st.lists(st.sampled_from([*TEXT.splitlines(), "", " ", "sortlist 1.2.3.4", "; x", "nameserver"])),
    st.sampled_from(["example.org", "b.example", "."]),
    st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "::1"]), max_size=3),
)
def test_every_change_gives_what_was_asked_for(lines: list[str], search: str, servers: list[str]) -> None:
    text = "\n".join(lines)
    changed = set_resolv_conf(text, search, servers)
    numbered = {f"dns{number}": server for number, server in enumerate(servers, 1)}
    assert parse_resolv_conf(changed) == {"search": search, **numbered}
    assert set_resolv_conf(changed, search, servers) in (changed, f"{changed}\n")

    def others(text: str) -> list[str]:
        keys = ("nameserver", "search", "domain")
        return [line for line in text.splitlines() if not line.startswith(keys)]

    assert others(changed) == others(text)


def test_a_hosts_file() -> None:
    assert (
        hosts_problem("127.0.0.1\tlocalhost\n\n# a comment\nfe80::1%eth0 n1 n1.example.org # mine\n") is None
    )
    assert hosts_problem("") is None
    assert hosts_problem("::1 localhost\r\n") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("127.0.0.1 localhost\nn1 10.0.0.1\n", "line 2 does not begin with an IP address: 'n1'"),
        ("10.0.0.256 n1", "line 1 does not begin with an IP address: '10.0.0.256'"),
        ("10.0.0.1 # n1", "line 1 names no host for 10.0.0.1"),
        ("10.0.0.1 n1\0", "line 1 has a control character"),
        ("# \x1b[2J", "line 1 has a control character"),
    ],
)
def test_what_is_no_hosts_file(text: str, problem: str) -> None:
    assert hosts_problem(text) == problem
