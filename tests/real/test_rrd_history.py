"""A node's history out of a real RRD file, written by librrd as the daemon does it (status 3, pvecm 6.8)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from quorate.host.graph import HEIGHT, WIDTH, draw
from quorate.host.history import TIMEFRAMES, HistoryError, history, of_node
from quorate.pmxcfs import librrd, rrd
from quorate.settings import Settings

pytestmark = pytest.mark.real

NOW = 1_795_400_000
KIND = rrd.KINDS[0]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(root=tmp_path)
    path = settings.rrd_dir / KIND.directory / "n1"
    path.parent.mkdir(parents=True)
    begin = NOW - 2 * 3600
    librrd.create(str(path), rrd.STEP, begin, KIND.creation_arguments())
    for number, time in enumerate(range(begin + 60, NOW, 60)):
        values = ["0.5", "8", "0.25", "0.01", "1000", "400", "0", "0", "5000", "600"]
        counters = [str(number * 6000), str(number * 600)]
        rest = ["600", *["U"] * 6]
        librrd.update(str(path), ":".join([str(time), *values, *counters, *rest]))
    return settings


def test_an_hour_in_minutes(settings: Settings) -> None:
    points = history(settings, of_node("n1"), "hour", "AVERAGE", NOW)
    assert TIMEFRAMES["hour"].points <= len(points) <= TIMEFRAMES["hour"].points + 1
    times = [point["time"] for point in points]
    assert times == list(range(int(str(times[0])), int(str(times[0])) + 60 * len(times), 60))
    known = [point for point in points if "cpu" in point]
    assert len(known) >= 60
    middle = known[len(known) // 2]
    assert middle["cpu"] == pytest.approx(0.25)
    assert middle["memused"] == pytest.approx(400)
    assert middle["netin"] == pytest.approx(100)
    assert middle["netout"] == pytest.approx(10)
    assert "pressurecpusome" not in middle


@pytest.mark.parametrize("timeframe", ["day", "week", "month", "year", "decade"])
@pytest.mark.parametrize("function", ["AVERAGE", "MAX"])
def test_every_timeframe_has_its_own_step(settings: Settings, timeframe: str, function: str) -> None:
    points = history(settings, of_node("n1"), timeframe, function, NOW)
    frame = TIMEFRAMES[timeframe]
    first, second = int(str(points[0]["time"])), int(str(points[1]["time"]))
    assert second - first == frame.step
    assert abs(len(points) - frame.points) <= 2


def test_the_same_as_an_image(settings: Settings) -> None:
    drawn = draw(settings, of_node("n1"), ["cpu", "memused"], "hour", "AVERAGE", NOW)
    assert drawn.content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", drawn.content[16:24])
    assert (width > WIDTH, height > HEIGHT) == (True, True)
    assert drawn.path.read_bytes() == drawn.content
    # Another figure is another image.
    assert draw(settings, of_node("n1"), ["netin"], "hour", "AVERAGE", NOW).content != drawn.content


def test_what_librrd_refuses_is_told(settings: Settings) -> None:
    with pytest.raises(HistoryError, match=r"^RRD graph error: .*nothing"):
        draw(settings, of_node("n1"), ["nothing"], "hour", "AVERAGE", NOW)
