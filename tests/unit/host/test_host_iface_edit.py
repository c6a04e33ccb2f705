"""Changing one interface leaves everything else of /etc/network/interfaces as it was (pvecm 6.8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.host.ifaceedit import change, create, defined, left_alone, remove
from quorate.host.ifacefile import parse, render
from quorate.host.interfaces import parse_interfaces

TEXT = """\
# made by the installer
auto lo
iface lo inet loopback

auto eno1 eno2
iface eno1 inet manual

# The cards of the storage network
iface eno2 inet manual
	ethtool -G rx 4096

auto vmbr0
iface vmbr0 inet static
	address 10.0.0.1/24
	gateway 10.0.0.254
	bridge_ports eno1
	bridge-stp off
	post-up ip route add 10.9.0.0/16 \\
		via 10.0.0.9
#the main one
iface vmbr0 inet6 static
	address fd00::1
	netmask 64

source /etc/network/interfaces.d/*
"""


def _one(text: str, name: str) -> dict[str, Any]:
    return next(interface for interface in parse_interfaces(text) if interface["iface"] == name)


def _difference(before: str, after: str) -> tuple[list[str], list[str]]:
    """Lines that went and lines that came, in order."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


# -- the file as stanzas --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *("auto", "iface", "inet", "inet6", "static", "manual", "dhcp", "source", "mapping", "allow-hotplug"),
        *("eno1", "vmbr0", "lo", "address", "10.0.0.1/24", "netmask", "gateway", "bridge-ports", "up", "#"),
        *("\n", "\n\n", "\\\n", "\\", "\r\n", " ", "\t", "\x0b", "\x0c", "\u2028", "\udce9", "# x\n"),
    ]
)
ANY_TEXT = st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=60)


@given(ANY_TEXT)
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert render(parse(text)) == text


def test_where_stanzas_begin_and_end() -> None:
    stanzas = parse(TEXT)
    assert [stanza.words for stanza in stanzas] == [
        [],
        ["auto", "lo"],
        ["iface", "lo", "inet", "loopback"],
        ["auto", "eno1", "eno2"],
        ["iface", "eno1", "inet", "manual"],
        ["iface", "eno2", "inet", "manual"],
        ["auto", "vmbr0"],
        ["iface", "vmbr0", "inet", "static"],
        ["iface", "vmbr0", "inet6", "static"],
        ["source", "/etc/network/interfaces.d/*"],
    ]
    main = stanzas[7]
    assert [(line.key, line.value) for line in main.options][-1] == (
        "post_up",
        "ip route add 10.9.0.0/16 \t\tvia 10.0.0.9",
    )
    assert [line.raw for line in main.comments] == ["#the main one\n"]
    # Behind a blank line a comment is about what follows.
    assert stanzas[4].comments == []


def test_a_file_that_ends_in_the_middle_of_a_line() -> None:
    for text in ("iface a inet manual\n up x \\", "iface a inet manual\n up x \\\n", "iface a inet manual"):
        changed = change(text, "a", {"mtu": "9000"})
        assert _one(changed, "a")["mtu"] == "9000"
        assert _one(changed, "a").get("options") == _one(text, "a").get("options")


# -- changes --------------------------------------------------------------------------------------------


def test_only_the_lines_that_change() -> None:
    changed = change(TEXT, "vmbr0", {"cidr": "10.0.0.2/16", "bridge_ports": "eno1 eno2", "mtu": "9000"})
    assert _difference(TEXT, changed) == (
        ["\taddress 10.0.0.1/24", "\tbridge_ports eno1"],
        ["\taddress 10.0.0.2/16", "\tbridge_ports eno1 eno2", "\tmtu 9000"],
    )
    assert change(changed, "vmbr0", {"mtu": None, "cidr": "10.0.0.1/24", "bridge_ports": "eno1"}) == TEXT


def test_a_netmask_of_its_own_goes_with_the_address_that_it_was_for() -> None:
    text = TEXT + "iface old inet static\n address 10.1.0.1\n netmask 255.255.0.0\n broadcast 10.1.255.255\n"
    assert change(text, "old", {"cidr": "10.1.0.1/16"}) == text
    assert _difference(text, change(text, "old", {"cidr": "10.2.0.1/24"})) == (
        [" address 10.1.0.1", " netmask 255.255.0.0", " broadcast 10.1.255.255"],
        [" address 10.2.0.1/24"],
    )


def test_further_addresses_stay() -> None:
    text = "iface a inet static\n address 10.0.0.1/24\n address 10.0.1.1/24\n"
    assert _one(text, "a")["options"] == ["address 10.0.1.1/24"]
    changed = change(text, "a", {"cidr": "10.0.0.2/24"})
    assert changed == "iface a inet static\n address 10.0.0.2/24\n address 10.0.1.1/24\n"
    assert change(text, "a", {"cidr": None}) == "iface a inet static\n address 10.0.1.1/24\n"


def test_addresses_taken_away() -> None:
    changed = change(TEXT, "vmbr0", {"cidr": None, "cidr6": None})
    shown = _one(changed, "vmbr0")
    assert (shown["families"], shown["method"], shown["bridge_ports"]) == (["inet"], "manual", "eno1")
    assert not {"address", "address6", "gateway"} & shown.keys()
    assert "\n\nsource " in changed
    # The gateway alone
    assert _difference(TEXT, change(TEXT, "vmbr0", {"gateway": None})) == (["\tgateway 10.0.0.254"], [])


def test_the_second_family_is_added_beside_the_first() -> None:
    text = "auto a\niface a inet manual\n\n# about b\nauto b\niface b inet6 static\n address fd00::1/64\n"
    assert change(text, "a", {"cidr6": "fd00::2/64", "gateway6": "fd00::fe"}) == (
        "auto a\niface a inet manual\n\niface a inet6 static\n\taddress fd00::2/64\n\tgateway fd00::fe\n"
        "\n# about b\nauto b\niface b inet6 static\n address fd00::1/64\n"
    )
    assert change(text, "b", {"cidr": "10.0.0.1/8"}).endswith(
        "auto b\niface b inet static\n\taddress 10.0.0.1/8\n\niface b inet6 static\n address fd00::1/64\n"
    )


def test_an_address_makes_it_static() -> None:
    changed = change("iface a inet dhcp inherits b\n hostname x\n", "a", {"cidr": "10.0.0.1/8"})
    assert changed == "iface a inet static inherits b\n\taddress 10.0.0.1/8\n hostname x\n".replace(
        "\taddress", " address"
    )
    continued = change("iface a \\\n inet dhcp\n", "a", {"cidr": "10.0.0.1/8"})
    assert _one(continued, "a")["method"] == "static"


def test_the_option_that_counts_is_changed() -> None:
    text = "iface a inet manual\n\tmtu 1500\n\tmtu 1500\n"
    changed = change(text, "a", {"mtu": "9000"})
    assert changed == "iface a inet manual\n\tmtu 1500\n\tmtu 9000\n"
    assert _one(changed, "a")["mtu"] == "9000"
    assert change(text, "a", {"mtu": None}) == "iface a inet manual\n"


def test_notes() -> None:
    changed = change(TEXT, "vmbr0", {"comments": "one\r\ntwo\\\n", "comments6": "six"})
    assert _difference(TEXT, changed) == (["#the main one"], ["#one", "#two\\ ", "#six"])
    assert _one(changed, "vmbr0")["comments"] == "one\ntwo\\ \n"
    assert _one(changed, "vmbr0")["comments6"] == "six\n"
    assert change(TEXT, "vmbr0", {"comments": "the main one"}) == TEXT
    assert "comments" not in _one(change(TEXT, "vmbr0", {"comments": None}), "vmbr0")
    assert "# The cards of the storage network\n" in change(TEXT, "eno1", {"comments": None})


def test_starting_at_boot() -> None:
    assert _difference(TEXT, change(TEXT, "eno1", {}, automatic=False)) == (["auto eno1 eno2"], ["auto eno2"])
    off = change(TEXT, "vmbr0", {}, automatic=False)
    assert _difference(TEXT, off) == (["auto vmbr0"], [])
    assert change(off, "vmbr0", {}, automatic=True) == TEXT
    assert change(TEXT, "vmbr0", {}, automatic=True) == TEXT
    assert change(TEXT, "vmbr0", {}) == TEXT
    spread = "auto a \\\n  b\niface b inet manual\n"
    assert parse_interfaces(change(spread, "b", {}, automatic=False))[0].get("autostart") is None
    assert "a" in parse(change(spread, "b", {}, automatic=False))[0].words


# -- new ones and removed ones --------------------------------------------------------------------------


def test_a_new_bridge() -> None:
    patch = {"bridge_stp": "off", "bridge_fd": "0", "cidr": "10.5.0.1/24", "comments": "guests"}
    changed = create(TEXT, "vmbr5", {"bridge_ports": "none", **patch}, automatic=True)
    assert changed.removeprefix(TEXT) == (
        "\nauto vmbr5\niface vmbr5 inet static\n\taddress 10.5.0.1/24\n\tbridge-ports none\n"
        "\tbridge-stp off\n\tbridge-fd 0\n#guests\n"
    )
    assert create("", "a", {}, automatic=False) == "iface a inet manual\n"


def test_removal_takes_all_of_it_and_nothing_else() -> None:
    assert remove(TEXT, "vmbr0") == TEXT[: TEXT.index("auto vmbr0")] + TEXT[TEXT.index("source ") :]
    gone = remove(TEXT, "eno1")
    assert "auto eno2\n" in gone
    assert "# The cards of the storage network\niface eno2" in gone
    assert "eno1" not in defined(gone)


def test_removal_from_lists_of_every_kind() -> None:
    text = "allow-hotplug a b\nallow-ovs a\nauto a\niface a inet manual\niface b inet manual\n"
    assert remove(text, "a") == "allow-hotplug b\niface b inet manual\n"


def test_forms_that_are_left_alone() -> None:
    text = "iface swp1\n address 10.0.0.1/24\niface a inet manual\niface x ipx static\n"
    assert left_alone(text) == {"swp1", "x"}
    assert defined(text) == {"swp1", "a", "x"}
    assert render(parse(change(text, "a", {"mtu": "9000"}))).startswith("iface swp1\n address 10.0.0.1/24\n")


# -- whatever the file is -------------------------------------------------------------------------------

NAMES = ("eno1", "vmbr0", "vmbr1", "bond0.7")
OPTION = st.sampled_from(
    [
        *("address 10.0.0.1/24", "address 10.0.0.9", "netmask 255.0.0.0", "gateway 10.0.0.254", "mtu 1500"),
        *("bridge-ports eno1", "bridge_ports none", "bridge-vids 2-4094", "up echo hi", "dns-search a.b"),
        *("hwaddress \\\n\t02:00:00:00:00:01", "post-up x # y", "pointopoint 10.0.0.2"),
    ]
)
REST = st.sampled_from(["#note", "  # aside", "", "#", "# a longer note", "\t"])


@st.composite
def stanzas(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(NAMES))
    family = draw(st.sampled_from(["inet", "inet6"]))
    method = draw(st.sampled_from(["static", "manual", "dhcp", "auto"]))
    lines = [f"iface {name} {family} {method}"]
    indent = draw(st.sampled_from(["\t", "    ", ""]))
    lines += [f"{indent}{option}" for option in draw(st.lists(OPTION, max_size=5))]
    lines += draw(st.lists(REST, max_size=3))
    return "\n".join(lines) + "\n"


OTHER = st.sampled_from(
    [
        *("auto lo\n", "auto eno1 vmbr0\n", "auto vmbr1\n", "allow-hotplug eno1 bond0.7\n", "\n", "# text\n"),
        *(
            "source /etc/network/interfaces.d/*\n",
            "mapping eth0\n\tscript x\n",
            "iface swp1\n\taddress 1.2.3.4/8\n",
        ),
        *("auto \\\n  vmbr0 vmbr1\n", "no-scripts vmbr0\n"),
    ]
)
FILES = st.tuples(
    st.lists(stanzas() | OTHER, max_size=8).map("".join), st.sampled_from(["", "# the end", "\n"])
).map("".join)
CIDR = st.none() | st.sampled_from(["10.1.0.1/16", "10.0.0.1/24"])
CIDR6 = st.none() | st.sampled_from(["fd00::1/64", "fd00::2/48"])
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "cidr": CIDR,
        "cidr6": CIDR6,
        "mtu": st.none() | st.just("9000"),
        "bridge_ports": st.none() | st.sampled_from(["none", "eno1 eno2"]),
        "bridge_vids": st.none() | st.just("7"),
        "comments": st.none() | st.sampled_from(["one", "one\ntwo\n", "#"]),
    },
)
UNDERSTOOD = ("address", "netmask", "gateway", "mtu", "bridge", "broadcast")


def _others(text: str, name: str) -> list[str]:
    """What the file says beside the interface and the lists that it may be named in; blank lines aside."""
    kept = []
    for stanza in parse(text):
        own = stanza.iface == name and stanza.family is not None
        listing = stanza.keyword == "auto" or stanza.keyword.startswith("allow-")
        for number, line in enumerate(stanza.lines):
            if (own and number < stanza.end) or (listing and number == 0) or not line.raw.strip():
                continue
            kept.append(line.raw.rstrip("\n"))
    return kept


def _shown(text: str, but: str) -> list[dict[str, object]]:
    left = [interface for interface in parse_interfaces(text) if interface["iface"] != but]
    return [{key: value for key, value in each.items() if key != "priority"} for each in left]


def _address_options(text: str, name: str) -> list[str]:
    """Further addresses: when the first is taken away the next one takes its place."""
    shown = _one(text, name)
    return [*shown.get("options", []), *shown.get("options6", [])]


def _unknown_options(text: str, name: str) -> list[str]:
    return [
        line.text
        for stanza in parse(text)
        if stanza.iface == name and stanza.family is not None
        for line in stanza.options
        if not line.text.startswith(UNDERSTOOD)
    ]


@given(FILES, st.sampled_from(NAMES), PATCHES, st.none() | st.booleans())
def test_a_change_is_what_was_asked_for_and_no_more(
    text: str, name: str, patch: dict[str, str | None], automatic: bool | None
) -> None:
    if not any(interface["iface"] == name for interface in parse_interfaces(text)):
        return
    before = _one(text, name)
    changed = change(text, name, patch, automatic=automatic)
    after = _one(changed, name)
    assert _others(changed, name) == _others(text, name)
    assert _shown(changed, name) == _shown(text, name)
    assert _unknown_options(changed, name) == _unknown_options(text, name)
    if "address" not in " ".join(_address_options(text, name)):
        assert change(changed, name, patch, automatic=automatic) == changed
    if automatic is not None:
        assert after.get("autostart", 0) == automatic
    for field in ("cidr", "cidr6"):
        if field not in patch:
            assert after.get(field) == before.get(field)
        elif patch[field] is not None:
            assert after[field] == patch[field]
            assert after[f"method{field[4:]}"] == "static"
    for field in ("mtu", "bridge_vids", "bridge_ports"):
        wanted = patch.get(field, before.get(field))
        assert after.get(field) == ("" if wanted == "none" else wanted)
    if patch.get("comments") and "inet" in before["families"]:
        assert after["comments"].rstrip("\n") == (patch["comments"] or "").rstrip("\n")


@given(FILES, st.sampled_from(NAMES))
def test_a_removal_removes_one(text: str, name: str) -> None:
    gone = remove(text, name)
    assert name not in defined(gone)
    assert _others(gone, name) == _others(text, name)
    assert _shown(gone, name) == _shown(text, name)
    for stanza in parse(gone):
        if stanza.keyword == "auto" or stanza.keyword.startswith("allow-"):
            assert name not in stanza.words[1:]


@given(FILES, PATCHES, st.booleans())
def test_what_was_added_can_be_taken_back_without_a_trace(
    text: str, patch: dict[str, str | None], automatic: bool
) -> None:
    made = create(text, "vmbr9", patch, automatic=automatic)
    assert made.startswith(text)
    assert remove(made, "vmbr9") == (text if text.endswith("\n") or not text else f"{text}\n")


@pytest.mark.parametrize("name", ["eno1", "vmbr0"])
def test_bytes_that_are_no_text_survive(name: str) -> None:
    text = b"# caf\xe9\n".decode("utf-8", "surrogateescape") + TEXT
    changed = change(text, name, {"mtu": "9000"}).encode("utf-8", "surrogateescape")
    assert changed.startswith(b"# caf\xe9\n")
