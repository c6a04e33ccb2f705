"""The node's clock as it is shown, and the time zone that it has (pvecm 6.8)."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Final

from quorate.host.files import HostFileError, replace_file, replace_link
from quorate.settings import Settings

LINK: Final = "/etc/localtime"
NAME: Final = "/etc/timezone"
ZONES: Final = "/usr/share/zoneinfo"
_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,64}(/[A-Za-z0-9_+-]{1,64}){0,2}")
_MAGIC: Final = b"TZif"


def clock(settings: Settings, now: float) -> dict[str, object]:
    """Time zone, time as epoch seconds, and the same as the node's clocks show it."""
    name = time_zone(settings)
    try:
        zone: datetime.tzinfo = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        zone = datetime.UTC
    offset = datetime.datetime.fromtimestamp(now, zone).utcoffset() or datetime.timedelta()
    return {"timezone": name, "time": int(now), "localtime": int(now + offset.total_seconds())}


def time_zone(settings: Settings) -> str:
    """Name of the zone that ``/etc/localtime`` leads to, or what ``/etc/timezone`` says; UTC without both."""
    try:
        _, found, name = str(settings.at("/etc/localtime").readlink()).partition("zoneinfo/")
    except OSError:
        found, name = "", ""
    if found and name:
        return name
    try:
        return settings.at("/etc/timezone").read_text(encoding="ascii", errors="replace").strip() or "UTC"
    except OSError:
        return "UTC"


def zone_problem(settings: Settings, name: str) -> str | None:
    """Why the node cannot have this time zone."""
    if _ZONE.fullmatch(name) is None:
        return "no such timezone"
    if not settings.at(ZONES).is_dir():
        return f"this node has no time zones: no directory '{ZONES}'; install the package 'tzdata'"
    try:
        with settings.at(f"{ZONES}/{name}").open("rb") as file:
            known = file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        known = False
    return None if known else "no such timezone"


def set_time_zone(settings: Settings, name: str) -> None:
    """Give the node a zone that has no `zone_problem`. Programs that run keep theirs until they restart.

    Raises HostFileError.
    """
    if (problem := zone_problem(settings, name)) is not None:
        raise HostFileError(problem)
    # What counts is the link; should the second step fail, only the name that Debian keeps beside it is old.
    replace_link(settings.at(LINK), f"{ZONES}/{name}")
    replace_file(settings.at(NAME), f"{name}\n".encode("ascii"))
