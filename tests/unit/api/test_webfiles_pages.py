"""Files of the web interface with their caching, and the API's answers as pages."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from quorate.api.pages import page_of
from quorate.api.protocol import Answer, Request, failure, success
from quorate.api.router import Router
from quorate.api.webfiles import WebFiles
from quorate.schema import ALL, ApiError, Array, Object, Operation, String


def _request(path: str, method: str = "GET", **headers: str) -> Request:
    return Request(method, path, {name.replace("_", "-"): value for name, value in headers.items()})


def _files(tmp_path: Path) -> WebFiles:
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text("<!DOCTYPE html>one")
    (tmp_path / "logo.svg").write_text("<svg/>")
    (assets / "index-Ab12_xY9.js").write_text("let a")
    (assets / "index-Ab12_xY9.js.gz").write_bytes(gzip.compress(b"let a"))
    (assets / "index-Ab12_xY9.js.br").write_bytes(b"brotli")
    (tmp_path / ".secret").write_text("no")
    (tmp_path.parent / "outside").write_text("no")
    (tmp_path / "link").symlink_to(tmp_path.parent / "outside")
    return WebFiles(tmp_path)


def test_index_is_asked_for_again_and_hashed_files_never(tmp_path: Path) -> None:
    files = _files(tmp_path)
    index = files.answer(_request("/"))
    assert index is not None
    assert (index.body, index.headers["Cache-Control"]) == (b"<!DOCTYPE html>one", "no-cache")
    assert "script-src 'self'" in index.headers["Content-Security-Policy"]
    script = files.answer(_request("/assets/index-Ab12_xY9.js"))
    assert script is not None
    assert script.headers["Cache-Control"].endswith("immutable")
    assert (script.body, script.content_type) == (b"let a", "text/javascript; charset=utf-8")
    logo = files.answer(_request("/logo.svg"))
    assert logo is not None
    assert logo.headers["Cache-Control"] == "no-cache"


def test_unchanged_files_are_not_sent_again(tmp_path: Path) -> None:
    files = _files(tmp_path)
    first = files.answer(_request("/"))
    assert first is not None
    again = files.answer(_request("/", if_none_match=first.headers["ETag"]))
    assert again is not None
    assert (again.status, again.body) == (304, b"")


def test_compressed_files(tmp_path: Path) -> None:
    files = _files(tmp_path)
    for accepted, encoding in (("gzip, br;q=1", "br"), ("gzip", "gzip"), ("identity", None)):
        answer = files.answer(_request("/assets/index-Ab12_xY9.js", accept_encoding=accepted))
        assert answer is not None
        assert answer.headers.get("Content-Encoding") == encoding


def test_what_is_not_served(tmp_path: Path) -> None:
    files = _files(tmp_path)
    for path in ("/.secret", "/link", "/../outside", "/%2e%2e/outside", "/assets", "/index.html/", "/x"):
        answer = files.answer(_request(path))
        assert answer is None or answer.body == b"<!DOCTYPE html>one", path
    assert files.answer(_request("/", method="POST")) is None


def test_a_new_build_is_noticed(tmp_path: Path) -> None:
    files = _files(tmp_path)
    assert files.answer(_request("/new.txt")) is None
    (tmp_path / "new.txt").write_text("new")
    (tmp_path / "index.html").write_text("<!DOCTYPE html>two, longer")
    found = files.answer(_request("/new.txt"))
    assert found is not None
    assert found.body == b"new"


def test_without_a_build_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    answer = WebFiles(tmp_path / "none").answer(_request("/"))
    assert answer is not None
    assert b"not installed" in answer.body


ROUTER = Router(
    [
        Operation(
            method="GET",
            path="/nodes",
            name="index",
            description="",
            handler=lambda ctx: None,
            permission=ALL,
            returns=Array(items=Object(properties={"node": String()}), link="{node}"),
        ),
        Operation(
            method="GET",
            path="/nodes/{node}/status",
            name="status",
            description="",
            handler=lambda ctx, node: None,
            parameters={"node": String()},
            permission=ALL,
        ),
    ]
)


def _page(answer: Answer, path: str) -> str:
    page = page_of(answer, path, ROUTER.place(path))
    assert page.content_type.startswith("text/html")
    return page.body.decode()


def test_pages_link_to_what_lies_below() -> None:
    text = _page(success([{"node": "n<1>", "x": [1]}], "json"), "/nodes")
    assert '<a href="/api2/html/nodes/n%3C1%3E">n&lt;1&gt;</a>' in text
    assert "<td>[1]</td>" in text
    assert '<a href="/api2/html/nodes/n1/status">status</a>' in _page(success(None, "json"), "/nodes/n1")


def test_pages_of_errors() -> None:
    text = _page(failure(ApiError(400, "no <good>", {"a": "b&c"}), "json"), "/x")
    assert "400 no &lt;good&gt;" in text
    assert "<dt>a</dt><dd>b&amp;c</dd>" in text
    assert "plain text" in _page(Answer(595, "plain text", b"plain text"), "/x")
    assert json.loads(failure(ApiError(500, "x"), "json").body)["message"] == "x\n"


def test_who_is_not_logged_in_goes_to_the_login_page() -> None:
    page = page_of(Answer(401, "No ticket"), "/nodes", None)
    assert (page.status, page.headers["Location"]) == (302, "/")
