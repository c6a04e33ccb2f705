"""Routing and the gate: who may call what, and where it runs (pvecm 6.4)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quorate.access.directory import AuthenticationError, Directory
from quorate.api.gate import Answered, Decision, Forward, Gate, PassToRoot, Run
from quorate.api.operations import all_operations, make_router
from quorate.api.protocol import Request, parse_address
from quorate.api.router import Router
from quorate.schema import ALL, ROOT_ONLY, WORLD, ApiError, Check, Operation, Permission, Self, String
from quorate.settings import Settings


def _operation(path: str, permission: Permission = ALL, **more: object) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name="test",
        description="",
        handler=lambda ctx, **params: None,
        permission=permission,
        parameters={"node": String(optional=True), "id": String(optional=True)},
        **more,  # type: ignore[arg-type]
    )


OPERATIONS = [
    _operation("/world", WORLD),
    _operation("/all"),
    _operation("/root", ROOT_ONLY),
    _operation("/checked/{id}", Check("/vms/{id}", ("VM.Audit", "VM.Config.Disk"))),
    _operation("/protected", protected=True),
    _operation("/notoken", allow_token=False),
    _operation("/image", is_image=True),
    _operation("/body", Check("/vms/{id}", ("VM.Audit",))),
    _operation("/own", Self("id")),
    _operation("/nodes/{node}/here", proxyto_node=True),
    _operation("/nodes/{node}/both", proxyto_node=True, protected=True),
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    (settings.mountpoint / "user.cfg").write_text(
        "user:bob@pve:1:0::::::\ntoken:bob@pve!tk:0:0::\ntoken:root@pam!tk:0:0::\nacl:1:/vms/5:bob@pve:PVEAuditor:\n"
    )
    directory = Directory(settings)

    def user_of_ticket(ticket: str) -> str:
        if ticket == "bad":
            raise AuthenticationError("bad ticket")
        return ticket

    monkeypatch.setattr(directory, "user_of_ticket", user_of_ticket)
    monkeypatch.setattr(directory.keys, "check_csrf_token", lambda token, user: token == f"csrf-{user}")
    return directory


def _decide(
    directory: Directory,
    path: str,
    *,
    ticket: str | None = None,
    token: str | None = None,
    method: str = "GET",
    privileged: bool = False,
    headers: dict[str, str] | None = None,
) -> Decision:
    gate = Gate(
        router=Router(OPERATIONS),
        directory=directory,
        node="n1",
        privileged=privileged,
        check_token=lambda credential: credential.partition("=")[0],
    )
    sent = dict(headers or {})
    if ticket is not None:
        sent["cookie"] = f"PVEAuthCookie={ticket}"
    if token is not None:
        sent["authorization"] = f"PVEAPIToken={token}=x"
    request = Request(method, f"/api2/json{path}", sent)
    address = parse_address(request.path)
    assert address is not None
    return gate.decide(request, address)


def _refused(decision: Decision) -> tuple[int, str]:
    assert isinstance(decision, Answered)
    return decision.answer.status, decision.answer.reason


def test_world_needs_nothing(directory: Directory) -> None:
    assert isinstance(_decide(directory, "/world"), Run)


def test_missing_and_bad_credentials(directory: Directory) -> None:
    assert _refused(_decide(directory, "/all")) == (401, "No ticket")
    assert _refused(_decide(directory, "/nosuch")) == (401, "No ticket")
    assert _refused(_decide(directory, "/all", ticket="bad")) == (401, "Authentication failed!")
    assert _refused(_decide(directory, "/nosuch", ticket="bob@pve"))[0] == 501


def test_nothing_declared_is_for_root_alone(directory: Directory) -> None:
    denied = (403, "Permission check failed (user != root@pam)")
    assert _refused(_decide(directory, "/root", ticket="bob@pve")) == denied
    assert _refused(_decide(directory, "/root", token="root@pam!tk")) == denied
    assert isinstance(_decide(directory, "/root", ticket="root@pam"), Run)


def test_checks_fill_in_the_path(directory: Directory) -> None:
    run = _decide(directory, "/checked/5", ticket="bob@pve")
    assert isinstance(run, Run)
    assert (run.user, dict(run.parameters)) == ("bob@pve", {"id": "5"})
    text = "Permission check failed (/vms/6, VM.Audit|VM.Config.Disk)"
    assert _refused(_decide(directory, "/checked/6", ticket="bob@pve")) == (403, text)
    assert isinstance(_decide(directory, "/checked/5", token="bob@pve!tk"), Run)


def test_rules_about_parameters_outside_the_path(directory: Directory) -> None:
    assert isinstance(_decide(directory, "/body?id=5", ticket="bob@pve"), Run)
    denied = (403, "Permission check failed (/vms/6, VM.Audit)")
    assert _refused(_decide(directory, "/body?id=6", ticket="bob@pve")) == denied
    assert _refused(_decide(directory, "/body?id=6&x=1", ticket="bob@pve"))[0] == 400
    assert isinstance(_decide(directory, "/own?id=bob@pve", ticket="bob@pve"), Run)
    assert _refused(_decide(directory, "/own?id=bob@pve", token="bob@pve!tk"))[0] == 403


def test_where_tokens_are_not_welcome(directory: Directory) -> None:
    status, reason = _refused(_decide(directory, "/notoken", token="bob@pve!tk"))
    assert (status, reason.startswith("Permission check failed (URI '/notoken' not available")) == (403, True)


def test_changes_need_the_csrf_token_at_the_front_only(directory: Directory) -> None:
    refused = (401, "Permission denied - invalid csrf token")
    assert _refused(_decide(directory, "/all", ticket="bob@pve", method="POST")) == refused
    good = {"csrfpreventiontoken": "csrf-bob@pve"}
    assert _refused(_decide(directory, "/all", ticket="bob@pve", method="POST", headers=good))[0] == 501
    assert _refused(_decide(directory, "/all", ticket="bob@pve", method="POST", privileged=True))[0] == 501
    assert _refused(_decide(directory, "/all", token="bob@pve!tk", method="POST"))[0] == 501


def test_protected_goes_to_root(directory: Directory) -> None:
    assert _decide(directory, "/protected", ticket="bob@pve") == PassToRoot("bob@pve")
    assert isinstance(_decide(directory, "/protected", ticket="bob@pve", privileged=True), Run)


def test_images_have_a_format_of_their_own(directory: Directory) -> None:
    def ask(path: str, form: str) -> Decision:
        gate = Gate(
            router=Router(OPERATIONS),
            directory=directory,
            node="n1",
            privileged=False,
            check_token=lambda credential: credential,
        )
        request = Request("GET", f"/api2/{form}{path}", {"cookie": "PVEAuthCookie=bob@pve"})
        address = parse_address(request.path)
        assert address is not None
        return gate.decide(request, address)

    assert isinstance(ask("/image", "png"), Run)
    assert isinstance(ask("/image", "json"), Run)
    assert _refused(ask("/all", "png")) == (501, "no formatter for uri /all, png")
    assert _refused(ask("/nosuch", "png")) == (501, "no formatter for uri /nosuch, png")
    assert _refused(ask("/image", "gif")) == (501, "no formatter for uri /image, gif")


def test_other_nodes(directory: Directory) -> None:
    assert _decide(directory, "/nodes/n2/both", ticket="bob@pve") == Forward("n2", "bob@pve")
    assert _decide(directory, "/nodes/n1/both", ticket="bob@pve") == PassToRoot("bob@pve")
    for name in ("n1", "localhost"):
        run = _decide(directory, f"/nodes/{name}/here", ticket="bob@pve")
        assert isinstance(run, Run)
        assert dict(run.parameters) == {"node": "n1"}
        for query in ("localhost", "n1"):  # the same node by either name is no conflict
            same = _decide(directory, f"/nodes/{name}/here?node={query}", ticket="bob@pve")
            assert isinstance(same, Run)
            assert dict(same.parameters) == {"node": "n1"}
        other = _decide(directory, f"/nodes/{name}/here?node=n2", ticket="bob@pve")
        assert _refused(other)[0] == 400
    loop = (500, "proxy loop detected")
    again = {"pvedisableproxy": "true"}
    assert _refused(_decide(directory, "/nodes/n2/here", ticket="bob@pve", headers=again)) == loop
    assert _refused(_decide(directory, "/nodes/n2/here", ticket="bob@pve", privileged=True)) == loop


def test_unreadable_user_file_is_an_answer(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> object:
        raise OSError(107, "Transport endpoint is not connected", "/etc/pve/user.cfg")

    monkeypatch.setattr(directory._users, "get", fail)
    decision = _decide(directory, "/checked/5", ticket="bob@pve")
    assert isinstance(decision, Answered)
    assert decision.answer.status == 500
    assert "is the cluster file system running?" in json.loads(decision.answer.body)["message"]


def test_router() -> None:
    router = Router(OPERATIONS)
    match = router.match("GET", "/nodes/n7/here")
    assert (match.operation.path, match.parameters) == ("/nodes/{node}/here", {"node": "n7"})
    for method, path in (("GET", "/nodes"), ("POST", "/all"), ("GET", "/all/more")):
        with pytest.raises(ApiError) as caught:
            router.match(method, path)
        assert caught.value.message == f"Method '{method} {path}' not implemented"
    with pytest.raises(ValueError, match="declared twice"):
        Router([*OPERATIONS, OPERATIONS[0]])
    with pytest.raises(ValueError, match="another name"):
        Router([*OPERATIONS, _operation("/nodes/{name}/x")])


def test_every_declared_operation_is_reachable_and_sound() -> None:
    router = make_router()
    for operation in all_operations():
        path = operation.path.replace("{node}", "n1").replace("{upid}", "UPID:x")
        assert router.match(operation.method, path).operation is router.find(operation.method, operation.path)
        placeholders = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
        assert set(placeholders) <= operation.parameters.keys()
        assert operation.description


def test_only_these_are_open_to_the_world() -> None:
    found = {f"{o.method} {o.path}" for o in all_operations() if o.permission is WORLD}
    assert found == {
        "GET /access/consent",
        "GET /access/domains",
        "GET /access/ticket",
        "POST /access/openid/auth-url",
        "POST /access/openid/login",
        "POST /access/ticket",
        "POST /access/vncticket",
    }
