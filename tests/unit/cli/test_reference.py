"""The reference pages: what they say, and that those in docs/reference are current."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from quorate.api.reference import reference
from quorate.cli.reference import pages
from quorate.schema import (
    ALL,
    Array,
    Check,
    Integer,
    Object,
    Operation,
    Parameter,
    String,
    indexed,
)

DIRECTORY = Path(__file__).resolve().parents[3] / "docs/reference"


@pytest.mark.parametrize("name", ["api.md", "pvecm.md"])
def test_pages_are_current(name: str) -> None:
    assert pages()[name] == (DIRECTORY / name).read_text(encoding="utf-8"), "stale: run ./dev docs"


def test_entries() -> None:
    parameters: dict[str, Parameter] = {
        "node": String(),
        "max": Integer(minimum=1, optional=True, default=5, description="At most\nso many."),
        **indexed("link", 8, String(optional=True)),
    }
    given: dict[str, Any] = {"description": "Show it.", "handler": lambda ctx, **params: None}
    operations = [
        Operation(
            method="GET",
            path="/nodes/{node}/x",
            name="x",
            parameters=parameters,
            permission=Check("/nodes/{node}", ("Sys.Audit",)),
            protected=True,
            proxyto_node=True,
            allow_token=False,
            returns=Array(items=Object(properties={"a": String(), "b": String(optional=True)})),
            **given,
        ),
        Operation(method="GET", path="/", name="index", permission=ALL, **given),
    ]
    text = reference(operations)
    assert text.index("### GET /\n") < text.index("## /nodes\n") < text.index("### GET /nodes/{node}/x")
    for line in (
        "- Permission: Sys.Audit on /nodes/{node}",
        "- *root, forwarded, not with API tokens*",
        "- **`node`** `<string>`",
        "- `max` `<integer> (1 - N)`, default `5`: At most so many.",
        "- `link[n]` `<string>`",
        "- Returns: list of {`a`, `b?`}",
    ):
        assert line in text.splitlines()
