"""Debian packages are installed without starting services, and what goes wrong is told with what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import packages
from lab.errors import LabError
from lab.packages import HELD_BACK, ensure_packages, missing_of, services_held_back

UNKNOWN = "quorate-no-such-package"


class Machine:
    """Programs of the machine as scripts of the test; what they were called with is in ``calls``."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self.policy = directory / "policy-rc.d"
        self._calls = directory / "calls"
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
        monkeypatch.setattr(packages, "LOGS", directory / "logs")
        monkeypatch.setattr(packages, "LOCK", directory / "lock")
        monkeypatch.setattr(packages, "POLICY", self.policy)
        monkeypatch.setattr(packages, "require_root", lambda purpose: None)

    def program(self, name: str, script: str) -> None:
        file = self.directory / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._calls}\n{script}\n')
        file.chmod(0o755)

    @property
    def calls(self) -> str:
        return self._calls.read_text()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_what_is_installed_is_not_missing() -> None:
    assert missing_of(["dpkg", UNKNOWN]) == [UNKNOWN]


def test_services_are_held_back_while_packages_are_installed(machine: Machine) -> None:
    machine.program("apt-get", f'[ "$3" != install ] || cat {machine.policy} >> {machine.directory}/seen')
    ensure_packages([UNKNOWN])
    assert (machine.directory / "seen").read_text() == HELD_BACK
    assert not machine.policy.exists()
    assert f"install -y --no-install-recommends {UNKNOWN}" in machine.calls


def test_a_policy_of_the_machine_stays_and_one_left_behind_goes(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with services_held_back(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()
    policy.write_text(HELD_BACK)
    with services_held_back(policy):
        assert policy.read_text() == HELD_BACK
    assert not policy.exists()


def test_lists_that_cannot_be_read_do_not_stop_what_is_known(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.program("apt-get", '[ "$3" != update ] || exit 100')
    ensure_packages([UNKNOWN])
    assert "install -y" in machine.calls
    assert "Not every package list could be read" in capsys.readouterr().err


def test_without_a_network_the_error_says_what_to_check(machine: Machine) -> None:
    machine.program("apt-get", 'echo "E: Unable to locate package"; exit 100')
    with pytest.raises(LabError, match=r"(?s)Unable to locate package.*Check the network.*sources\.list"):
        ensure_packages([UNKNOWN])
    assert not machine.policy.exists()


def test_an_installed_service_is_disabled(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "SERVICES", {UNKNOWN: "x.service"})
    machine.program("apt-get", "")
    machine.program("systemctl", "")
    ensure_packages([UNKNOWN])
    assert "systemctl disable x.service" in machine.calls


def test_nothing_is_asked_of_apt_when_nothing_is_missing(machine: Machine) -> None:
    machine.program("apt-get", "")
    ensure_packages(["dpkg"])
    assert not (machine.directory / "calls").exists()
