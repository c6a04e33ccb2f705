"""Time zone, name servers and hosts of a node, changed over a temporary root (pvecm 6.8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.schema import ApiError
from quorate.settings import Settings
from tests.unit.api.cluster_world import Api


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    for path, text in (
        ("/etc/resolv.conf", "search example.org\nnameserver 10.0.0.53\noptions edns0\n"),
        ("/etc/hosts", "127.0.0.1 localhost\n"),
        ("/usr/share/zoneinfo/Europe/Vienna", "TZif2"),
    ):
        settings.at(path).parent.mkdir(parents=True, exist_ok=True)
        settings.at(path).write_text(text)
    return settings


@pytest.fixture
def api(settings: Settings) -> Api:
    return Api(settings)


def _refused(api: Api, method: str, path: str, **params: str) -> ApiError:
    with pytest.raises(ApiError) as refused:
        api(method, path, **params)
    return refused.value


def test_name_servers_are_set(api: Api, settings: Settings) -> None:
    assert api("PUT", "/nodes/n1/dns", search="example.com", dns1="10.0.0.54", dns2="fd00::53") is None
    assert api("GET", "/nodes/n1/dns") == {"search": "example.com", "dns1": "10.0.0.54", "dns2": "fd00::53"}
    assert settings.at("/etc/resolv.conf").read_text() == (
        "search example.com\nnameserver 10.0.0.54\nnameserver fd00::53\noptions edns0\n"
    )


def test_bytes_that_are_no_text_stay(api: Api, settings: Settings) -> None:
    path = settings.at("/etc/resolv.conf")
    path.write_bytes(b"# caf\xe9\nnameserver 10.0.0.1\n")
    api("PUT", "/nodes/n1/dns", search="a.b", dns1="10.0.0.2")
    assert path.read_bytes() == b"# caf\xe9\nsearch a.b\nnameserver 10.0.0.2\n"


@pytest.mark.parametrize("search", ["a b", "a..b", "-a", "a\nnameserver 1.2.3.4", "x" * 300])
def test_search_domains_that_are_none(api: Api, search: str) -> None:
    refused = _refused(api, "PUT", "/nodes/n1/dns", search=search, dns1="10.0.0.1")
    assert refused.status == 400
    assert list(refused.errors or ()) == ["search"]


def test_name_servers_have_addresses(api: Api) -> None:
    refused = _refused(api, "PUT", "/nodes/n1/dns", search="a.b", dns2="ns.example.org")
    assert list(refused.errors or ()) == ["dns2"]


def test_a_link_is_left_to_the_program_that_keeps_it(api: Api, settings: Settings) -> None:
    path = settings.at("/etc/resolv.conf")
    path.unlink()
    path.symlink_to("/run/systemd/resolve/stub-resolv.conf")
    refused = _refused(api, "PUT", "/nodes/n1/dns", search="a.b", dns1="10.0.0.1")
    assert refused.status == 500
    assert "is a link to '/run/systemd/resolve/stub-resolv.conf'" in refused.message


def test_time_zone_is_set(api: Api) -> None:
    assert api("PUT", "/nodes/n1/time", timezone="Europe/Vienna") is None
    assert api("GET", "/nodes/n1/time")["timezone"] == "Europe/Vienna"
    refused = _refused(api, "PUT", "/nodes/n1/time", timezone="Europe/Atlantis")
    assert (refused.status, refused.errors) == (400, {"timezone": "no such timezone"})


def test_hosts_are_replaced_unless_they_changed(api: Api, settings: Settings) -> None:
    digest = api("GET", "/nodes/n1/hosts")["digest"]
    assert api("POST", "/nodes/n1/hosts", data="127.0.0.1 localhost\r\n10.0.0.1 n1", digest=digest) is None
    assert settings.at("/etc/hosts").read_text() == "127.0.0.1 localhost\n10.0.0.1 n1\n"
    refused = _refused(api, "POST", "/nodes/n1/hosts", data="::1 localhost\n", digest=digest)
    assert (refused.status, refused.message) == (
        500,
        "detected modified configuration - file changed by other user? Try again.",
    )
    assert api("POST", "/nodes/n1/hosts", data="::1 localhost\n") is None
    assert api("GET", "/nodes/n1/hosts")["data"] == "::1 localhost\n"


def test_hosts_are_checked(api: Api) -> None:
    refused = _refused(api, "POST", "/nodes/n1/hosts", data="localhost 127.0.0.1\n")
    assert refused.status == 400
    assert refused.errors == {"data": "line 1 does not begin with an IP address: 'localhost'"}
