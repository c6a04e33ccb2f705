"""Access control on a real cluster file system: locks, modes, the cluster's log, keys, used codes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quorate.access import factor_store
from quorate.access.keys import TicketKeys
from quorate.access.rotation import rotate_if_due
from quorate.access.second_factor import SecondFactorError
from quorate.access.totp import TotpKey
from quorate.cfs import Cfs
from quorate.settings import Settings
from tests.real.pmxcfs_world import CLONE, NODE, World, a_world

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

KEY = TotpKey(b"12345678901234567890", account="carol@pve")

# The journal of this host belongs to the daemon's lines.
_RUN = """
import sys, syslog
from pathlib import Path
syslog.syslog = lambda *arguments: None
from quorate.cli.pveum import main
from quorate.settings import Settings
sys.exit(main(sys.argv[2:], Settings(Path(sys.argv[1]))))
"""


@pytest.fixture
def world() -> Iterator[World]:
    with a_world() as one:
        (one.root / "run").mkdir(mode=0o755)
        one.start("-l")
        yield one


def _start(world: World, *words: str) -> subprocess.Popen[str]:
    command = world.command(*words)
    command[command.index("-c") + 1] = _RUN
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CLONE
    )


def _pveum(world: World, *words: str, typed: str = "") -> str:
    process = _start(world, *words)
    output, errors = process.communicate(typed, timeout=60)
    assert process.returncode == 0, errors
    return output


def _inside(world: World, body: Callable[[Settings], Any]) -> Any:
    """The JSON value of ``body``, run as root where the daemon is."""
    answer = world.as_user(0, 0, lambda: json.dumps(body(Settings(world.root))))
    assert answer.startswith("OK "), answer
    return json.loads(answer.removeprefix("OK "))


def test_users_and_tokens_lie_where_only_root_reads_secrets(world: World) -> None:
    _pveum(world, "user", "add", "carol@pve", "--comment", "Carol")
    _pveum(world, "passwd", "carol@pve", typed="a long secret\n")
    made = json.loads(_pveum(world, "user", "token", "add", "carol@pve", "ci", "--output-format", "json"))
    mount = world.mount
    assert (
        (mount / "user.cfg")
        .read_text()
        .startswith("user:carol@pve:1:0::::Carol::\ntoken:carol@pve!ci:0:1::\n")
    )
    assert (mount / "priv/token.cfg").read_text() == f"carol@pve!ci {made['value']}\n"
    modes = {
        name: (mount / name).stat().st_mode & 0o777
        for name in ("user.cfg", "priv/shadow.cfg", "priv/token.cfg")
    }
    assert modes == {"user.cfg": 0o640, "priv/shadow.cfg": 0o600, "priv/token.cfg": 0o600}
    # The daemon itself checks tokens for those who cannot read the secrets.
    assert _inside(world, lambda settings: Cfs(settings).verify_token("carol@pve!ci", made["value"]))
    told = _inside(world, lambda settings: Cfs(settings).cluster_log())
    lines = [(entry["user"], entry["msg"], entry["node"]) for entry in told]
    assert ("root@pam", "created user 'carol@pve'", NODE) in lines
    assert ("root@pam", "created API token 'carol@pve!ci'", NODE) in lines
    _pveum(world, "user", "delete", "carol@pve")
    assert "carol" not in (mount / "user.cfg").read_text() + (mount / "priv/token.cfg").read_text()
    assert list((mount / "priv/lock").iterdir()) == []


def test_changes_at_the_same_time_are_all_kept(world: World) -> None:
    names = [f"user{number}@pve" for number in range(4)]
    running = [_start(world, "user", "add", name) for name in names]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    listed = json.loads(_pveum(world, "user", "list", "--output-format", "json"))
    assert [user["userid"] for user in listed] == ["root@pam", *names]


def test_a_code_is_used_once_for_all(world: World) -> None:
    _pveum(world, "user", "add", "carol@pve")

    def set_up(settings: Settings) -> str:
        with factor_store.change_factors(settings) as (factors, _):
            return factors.add_totp("carol@pve", KEY.uri(), "", int(time.time()))

    def show(settings: Settings) -> str:
        try:
            factor_store.check(settings, "carol@pve", f"totp:{KEY.code_at(step)}", lambda: step * 30)
        except SecondFactorError as err:
            return str(err)
        return "in"

    entry = _inside(world, set_up)
    step = int(time.time()) // 30
    assert _inside(world, show) == "in"
    assert "used already" in _inside(world, show)
    stored = json.loads((world.mount / "priv/tfa-attempts.json").read_text())
    assert stored["carol@pve"]["steps"] == {entry: step}
    assert (world.mount / "priv/tfa.cfg").stat().st_mode & 0o777 == 0o600


def test_keys_are_made_and_sign(world: World) -> None:
    assert _inside(world, lambda settings: rotate_if_due(settings)) is True
    assert _inside(world, lambda settings: rotate_if_due(settings)) is False

    def login(settings: Settings) -> str:
        keys = TicketKeys(settings)
        return keys.verify_login_ticket(keys.login_ticket("root@pam"))

    assert _inside(world, login) == "root@pam"
    # A day later, as far as the clocks can tell: a new key, and the old ticket still counts.
    later = time.time() + 86400
    assert _inside(world, lambda settings: rotate_if_due(settings, lambda: later)) is True
    assert (world.mount / "authkey.pub.old").read_bytes() != (world.mount / "authkey.pub").read_bytes()
    assert _inside(world, login) == "root@pam"
