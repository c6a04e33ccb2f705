"""/etc/default/pveproxy: who may connect, whose word about clients counts, and mistakes in the file."""

from __future__ import annotations

import pytest

from quorate.api.proxyconfig import ProxyConfig, parse_proxy_config


def test_all_settings() -> None:
    config = parse_proxy_config(
        """\
# comment
ALLOW_FROM="10.0.0.0/8, 2001:db8::/32"
DENY_FROM='all'
POLICY="deny"   # and so on
LISTEN_IP="192.0.2.1"
CIPHERS="ECDHE+AESGCM"
CIPHERSUITES="TLS_AES_256_GCM_SHA384"
DHPARAMS="/etc/dh.pem"
HONOR_CIPHER_ORDER=0
DISABLE_TLS_1_2=1
DISABLE_TLS_1_3=no
COMPRESSION=0
TLS_KEY_FILE=/secrets/key.pem
export PROXY_REAL_IP_HEADER="X-Forwarded-For"
PROXY_REAL_IP_ALLOW_FROM="127.0.0.1"
MAX_WORKERS=5
"""
    )
    assert config.warnings == ()
    assert (config.listen_ip, config.ciphers, config.dhparams) == ("192.0.2.1", "ECDHE+AESGCM", "/etc/dh.pem")
    assert (config.ciphersuites, config.tls_key_file) == ("TLS_AES_256_GCM_SHA384", "/secrets/key.pem")
    assert (config.honor_cipher_order, config.disable_tls_1_2, config.disable_tls_1_3) == (False, True, False)
    assert config.compression is False
    assert config.real_ip_header == "X-Forwarded-For"


@pytest.mark.parametrize(
    ("text", "client", "allowed"),
    [
        ("", "192.0.2.1", True),
        ("POLICY=deny", "192.0.2.1", False),
        ("ALLOW_FROM=192.0.2.0/24", "198.51.100.1", True),  # neither list: the policy, which allows
        ("ALLOW_FROM=192.0.2.0/24\nPOLICY=deny", "192.0.2.9", True),
        ("ALLOW_FROM=192.0.2.0/24\nPOLICY=deny", "198.51.100.1", False),
        ("ALLOW_FROM=192.0.2.0/24\nDENY_FROM=all", "192.0.2.9", True),  # both lists: the policy
        ("ALLOW_FROM=192.0.2.0/24\nDENY_FROM=all", "198.51.100.1", False),
        ("ALLOW_FROM=192.0.2.0/24\nDENY_FROM=all\nPOLICY=deny", "192.0.2.9", False),
        ("DENY_FROM=2001:db8::/32", "2001:db8::1", False),
        ("DENY_FROM=192.0.2.0/33", "198.51.100.1", False),
        ("POLICY=dney", "192.0.2.1", False),
        ("DENY_FROM=all", "no address", True),
    ],
)
def test_who_may_connect(text: str, client: str, allowed: bool) -> None:
    assert parse_proxy_config(text).allows(client) is allowed


@pytest.mark.parametrize(
    ("line", "warning"),
    [
        ("what is this", "line 1 is no assignment"),
        ('POLICY="allow', "line 1 is no assignment"),
        ("LISTEN_IP=1 2", "line 1 is no assignment"),
        ("FOO=1", "unknown setting FOO"),
        ("COMPRESSION=maybe", "COMPRESSION has to be 0 or 1, not 'maybe'"),
        ("ALLOW_FROM=10.0.0.0/8,x", "ALLOW_FROM: 'x' is no address and no network - nobody may connect"),
    ],
)
def test_mistakes_are_named(line: str, warning: str) -> None:
    assert parse_proxy_config(line).warnings[0].startswith(warning)


def test_clients_of_a_trusted_proxy() -> None:
    config = parse_proxy_config("PROXY_REAL_IP_HEADER=X-Real-IP\nPROXY_REAL_IP_ALLOW_FROM=127.0.0.0/8")
    assert config.real_client("127.0.0.1", {"x-real-ip": "198.51.100.7"}) == "198.51.100.7"
    assert config.real_client("192.0.2.1", {"x-real-ip": "198.51.100.7"}) == "192.0.2.1"
    assert config.real_client("127.0.0.1", {"x-real-ip": "evil\r\n"}) == "127.0.0.1"
    assert config.real_client("127.0.0.1", {}) == "127.0.0.1"
    assert ProxyConfig().real_client("127.0.0.1", {"x-real-ip": "198.51.100.7"}) == "127.0.0.1"


def test_without_a_list_only_this_host_and_members_are_believed() -> None:
    """Anybody else could name himself anew for each password that he tries."""
    config = parse_proxy_config("PROXY_REAL_IP_HEADER=X-Forwarded-For")
    named = {"x-forwarded-for": "198.51.100.7"}
    members = frozenset({"192.0.2.11", "2001:db8::11"})
    for peer in ("127.0.0.1", "127.1.2.3", "::1", *members):
        assert config.real_client(peer, named, members) == "198.51.100.7"
    for peer in ("192.0.2.1", "2001:db8::1", "no address", ""):
        assert config.real_client(peer, named, members) == peer
    assert config.believes_members
    assert len(config.warnings) == 1
    assert "only this host and the members of the cluster are believed" in config.warnings[0]


@pytest.mark.parametrize(
    "text",
    ["", "PROXY_REAL_IP_HEADER=X-Real-IP\nPROXY_REAL_IP_ALLOW_FROM=192.0.2.1", "PROXY_REAL_IP_HEADER="],
)
def test_members_are_not_asked_for_where_nobody_believes_them(text: str) -> None:
    config = parse_proxy_config(text)
    assert not config.believes_members
    assert config.warnings == ()
    assert config.real_client("192.0.2.11", {"x-real-ip": "198.51.100.7"}, {"192.0.2.11"}) == "192.0.2.11"


def test_an_ipv4_client_is_named_as_such() -> None:
    config = parse_proxy_config("PROXY_REAL_IP_HEADER=X-Real-IP")
    assert config.real_client("::1", {"x-real-ip": "::ffff:198.51.100.7"}) == "198.51.100.7"
