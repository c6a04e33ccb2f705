"""``/version``, and the lists of what lies below a path (``/``, ``/access``, ``/cluster`` ...)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

import quorate
from quorate.api.cluster_options import options_of
from quorate.schema import ALL, Array, Context, Object, Operation, String

API_VERSION: Final = "9.2.0"
"""The generation of the API that clients may expect; they compare it, so it is not the package's version."""

VERSION_RESULT: Final = Object(
    properties={
        "version": String(description="Version of the API."),
        "release": String(description="Its first two numbers."),
        "repoid": String(description="Identifies the build."),
        "console": String(description="The console preferred in the cluster.", optional=True),
    }
)

_INDEX_PATHS: Final = {
    "/": "subdir",
    "/access": "subdir",
    "/cluster": "name",
    "/nodes/{node}": "name",
    "/nodes/{node}/certificates": "name",
    "/nodes/{node}/corosync": "name",
    "/nodes/{node}/tasks/{upid}": "name",
}
"""Paths that only list their children, and the key under which each child's name stands."""


def version_info() -> dict[str, str]:
    """Version, release and an identifier of exactly this build."""
    release = ".".join(API_VERSION.split(".")[:2])
    built = hashlib.sha1(quorate.__version__.encode(), usedforsecurity=False).hexdigest()[:16]
    return {"version": API_VERSION, "release": release, "repoid": built}


def index_operations(operations: Iterable[Operation]) -> list[Operation]:
    """The listing operations of the tree that ``operations`` make."""
    paths = [operation.path for operation in operations]
    return [_index(path, key, paths) for path, key in _INDEX_PATHS.items()]


def _index(path: str, key: str, paths: list[str]) -> Operation:
    depth = len(_parts(path))
    inner = {*paths, *_INDEX_PATHS}
    names = {_parts(other)[depth] for other in inner if _below(path, other)}
    children = [{key: name} for name in sorted(names) if not name.startswith("{")]

    def listing(ctx: Context, **_placeholders: object) -> list[dict[str, str]]:
        return children

    placeholders = re.findall(r"{(\w+)}", path)
    return Operation(
        method="GET",
        path=path,
        name="index",
        description=f"List what lies below {path}.",
        handler=listing,
        parameters={name: String(description=f"The {name}.") for name in placeholders},
        returns=Array(
            items=Object(properties={key: String(description="Name of the part.")}), link=f"{{{key}}}"
        ),
        permission=ALL,
    )


def _below(path: str, other: str) -> bool:
    here, there = _parts(path), _parts(other)
    return len(there) > len(here) and there[: len(here)] == here


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _version(ctx: Context) -> dict[str, str]:
    result = version_info()
    if (console := options_of(ctx.settings).get("console")) is not None:
        result["console"] = str(console)
    return result


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/version",
        name="version",
        description="Version of the API, and the preferred console.",
        handler=_version,
        returns=VERSION_RESULT,
        permission=ALL,
    ),
]
