"""``/nodes/{node}/config``: a node's settings, declared in quorate.nodeconfig (pvecm 10)."""

from __future__ import annotations

import logging
from typing import Final

from quorate.api.nodes import NODE
from quorate.cfs import Cfs, CfsError, file_lock_id
from quorate.clusterlog import record
from quorate.host.files import CHANGED, digest_of
from quorate.nodeconfig import OPTIONS, NodeConfig, parse, path_of, shown, write
from quorate.schema import (
    VERIFICATION_FAILED,
    ApiError,
    Check,
    Context,
    Object,
    Operation,
    Parameter,
    PropertyString,
    String,
)

_log = logging.getLogger(__name__)


def _get(ctx: Context, node: str, property: str | None = None) -> dict[str, object]:  # noqa: A002
    content = _read(ctx)
    values = _parse(content).values
    result = {key: value if isinstance(value, int) else shown(key, value) for key, value in values.items()}
    if property is not None:
        result = {key: value for key, value in result.items() if key == property}
    return {**result, "digest": digest_of(content)}


def _set(
    ctx: Context, node: str, delete: list[str] | None = None, digest: str | None = None, **params: object
) -> None:
    given = {key: params[key.replace("-", "_")] for key in OPTIONS if key.replace("-", "_") in params}
    unknown = [key for key in delete or () if key not in OPTIONS]
    if unknown:
        raise ApiError(400, VERIFICATION_FAILED, {"delete": f"unknown setting '{unknown[0]}'"})
    cfs = Cfs(ctx.settings)
    path = path_of(ctx.node)
    try:
        with cfs.lock(file_lock_id(path)) as lock:
            content = _read(ctx)
            if digest is not None and digest.lower() != digest_of(content):
                raise ApiError(500, CHANGED)
            config = _parse(content)
            for key in [*given, *(delete or ())]:
                config.other.pop(key, None)
                config.values.pop(key, None)
            config.values |= {key: value for key, value in given.items() if key not in (delete or ())}
            lock.remaining()
            cfs.write(path, write(config).encode())
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    record(ctx.settings, f"changed the settings of node '{ctx.node}'", user=ctx.user)


def _read(ctx: Context) -> bytes:
    try:
        return Cfs(ctx.settings).read(path_of(ctx.node))
    except FileNotFoundError:
        return b""
    except CfsError as err:
        raise ApiError(500, str(err)) from err


def _parse(content: bytes) -> NodeConfig:
    config, warnings = parse(content.decode("utf-8", "replace"))
    for text in warnings:
        _log.warning("%s", text)
    return config


def _result_of(declared: Parameter) -> Parameter:
    """Property strings are given as they stand in the file."""
    if isinstance(declared, PropertyString):
        return String(description=declared.description, optional=True)
    return declared


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/config",
        name="get_config",
        description="Settings of the node.",
        handler=_get,
        parameters={
            "node": NODE,
            "property": String(description="Only this one.", enum=tuple(OPTIONS), optional=True),
        },
        returns=Object(
            properties={
                **{key: _result_of(declared) for key, declared in OPTIONS.items()},
                "digest": String(description="SHA-1 of the file, to notice changes."),
            }
        ),
        permission=Check("/", ("Sys.Audit",)),
        proxyto_node=True,
    ),
    Operation(
        method="PUT",
        path="/nodes/{node}/config",
        name="set_options",
        description="Change settings of the node: set, then remove those named by 'delete'.",
        handler=_set,
        parameters={
            "node": NODE,
            **OPTIONS,
            "delete": String(
                description="Names of settings to remove; one that is not set is no error.",
                format="pve-configid-list",
                optional=True,
            ),
            "digest": String(
                description="As read: refuse if somebody changed the file meanwhile.",
                pattern="[0-9A-Fa-f]{40}",
                optional=True,
            ),
        },
        permission=Check("/", ("Sys.Modify",)),
        protected=True,
        proxyto_node=True,
    ),
]
