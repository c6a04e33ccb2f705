"""What counts as a complaint in a node's journal."""

from __future__ import annotations

from lab.journals import find_complaints


def entry(message: object, priority: int = 6, unit: str = "pvedaemon.service") -> dict[str, object]:
    return {"MESSAGE": message, "PRIORITY": str(priority), "_SYSTEMD_UNIT": unit}


def test_warnings_and_worse_are_complaints() -> None:
    entries = [entry("fine"), entry("notice", 5), entry("warning", 4), entry("error", 3)]
    assert [complaint.text for complaint in find_complaints("n1", entries)] == ["warning", "error"]


def test_a_severity_may_stand_in_the_text() -> None:
    entries = [entry("INFO: fine"), entry("WARNING: no access log")]
    assert [complaint.text for complaint in find_complaints("n1", entries)] == ["WARNING: no access log"]


def test_a_traceback_is_one_complaint_though_it_has_no_severity() -> None:
    entries = [
        entry("Traceback (most recent call last):"),
        entry('  File "x.py", line 1'),
        entry("other unit", unit="pve-cluster.service"),
        entry("ValueError: no"),
        entry("fine"),
    ]
    found = list(find_complaints("n2", entries))
    assert [str(complaint) for complaint in found] == [
        'n2 pvedaemon.service: Traceback (most recent call last):\n  File "x.py", line 1\nValueError: no'
    ]


def test_a_traceback_at_the_end_is_not_lost() -> None:
    found = list(find_complaints("n1", [entry("Traceback (most recent call last):")]))
    assert len(found) == 1


def test_bytes_that_are_not_text_are_shown() -> None:
    assert next(find_complaints("n1", [entry([0x61, 0xFF], 3)])).text == "a\ufffd"
