"""The node's clock and its time zone (pvecm 6.8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from quorate.host.clock import clock, set_time_zone, time_zone, zone_problem
from quorate.host.files import HostFileError
from quorate.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    settings.at("/etc").mkdir()
    return settings


def _with_zones(settings: Settings) -> None:
    zones = settings.at("/usr/share/zoneinfo")
    (zones / "Etc").mkdir(parents=True)
    (zones / "Etc/GMT-2").write_bytes(b"TZif2...")
    (zones / "zone.tab").write_bytes(b"# a table")


def test_clock_in_its_zone(settings: Settings) -> None:
    link = settings.at("/etc/localtime")
    assert time_zone(settings) == "UTC"
    link.symlink_to("/usr/share/zoneinfo/Etc/GMT-2")
    assert clock(settings, 1_700_000_000.5) == {
        "timezone": "Etc/GMT-2",
        "time": 1_700_000_000,
        "localtime": 1_700_007_200,
    }
    link.unlink()
    settings.at("/etc/timezone").write_text("No/Where\n")
    assert clock(settings, 5)["localtime"] == 5


def test_setting_the_zone(settings: Settings) -> None:
    _with_zones(settings)
    settings.at("/etc/localtime").write_bytes(b"TZif2 a copy")
    set_time_zone(settings, "Etc/GMT-2")
    assert settings.at("/etc/localtime").readlink() == Path("/usr/share/zoneinfo/Etc/GMT-2")
    assert settings.at("/etc/timezone").read_text() == "Etc/GMT-2\n"
    assert time_zone(settings) == "Etc/GMT-2"


@pytest.mark.parametrize(
    "name", ["Etc/GMT-3", "zone.tab", "Etc", "../../../etc/passwd", "/Etc/GMT-2", "", "a\0"]
)
def test_what_is_no_zone(settings: Settings, name: str) -> None:
    _with_zones(settings)
    assert zone_problem(settings, name) == "no such timezone"
    with pytest.raises(HostFileError):
        set_time_zone(settings, name)
    assert not settings.at("/etc/localtime").is_symlink()


def test_a_node_without_zones_says_so(settings: Settings) -> None:
    problem = zone_problem(settings, "Etc/GMT-2")
    assert problem is not None
    assert problem.endswith("install the package 'tzdata'")
