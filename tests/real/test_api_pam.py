"""Logging in through the real libpam, with a service file of our own in the place of /etc/pam.d."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.access import pam
from tests.real.api_host import ApiHost

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

# pam_exec hands the password over with a NUL behind it.
SCRIPT = """#!/bin/sh
word=$(tr -d '\\000')
[ "$PAM_USER" = root ] && [ "$word" = "pam secret" ] && [ "$PAM_RHOST" = "127.0.0.1" ]
"""


@pytest.fixture
def confdir(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    script = tmp_path / "check.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    service = f"auth required pam_exec.so quiet expose_authtok {script}\naccount required pam_permit.so\n"
    (tmp_path / pam.SERVICE).write_text(service)
    return tmp_path


def test_password_and_address_reach_the_modules(confdir: Path) -> None:
    pam.authenticate("root", "pam secret", "127.0.0.1", confdir=str(confdir))
    with pytest.raises(pam.PamError):
        pam.authenticate("root", "wrong", "127.0.0.1", confdir=str(confdir))
    with pytest.raises(pam.PamError, match="empty password"):
        pam.authenticate("root", "", "127.0.0.1", confdir=str(confdir))


def test_account_is_checked_too(confdir: Path) -> None:
    service = confdir / pam.SERVICE
    service.write_text(service.read_text().replace("pam_permit", "pam_deny"))
    with pytest.raises(pam.PamError):
        pam.authenticate("root", "pam secret", "127.0.0.1", confdir=str(confdir))


@pytest.fixture
def host(confdir: Path) -> Iterator[ApiHost]:
    api = ApiHost(
        extra=(
            "import functools\n"
            "from quorate.access import login, pam\n"
            "login.authenticate.__kwdefaults__['pam_check'] = "
            f"functools.partial(pam.authenticate, confdir={str(confdir)!r})\n"
        )
    )
    with api:
        yield api


def test_root_logs_in_over_the_network(host: ApiHost) -> None:
    session = host.login("root@pam", "pam secret")
    assert host.api("GET", "/cluster/config/nodes", session).data == []
    reply = host.api("POST", "/access/ticket", form={"username": "root@pam", "password": "guess"})
    assert (reply.status, reply.reason) == (401, "authentication failure")
