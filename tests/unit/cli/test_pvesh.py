"""pvesh: paths and options to operations, results as text and JSON, errors for scripts (pvecm 6.10)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from quorate.api.results import Page
from quorate.api.router import Router
from quorate.cli import pvesh
from quorate.schema import (
    ALL,
    ApiError,
    Array,
    Boolean,
    Context,
    Integer,
    Object,
    Operation,
    String,
)
from quorate.settings import Settings

PARAMETERS = {
    "node": String(format="pve-node"),
    "count": Integer(optional=True, description="How many."),
    "flag": Boolean(optional=True),
    "names": String(format="pve-node-list", optional=True),
    "tags": Array(items=String(), optional=True),
    "quiet": Boolean(optional=True, description="The operation's own."),
}


def _nodes(ctx: Context) -> Page:
    return Page([{"node": "n1", "size": 2048, "up": True}, {"node": "n2"}], 7)


def _show(ctx: Context, **params: object) -> dict[str, object]:
    if params.get("count") == 13:
        raise ApiError(403, "Permission check failed (no)\nmore")
    return {"user": ctx.user, **params}


LIST = Array(
    items=Object(
        properties={
            "node": String(),
            "size": Integer(optional=True, unit="bytes"),
            "up": Boolean(optional=True),
        }
    ),
    link="{node}",
    paged=True,
)


def _operation(method: str, path: str, handler: Any = _show, **more: Any) -> Operation:
    given = {"description": "Show it.", "permission": ALL, **more}
    return Operation(method=method, path=path, name="x", handler=handler, **given)  # type: ignore[arg-type]


ROUTER = Router(
    [
        _operation("GET", "/nodes", _nodes, returns=LIST),
        _operation("GET", "/nodes/{node}", parameters=PARAMETERS, proxyto_node=True),
        _operation("PUT", "/nodes/{node}", parameters=PARAMETERS, proxyto_node=True),
        _operation("DELETE", "/nodes/{node}/thing", parameters={"node": String()}, proxyto_node=True),
        _operation("POST", "/null", lambda ctx: None),
    ]
)


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pvesh, "local_node", lambda: "n1")


def _run(tmp_path: Path, *words: str) -> int:
    return pvesh.main(words, Settings(root=tmp_path), ROUTER)


def test_json_is_one_sorted_line_of_bare_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, "get", "nodes//", "-output-format", "json") == 0
    out = capsys.readouterr().out
    assert out == '[{"node": "n1", "size": 2048, "up": 1}, {"node": "n2"}]\n'


def test_options_with_one_dash_words_lists_and_localhost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["set", "/nodes/localhost", "-flag", "on", "--names", "a", "--names", "b"]
    words += ["--tags", "x", "--tags", "y", "--count=3"]
    assert _run(tmp_path, *words, "--output-format", "json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "user": "root@pam",
        "node": "n1",
        "flag": 1,
        "names": ["a", "b"],
        "tags": ["x", "y"],
        "count": 3,
    }


def test_an_operations_own_parameter_goes_before_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(tmp_path, "get", "/nodes/n1", "--quiet", "--output-format", "json") == 0
    assert json.loads(capsys.readouterr().out)["quiet"] == 1


@pytest.mark.parametrize(
    "leading",
    [
        ["--output-format", "json"],
        ["--output-format=json"],
        ["--noproxy", "-output-format", "json", "--quiet=0"],
    ],
)
def test_our_options_before_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], leading: list[str]
) -> None:
    assert _run(tmp_path, *leading, "get", "/nodes", "--noheader") == 0
    assert json.loads(capsys.readouterr().out)[0]["node"] == "n1"
    assert _run(tmp_path, "--nooutput", "get", "/nodes") == 0
    assert capsys.readouterr().out == ""
    assert _run(tmp_path, "--bogus", "get", "/nodes") == 255
    assert "unknown command 'pvesh --bogus'" in capsys.readouterr().err


def test_text_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, "get", "/nodes", "--noborder") == 0
    assert capsys.readouterr().out == "node size     up\nn1   2.00 KiB 1\nn2\n"
    assert _run(tmp_path, "get", "/nodes", "--noborder", "--noheader", "--human-readable", "0") == 0
    assert capsys.readouterr().out == "n1 2048 1\nn2\n"
    assert _run(tmp_path, "get", "/nodes", "--nooutput") == 0
    assert _run(tmp_path, "create", "/null") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("get", "/x"), 1, "No 'get' handler defined for '/x'"),
        (("delete", "/nodes/n1"), 1, "No 'delete' handler defined for '/nodes/n1'"),
        (("get",), 255, "400 not enough arguments"),
        (("frob", "/nodes"), 255, "ERROR: unknown command 'pvesh frob'"),
        ((), 255, "ERROR: no command specified"),
        (("get", "/nodes/n1", "--nosuch", "1"), 255, "Unknown option: nosuch\n400 unable to parse option"),
        (("get", "/nodes/n1", "--count", "x"), 255, "400 Parameter verification failed.\ncount: type check"),
        (("get", "/nodes/n1", "--count", "13"), 255, "403 Permission check failed (no)\nmore\n"),
        (("get", "/nodes", "--output-format", "xml"), 255, "400 Parameter verification failed."),
        (("get", "/nodes/n2", "--noproxy"), 255, "500 proxy loop detected"),
        (("ls", "/y"), 1, "no such resource '/y'"),
    ],
)
def test_refusals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, text: str
) -> None:
    assert _run(tmp_path, *words) == status
    captured = capsys.readouterr()
    assert captured.err.startswith(text)
    assert captured.out == ""


def test_other_nodes_are_asked_by_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(root=tmp_path)
    settings.mountpoint.mkdir(parents=True)
    members = {"nodename": "n1", "nodelist": {"n2": {"id": 2, "online": 1, "ip": "192.0.2.2"}}}
    (settings.mountpoint / ".members").write_text(json.dumps(members))
    seen: list[list[str]] = []

    def run_program(argv: list[str], seconds: float) -> int:
        seen.append(argv)
        return 7

    monkeypatch.setattr(pvesh, "run_program", run_program)
    assert pvesh.main(["delete", "/nodes/n2/thing", "--output-format", "json"], settings, ROUTER) == 7
    assert "root@192.0.2.2" in seen[0]
    assert seen[0][-2:] == ["--", "pvesh delete /nodes/n2/thing --output-format json --noproxy 1"]
    assert pvesh.main(["get", "/nodes/n3"], settings, ROUTER) == 255


def test_ls_and_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, "ls", "/") == 0
    assert capsys.readouterr().out == "Dr---        nodes\n----c        null\n"
    assert _run(tmp_path, "ls", "/nodes") == 0
    assert capsys.readouterr().out == "Drw--        n1\nDrw--        n2\n"
    assert _run(tmp_path, "usage", "/nodes/n1", "--command", "set", "--verbose", "--returns") == 0
    out = capsys.readouterr().out
    assert out.startswith("USAGE: pvesh set /nodes/n1 [OPTIONS]")
    assert "How many." in out
    assert "Permission: Every user who is logged in." in out
    assert "RETURNS:" in out


def test_only_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 33)
    assert _run(tmp_path, "get", "/nodes") == 255
    assert capsys.readouterr().err == "please run as root\n"
    assert _run(tmp_path, "usage", "/nodes") == 0
