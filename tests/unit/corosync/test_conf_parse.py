"""The grammar of corosync.conf and its canonical text (pvecm 2.1, 2.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.corosync.conf import ConfError, CorosyncConf, Section, Value, node_links, parse, write

CANONICAL = b"""logging {
  debug: off
  to_syslog: yes
}

nodelist {
  node {
    name: n1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 10.77.0.1
    ring1_addr: 10.20.20.1
  }
}

quorum {
  provider: corosync_votequorum
}

totem {
  cluster_name: test
  config_version: 1
  interface {
    knet_link_priority: 15
    linknumber: 0
  }
  interface {
    knet_link_priority: 20
    linknumber: 1
  }
  ip_version: ipv4-6
  link_mode: passive
  secauth: on
  token_coefficient: 125
  version: 2
}

"""


def test_a_canonical_file_round_trips_identically() -> None:
    conf = parse(CANONICAL)
    assert write(conf) == CANONICAL
    assert conf.config_version == 1
    assert conf.cluster_name == "test"
    assert node_links(conf.nodes["n1"]) == {0: "10.77.0.1", 1: "10.20.20.1"}
    assert conf.interfaces["1"] == {"knet_link_priority": "20", "linknumber": "1"}


def test_an_empty_file_is_an_empty_object() -> None:
    assert parse(b" \n# nothing\n").main == {}
    assert write(CorosyncConf()) == b""


def test_comments_and_odd_spacing_go() -> None:
    text = b"totem\n{ # c {\r\n version:  2\tcluster_name:\n x#y\n }"
    assert parse(text).main == {"totem": {"version": "2", "cluster_name": "x", "interface": {}}}


def test_the_digest_is_of_the_raw_text() -> None:
    assert parse(b"").digest == "da39a3ee5e6b4b0d3255bfef95601890afd80709"
    assert parse(b"a: b").digest != parse(b"a:  b").digest


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"a { name: a b\n}", "missing ':' after key 'b'"),
        (b"a { version:2 }", "missing ':' after key 'version:2'"),
        (b"}", "parse error - uncexpected '}'"),
        (b"a: b }", "parse error - uncexpected '}'"),
        (b"a:", "parse error - no value for 'a'"),
        (b"a { } a { }", "section 'a' already exists and not marked as array!"),
        (b"totem { interface: x }", "parse error - 'totem.interface' must be a section, not a value"),
    ],
)
def test_refused(text: bytes, error: str) -> None:
    with pytest.raises(ConfError) as refused:
        parse(text)
    assert str(refused.value) == error


@pytest.mark.parametrize(
    ("text", "main"),
    [
        (b"a: val{ }".replace(b" }", b""), {"a": "val{"}),
        (b"b: { c: d", {"b:": {"c": "d"}}),
        (b"a { b: c", {"a": {"b": "c"}}),
        (b"a: 1 a: 2", {"a": "2"}),
        (b"x { y: } }", {"x": {"y": "}"}}),
        (b"foo { node { a: b } node { c: d } }", {"foo": {"node": [{"a": "b"}, {"c": "d"}]}}),
        (b"nodelist { }", {"nodelist": {"node": {}}}),
        (
            b"nodelist { node { name: n nodeid: 1 } node { name: n nodeid: 2 } }",
            {"nodelist": {"node": {"n": {"name": "n", "nodeid": "2"}}}},
        ),
        (
            b"nodelist { node { ring0_addr: 1.2.3.4 } }",
            {"nodelist": {"node": {"1.2.3.4": {"ring0_addr": "1.2.3.4"}}}},
        ),
        (
            b"totem { interface { ringnumber: 0 } }",
            {"totem": {"interface": {"0": {"ringnumber": "0"}}}},
        ),
    ],
)
def test_quirks(text: bytes, main: Section) -> None:
    assert parse(text).main == main


@pytest.mark.parametrize("value", ["a b", "", "{", "a#b", "a\nb", "\u20ac"])
def test_what_the_format_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(ConfError, match="cannot be written"):
        write(CorosyncConf(main={"totem": {"k": value}}))


def test_an_undefined_value_is_refused() -> None:
    broken: dict[str, object] = {"totem": {"k": None}}
    with pytest.raises(ConfError, match="got undefined value for key 'k'!"):
        write(CorosyncConf(main=broken))  # type: ignore[arg-type]


TOKENS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), min_size=1, max_size=8
)
VALUES = TOKENS.filter(lambda token: token != "{")
NAMES = TOKENS.filter(lambda token: token not in ("node", "interface", "nodelist", "totem", "{", "}"))
FLAT = st.dictionaries(NAMES, VALUES, max_size=4)


def sections(depth: int) -> st.SearchStrategy[Section]:
    if depth == 0:
        return st.dictionaries(NAMES, VALUES, max_size=3)
    inner: st.SearchStrategy[Value] = st.one_of(VALUES, sections(depth - 1))
    return st.dictionaries(NAMES, inner, max_size=3)


@st.composite
def confs(draw: st.DrawFn) -> CorosyncConf:
    main = draw(sections(2))
    nodes: Section = {}
    for name in draw(st.sets(TOKENS.filter(lambda t: t != "{"), max_size=3)):
        nodes[name] = {**draw(FLAT), "name": name}
    main["nodelist"] = {**draw(FLAT), "node": nodes}
    interfaces: Section = {
        str(number): {**draw(FLAT), "linknumber": str(number)} for number in draw(st.sets(st.integers(0, 7)))
    }
    main["totem"] = {**draw(FLAT), "interface": interfaces}
    return CorosyncConf(main=main)


@given(confs())
def test_parse_of_write_is_the_same(conf: CorosyncConf) -> None:
    text = write(conf)
    assert parse(text).main == conf.main
    assert write(parse(text)) == text


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        conf = parse(raw)
    except ConfError:
        return
    try:
        again = parse(write(conf))
    except ConfError:
        return
    assert write(again) == write(conf)


@pytest.mark.parametrize("brace", ["{", "}"])
def test_a_section_named_like_a_brace_is_not_written(brace: str) -> None:
    """Found by fuzzing: what was written then could not be parsed, or was another file."""
    with pytest.raises(ConfError, match="cannot be written"):
        write(CorosyncConf(main={"totem": {brace: {"key": "value"}}}))
