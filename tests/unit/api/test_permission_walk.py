"""Every operation as nobody, as each built-in role, through API tokens, and as root@pam (pvecm 6.4, 7.4)."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from quorate.access.directory import AuthenticationError, Directory
from quorate.access.roles import BUILTIN_ROLES
from quorate.api.gate import Answered, Gate, Run
from quorate.api.operations import all_operations, make_router
from quorate.api.protocol import Request, parse_address
from quorate.schema import Operation
from quorate.settings import Settings
from tests.unit.api.permission_table import EXPECTED, SAMPLES, SAMPLES_OF, Expected

OPERATIONS = {f"{operation.method} {operation.path}": operation for operation in all_operations()}
NAMES = sorted(OPERATIONS)

ALLOWED = 200
NO_LOGIN = 401
FORBIDDEN = 403

USER_CFG = [
    "user:root@pam:1:0::::::",
    "user:nothing@pve:1:0::::::",
    "user:other@pve:1:0::::::",
    "user:admin@pve:1:0::::::",
    "token:root@pam!full:0:0::",
    "token:nothing@pve!full:0:0::",
    "token:admin@pve!none:0:1::",
    *(f"user:{role}@pve:1:0::::::" for role in BUILTIN_ROLES),
    *(f"token:{role}@pve!full:0:0::" for role in BUILTIN_ROLES),
    # A token with its own rights, of a user who has all: it has what its own rules say.
    *(f"token:admin@pve!{role}:0:1::" for role in BUILTIN_ROLES),
    "acl:1:/:admin@pve:Administrator:",
    *(f"acl:1:/:{role}@pve,admin@pve!{role}:{role}:" for role in BUILTIN_ROLES),
]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return _gate(tmp_path_factory.mktemp("walk"), USER_CFG)


def _gate(root: Path, lines: list[str]) -> Gate:
    settings = Settings(root=root)
    settings.mountpoint.mkdir(parents=True, exist_ok=True)
    (settings.mountpoint / "user.cfg").write_text("\n".join(lines) + "\n")
    directory = Directory(settings)

    def user_of_ticket(ticket: str) -> str:
        if ticket == "bad":
            raise AuthenticationError("bad ticket")
        return ticket

    directory.user_of_ticket = user_of_ticket  # type: ignore[method-assign]
    return Gate(
        router=make_router(),
        directory=directory,
        node="n1",
        privileged=True,
        check_token=lambda credential: credential.partition("=")[0],
    )


def _ask(gate: Gate, operation: Operation, caller: str | None, **special: str) -> int:
    """What becomes of the operation with sample parameters; ``special`` replaces some."""
    name = f"{operation.method} {operation.path}"
    values = {}
    for key, parameter in operation.parameters.items():
        if key in special:
            values[key] = special[key]
        elif not parameter.optional:
            sample = SAMPLES_OF.get(name, {}).get(key) or SAMPLES.get(key)
            assert sample is not None, f"{name}: no sample for '{key}' in permission_table.py"
            values[key] = sample
    path = re.sub(r"{(\w+)}", lambda match: quote(values.pop(match[1]), safe="@!:"), operation.path)
    headers = {}
    if caller is not None:
        token = "!" in caller
        shown = f"PVEAPIToken={caller}=x" if token else f"PVEAuthCookie={caller}"
        headers["authorization" if token else "cookie"] = shown
    if operation.method in ("POST", "PUT"):
        request = Request(operation.method, f"/api2/json{path}", headers, body=urlencode(values).encode())
    else:
        target = f"/api2/json{path}?{urlencode(values)}"
        request = Request(operation.method, target, headers)
    address = parse_address(request.path)
    assert address is not None
    decision = gate.decide(request, address)
    if isinstance(decision, Answered):
        return decision.answer.status
    assert isinstance(decision, Run), f"{name}: {decision}"
    assert (decision.operation.method, decision.operation.path) == (operation.method, operation.path)
    return ALLOWED


def _may(expected: Expected, privileges: frozenset[str]) -> bool:
    """Whether someone with these privileges on everything passes."""
    if expected.kind == "needs":
        return any(all(name in privileges for _, name in pairs) for pairs in expected.needs)
    return expected.kind in ("world", "logged in")


def _outcome(expected: Expected, privileges: frozenset[str], *, token: bool = False) -> int:
    if expected.kind == "world":
        return ALLOWED
    if token and not expected.tokens:
        return FORBIDDEN
    return ALLOWED if _may(expected, privileges) else FORBIDDEN


def test_every_operation_has_an_expectation() -> None:
    assert sorted(OPERATIONS.keys() - EXPECTED.keys()) == [], "add them to permission_table.py"
    assert sorted(EXPECTED.keys() - OPERATIONS.keys()) == [], "not declared any more"


@pytest.mark.parametrize("name", NAMES)
def test_nobody(gate: Gate, name: str) -> None:
    wanted = ALLOWED if EXPECTED[name].kind == "world" else NO_LOGIN
    assert _ask(gate, OPERATIONS[name], None) == wanted
    assert _ask(gate, OPERATIONS[name], "bad") == wanted


@pytest.mark.parametrize("name", NAMES)
def test_a_user_without_rights(gate: Gate, name: str) -> None:
    operation, expected = OPERATIONS[name], EXPECTED[name]
    nothing: frozenset[str] = frozenset()
    assert _ask(gate, operation, "nothing@pve") == _outcome(expected, nothing)
    assert _ask(gate, operation, "nothing@pve!full") == _outcome(expected, nothing, token=True)
    # The token has no rules of its own, whatever its user has.
    assert _ask(gate, operation, "admin@pve!none") == _outcome(expected, nothing, token=True)


@pytest.mark.parametrize("name", NAMES)
def test_each_role(gate: Gate, name: str) -> None:
    operation, expected = OPERATIONS[name], EXPECTED[name]
    wanted, found = {}, {}
    for role, privileges in BUILTIN_ROLES.items():
        wanted[f"{role}@pve"] = _outcome(expected, privileges)
        # A token with its user's rights, and one with rights of its own.
        wanted[f"{role}@pve!full"] = _outcome(expected, privileges, token=True)
        wanted[f"admin@pve!{role}"] = _outcome(expected, privileges, token=True)
    for caller in wanted:
        found[caller] = _ask(gate, operation, caller)
    assert found == wanted


@pytest.mark.parametrize("name", NAMES)
def test_root(gate: Gate, name: str) -> None:
    operation, expected = OPERATIONS[name], EXPECTED[name]
    assert _ask(gate, operation, "root@pam") == ALLOWED
    everything = BUILTIN_ROLES["Administrator"]
    assert _ask(gate, operation, "root@pam!full") == _outcome(expected, everything, token=True)
    if expected.not_on_root:
        assert _ask(gate, operation, "root@pam", userid="root@pam") == ALLOWED
        assert _ask(gate, operation, "Administrator@pve", userid="root@pam") == FORBIDDEN
        assert _ask(gate, operation, "root@pam!full", userid="root@pam") == FORBIDDEN


@pytest.mark.parametrize("name", [name for name in NAMES if EXPECTED[name].own])
def test_what_is_ones_own(gate: Gate, name: str) -> None:
    operation = OPERATIONS[name]
    assert _ask(gate, operation, "nothing@pve", userid="nothing@pve") == ALLOWED
    assert _ask(gate, operation, "nothing@pve!full", userid="nothing@pve") == FORBIDDEN


@pytest.mark.parametrize("name", [name for name in NAMES if EXPECTED[name].kind == "needs"])
def test_rights_count_where_they_are_given(tmp_path: Path, name: str) -> None:
    """The one right on the one path is enough; every right everywhere else is not."""
    expected = EXPECTED[name]
    for number, pairs in enumerate(expected.needs):
        roles = [f"role:r{n}:{privilege}:" for n, (_, privilege) in enumerate(pairs)]
        rules = [f"acl:0:{path.format_map(SAMPLES)}:exact@pve:r{n}:" for n, (path, _) in enumerate(pairs)]
        exact = _gate(tmp_path / f"exact{number}", ["user:exact@pve:1:0::::::", *roles, *rules])
        assert _ask(exact, OPERATIONS[name], "exact@pve") == ALLOWED, pairs
        if len(pairs) > 1:
            for left in range(len(rules)):
                some = [*rules[:left], *rules[left + 1 :]]
                partly = _gate(tmp_path / f"part{number}-{left}", ["user:exact@pve:1:0::::::", *roles, *some])
                assert _ask(partly, OPERATIONS[name], "exact@pve") == FORBIDDEN, some
    places = {path.format_map(SAMPLES) for pairs in expected.needs for path, _ in pairs}
    elsewhere = ["user:away@pve:1:0::::::", "acl:1:/:away@pve:Administrator:"]
    elsewhere += [f"acl:1:{place}:away@pve:NoAccess:" for place in sorted(places)]
    assert _ask(_gate(tmp_path / "away", elsewhere), OPERATIONS[name], "away@pve") == FORBIDDEN


def test_permissions_of_others_need_a_right(gate: Gate) -> None:
    operation = OPERATIONS["GET /access/permissions"]
    assert _ask(gate, operation, "nothing@pve", userid="nothing@pve!full") == ALLOWED
    assert _ask(gate, operation, "nothing@pve", userid="other@pve") == FORBIDDEN
    assert _ask(gate, operation, "PVEAuditor@pve", userid="other@pve") == ALLOWED


def test_groups_of_a_new_user_need_rights_on_each(tmp_path: Path) -> None:
    lines = [
        "user:lead@pve:1:0::::::",
        "group:ops:lead@pve::",
        "group:dev:::",
        "acl:1:/access/realm/pve:lead@pve:PVEUserAdmin:",
        "acl:1:/access/groups/ops:lead@pve:PVEUserAdmin:",
    ]
    gate = _gate(tmp_path, lines)
    create, update = OPERATIONS["POST /access/users"], OPERATIONS["PUT /access/users/{userid}"]
    assert _ask(gate, create, "lead@pve", groups="ops") == ALLOWED
    assert _ask(gate, create, "lead@pve", groups="ops,dev") == FORBIDDEN
    assert _ask(gate, create, "lead@pve") == FORBIDDEN
    assert _ask(gate, update, "lead@pve", userid="lead@pve", groups="dev") == FORBIDDEN
    assert _ask(gate, update, "lead@pve", userid="lead@pve") == ALLOWED


@pytest.mark.parametrize("name", ["POST /nodes/{node}/termproxy", "POST /nodes/{node}/vncshell"])
def test_consoles_for_more_than_a_login_are_for_root_alone(gate: Gate, name: str) -> None:
    operation = OPERATIONS[name]
    assert _ask(gate, operation, "Administrator@pve", cmd="login") == ALLOWED
    for cmd in ("upgrade", "ceph_install"):
        assert _ask(gate, operation, "Administrator@pve", cmd=cmd) == FORBIDDEN
        assert _ask(gate, operation, "root@pam!full", cmd=cmd) == FORBIDDEN
        assert _ask(gate, operation, "root@pam", cmd=cmd) == ALLOWED


def test_members_of_a_pool_need_rights_of_their_own(gate: Gate) -> None:
    for name in ("PUT /pools", "PUT /pools/{poolid}"):
        operation = OPERATIONS[name]
        assert _ask(gate, operation, "PVEPoolAdmin@pve") == ALLOWED
        assert _ask(gate, operation, "PVEPoolAdmin@pve", vms="100") == FORBIDDEN
        assert _ask(gate, operation, "PVEPoolAdmin@pve", storage="local") == FORBIDDEN
        assert _ask(gate, operation, "Administrator@pve", vms="100", storage="local") == ALLOWED


def test_guests_that_are_named_need_rights_on_each(tmp_path: Path) -> None:
    lines = ["user:op@pve:1:0::::::", "acl:1:/vms/100:op@pve:PVEVMUser:", "acl:1:/vms/101:op@pve:PVEVMUser:"]
    gate = _gate(tmp_path, lines)
    for name in ("POST /nodes/{node}/startall", "POST /nodes/{node}/stopall"):
        operation = OPERATIONS[name]
        assert _ask(gate, operation, "op@pve", vms="100,101") == ALLOWED
        assert _ask(gate, operation, "op@pve", vms="100,102") == FORBIDDEN
        assert _ask(gate, operation, "op@pve", vms="") == FORBIDDEN
        assert _ask(gate, operation, "op@pve") == FORBIDDEN
