"""Services, journal, certificates, history, report: what programs and files say (pvecm 6.8)."""

from __future__ import annotations

import datetime
import json
import math
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from quorate.cluster.commands import CommandError, Result
from quorate.host import journal
from quorate.host.certificates import CertificateError, certificate_info
from quorate.host.history import HistoryError, history, of_node, points
from quorate.host.report import make_report
from quorate.host.services import parse_show, refusal, show_command, unit_of
from quorate.pmxcfs.librrd import Rows
from quorate.settings import Settings

SHOW = """\
Id=corosync.service
Names=corosync.service
Description=Corosync Cluster Engine
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled

Id=ssh.service
Description=OpenBSD Secure Shell server
LoadState=masked
ActiveState=inactive
SubState=dead
UnitFileState=

Id=lxcfs.service
Description=lxcfs.service
LoadState=not-found
ActiveState=inactive
SubState=dead
"""


# -- services -------------------------------------------------------------------------------------------


def test_services_that_exist() -> None:
    shown = parse_show(SHOW, ["corosync", "sshd", "lxcfs"])
    assert shown == [
        {
            "service": "corosync",
            "name": "corosync",
            "desc": "Corosync Cluster Engine",
            "state": "running",
            "active-state": "active",
            "unit-state": "enabled",
        },
        {
            "service": "sshd",
            "name": "ssh",
            "desc": "OpenBSD Secure Shell server",
            "state": "dead",
            "active-state": "inactive",
            "unit-state": "masked",
        },
    ]
    assert unit_of("syslog") == "rsyslog.service"
    assert show_command(["sshd"])[-1] == "ssh.service"


@pytest.mark.parametrize("service", ["pveproxy", "pvedaemon", "pve-cluster"])
def test_essential_services_are_not_stopped(service: str) -> None:
    text = f"invalid service cmd '{service} stop': refusing to stop essential service!"
    assert refusal(service, "stop") == text
    assert refusal(service, "restart") is None
    assert refusal("corosync", "stop") is None


# -- journal --------------------------------------------------------------------------------------------


def _entry(**fields: object) -> bytes:
    return json.dumps({"__CURSOR": "s=1;i=2", "__REALTIME_TIMESTAMP": "1700000000123456", **fields}).encode()


def test_an_entry_of_the_journal() -> None:
    line = _entry(
        MESSAGE="hello",
        PRIORITY="3",
        _SYSTEMD_UNIT="corosync.service",
        SYSLOG_IDENTIFIER="corosync",
        _PID="7",
    )
    assert journal.parse_entry(line) == {
        "cursor": "s=1;i=2",
        "time": 1700000000,
        "usec": 123456,
        "priority": 3,
        "message": "hello",
        "unit": "corosync.service",
        "identifier": "corosync",
        "pid": "7",
    }


@pytest.mark.parametrize(
    ("message", "shown"),
    [([104, 105, 255], "hi\ufffd"), (["a", "b"], "a"), (None, ""), ("x" * 9000, "x" * 8192)],
)
def test_texts_of_entries(message: object, shown: str) -> None:
    entry = journal.parse_entry(_entry(MESSAGE=message, PRIORITY="x"))
    assert entry is not None
    assert (entry["message"], entry["priority"]) == (shown, 6)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"-- No entries --", b'{"__CURSOR": 1}'])
def test_what_is_no_entry_is_left_out(line: bytes) -> None:
    assert journal.parse_entry(line) is None


def test_ranges() -> None:
    assert journal.range_arguments(since=5, until="2026-01-02", service="sshd", priority=4) == [
        "--since=@5",
        "--until=2026-01-02",
        "--unit=ssh.service",
        "--priority=4",
    ]


def test_window_of_lines_and_their_number() -> None:
    texts = [f"line {number}\n" for number in range(1, 8)]
    total, found = journal.window(texts, 2, 3)
    assert total == 7
    assert found == [{"n": number, "t": f"line {number}"} for number in (3, 4, 5)]
    assert journal.window(texts, 20, 3) == (7, [])


def test_lines_behind_the_window_are_counted_so_far_only() -> None:
    taken = iter(range(1_000_000))
    texts = (f"line {number}\n" for number in taken)
    total, found = journal.window(texts, 2, 3)
    assert [entry["n"] for entry in found] == [3, 4, 5]
    assert total == 5 + journal.COUNT_AHEAD
    assert next(taken) <= total + 1  # nothing behind it was read


def test_the_end_of_the_lines() -> None:
    texts = [f"line {number}\n" for number in range(1, 8)]
    assert journal.tail(texts, 2) == (7, [{"n": 6, "t": "line 6"}, {"n": 7, "t": "line 7"}])
    assert journal.tail(texts, 20)[1][0] == {"n": 1, "t": "line 1"}
    assert journal.tail([], 20) == (0, [])


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for journalctl; tests write its lines."""
    path = tmp_path / "journalctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return path


def _write(program: Path, body: str) -> None:
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_reading_entries_ends_when_there_are_enough(program: Path) -> None:
    text = _entry(MESSAGE="again").decode()
    _write(program, f"while :; do echo '{text}'; done")
    assert len(journal.entries([], after="s=1", limit=10)) == 10


def test_what_journalctl_says_when_it_fails(program: Path) -> None:
    _write(program, "echo 'no such unit' >&2; exit 1")
    with pytest.raises(journal.JournalError, match=r"^unable to read the journal: no such unit$"):
        journal.lines([], 0, 10)


def test_lines_of_the_program_end_when_there_are_enough(program: Path) -> None:
    _write(program, "while :; do echo again; done")
    total, found = journal.lines([], 1, 3)
    assert [entry["n"] for entry in found] == [2, 3, 4]
    assert total == 4 + journal.COUNT_AHEAD


def test_the_end_is_asked_of_the_program(program: Path) -> None:
    _write(program, 'printf "%s\\n" "$@"')
    asked = ["--no-pager", "--quiet", "--output=short", f"--lines={2 + journal.COUNT_AHEAD}", "--unit=a"]
    assert journal.lines(["--unit=a"], None, 2) == (
        5,
        [{"n": 4, "t": asked[3]}, {"n": 5, "t": asked[4]}],
    )


def test_lines_of_the_program(program: Path) -> None:
    _write(program, 'printf "%s\\n" "$@"')
    assert journal.lines(["--unit=a"], 2, 2) == (
        4,
        [{"n": 3, "t": "--output=short"}, {"n": 4, "t": "--unit=a"}],
    )


# -- certificates ---------------------------------------------------------------------------------------


def _certificate() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "lab"),
            x509.NameAttribute(NameOID.COMMON_NAME, "n1.example.org"),
        ]
    )
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("n1"), x509.DNSName("localhost")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=10))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_facts_of_a_certificate(tmp_path: Path) -> None:
    path = tmp_path / "pve-ssl.pem"
    path.write_bytes(_certificate())
    info = certificate_info(path)
    assert (info["filename"], info["subject"], info["san"]) == (
        "pve-ssl.pem",
        "/O=lab/CN=n1.example.org",
        ["n1", "localhost"],
    )
    assert info["issuer"] == info["subject"]
    assert (info["notbefore"], info["notafter"]) == (1767225600, 1768089600)
    assert (info["public-key-type"], info["public-key-bits"]) == ("id-ecPublicKey", 256)
    assert info["pem"] == path.read_text()
    assert len(str(info["fingerprint"])) == 95


def test_a_file_that_holds_none(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    with pytest.raises(FileNotFoundError):
        certificate_info(path)
    path.write_text("nothing")
    with pytest.raises(CertificateError, match="holds no certificate"):
        certificate_info(path)


# -- history --------------------------------------------------------------------------------------------


def test_points_without_what_is_unknown() -> None:
    rows = Rows(600, 60, ["cpu", "netin"], [[0.5, math.nan], [math.nan, math.nan], [0.25, 7.0]])
    assert points(rows) == [
        {"time": 660, "cpu": 0.5},
        {"time": 720},
        {"time": 780, "cpu": 0.25, "netin": 7.0},
    ]


def test_no_history_yet(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no figures of node 'n1' yet"):
        history(Settings(root=tmp_path), of_node("n1"), "hour", "AVERAGE", 1000.0)


# -- report ---------------------------------------------------------------------------------------------


def test_report_says_what_failed_and_goes_on(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path)
    settings.at("/etc").mkdir()
    settings.at("/etc/hosts").write_text("127.0.0.1 localhost\n")

    def run(argv: object, **_options: object) -> Result:
        assert isinstance(argv, tuple)
        if argv[0] == "pvecm":
            raise CommandError(argv, "got timeout (5 s)")
        return Result(0, f"output of {argv[0]}\n")

    text = make_report(settings, "n1", run, 0.0)
    assert text.startswith("==== node n1, quorate ")
    assert "# cat /etc/hosts\n127.0.0.1 localhost\n" in text
    assert "(No such file or directory)" in text
    assert "# pvecm status\n(command 'pvecm status' failed: got timeout (5 s))" in text
    assert "# uname -a\noutput of uname" in text
