"""The html format: an answer of the API as a plain page with links to what lies below. Pure, no scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final
from urllib.parse import quote

from quorate.api.protocol import Answer
from quorate.api.router import Place
from quorate.schema import Array

HTML_FORMATS: Final = frozenset({"html", "htmljs"})
LOGIN_PAGE: Final = "/"
HTML_TYPE: Final = "text/html; charset=utf-8"


def page_of(answer: Answer, path: str, place: Place | None) -> Answer:
    """The page for an answer in the json format. Who has to log in is sent to the login page."""
    if answer.status == 401:
        return Answer(302, "Found", b"", HTML_TYPE, {"Location": LOGIN_PAGE})
    try:
        envelope = json.loads(answer.body)
    except ValueError:
        envelope = {}
    data = envelope.get("data") if isinstance(envelope, dict) else None
    parts = [f"<h1>{_trail(path)}</h1>"]
    if answer.status >= 400:
        message = str(envelope.get("message") or answer.reason)
        parts.append(f"<p><strong>{answer.status} {escape(message.strip())}</strong></p>")
        parts += _errors(envelope.get("errors"))
    else:
        children = list(dict.fromkeys([*(place.names if place is not None else ()), *_children(data, place)]))
        if children:
            links = "".join(f"<li>{_link(path, name)}</li>" for name in children)
            parts.append(f"<h2>Below</h2><ul>{links}</ul>")
        parts.append(_value(data))
    body = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(path)}</title></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )
    return Answer(answer.status, answer.reason, body.encode(), HTML_TYPE)


def _trail(path: str) -> str:
    names = [name for name in path.split("/") if name]
    links = ['<a href="/api2/html/">api2</a>']
    links += [_link("/" + "/".join(names[:depth]), name) for depth, name in enumerate(names)]
    return " / ".join(links)


def _link(path: str, name: str) -> str:
    target = f"/api2/html{path.rstrip('/')}/{name}"
    return f'<a href="{escape(quote(target))}">{escape(name)}</a>'


def _children(data: object, place: Place | None) -> Iterable[str]:
    """The names in a list that stand for the placeholder of the paths below."""
    operation = place.operations.get("GET") if place is not None else None
    if place is None or operation is None or not isinstance(operation.returns, Array):
        return
    keys = re.findall(r"{([\w-]+)}", operation.returns.link or "")
    if place.placeholder is not None and not keys:
        keys = [place.placeholder]
    for element in data if isinstance(data, list) else []:
        if isinstance(element, dict) and keys and keys[0] in element:
            yield str(element[keys[0]])


def _errors(errors: object) -> list[str]:
    if not isinstance(errors, dict):
        return []
    entries = (f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>" for k, v in errors.items())
    return [f"<dl>{''.join(entries)}</dl>"]


def _value(data: object) -> str:
    if isinstance(data, list) and data and all(isinstance(element, dict) for element in data):
        titles = sorted({str(key) for element in data for key in element})
        return _table(titles, [[element.get(title) for title in titles] for element in data])
    if isinstance(data, dict) and data:
        return _table(["key", "value"], [[key, data[key]] for key in sorted(data)])
    return f"<pre>{escape(json.dumps(data, indent=2, ensure_ascii=False))}</pre>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    lines = ("".join(f"<td>{escape(_cell(value))}</td>" for value in row) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
