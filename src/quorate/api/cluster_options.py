"""``/cluster/options``: the options of datacenter.cfg (pvecm 6.6, 8), declared in quorate.datacenter."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from quorate.access.directory import directory_of
from quorate.access.keys import CachedFile
from quorate.cfs import Cfs, CfsError, file_lock_id
from quorate.datacenter import FILE, OPTIONS, DatacenterError, Options, parse, shown, write
from quorate.formats import split_list
from quorate.replicated import State, replicated_of
from quorate.schema import (
    All,
    AnyValue,
    ApiError,
    Array,
    Check,
    Context,
    Integer,
    Object,
    Operation,
    Parameter,
    String,
)
from quorate.schema import PropertyString as Nested
from quorate.settings import Settings

_log = logging.getLogger(__name__)

FOR_ALL: Final = ("console", "tag-style")
"""What every user gets: the interface needs it."""


def options_of(settings: Settings) -> Options:
    """The present options. Raises OSError when the file system does not answer."""
    try:
        return dict(_file(settings).get()[0])
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=8)
def _file(settings: Settings) -> CachedFile[Options]:
    return CachedFile(settings.mountpoint / FILE, _parse)


def _parse(content: bytes) -> Options:
    options, warnings = parse(content.decode("utf-8", "replace"))
    for text in warnings:
        _log.warning("%s", text)
    return options


def _get(ctx: Context) -> dict[str, object]:
    options = options_of(ctx.settings)
    directory = directory_of(ctx.settings)
    result = shown(options)
    if not directory.may(ctx.user, "/", "Sys.Audit"):
        result = {key: result[key] for key in FOR_ALL if key in result}
    try:
        state = replicated_of(ctx.settings).state()
    except CfsError as err:
        _log.warning("the guests' tags are not known: %s", err)
        state = None
    result["allowed-tags"] = allowed_tags(
        options,
        _visible_tags(ctx, state),
        registered=directory.may(ctx.user, "/", "Sys.Modify"),
    )
    return result


def allowed_tags(options: Mapping[str, object], existing: set[str], *, registered: bool) -> list[str]:
    """Tags that a user may choose from: those of the guests, of a list, the registered ones (pvecm 8)."""
    access: Any = options.get("user-tag-access") or {}
    mode = access.get("user-allow", "free")
    tags: set[str] = set()
    if mode in ("free", "existing"):
        tags |= existing
    if mode in ("free", "existing", "list"):
        tags |= set(split_list(access.get("user-allow-list", "")))
    reserved = set(split_list(str(options.get("registered-tags", ""))))
    return sorted(tags | reserved if registered else tags - reserved)


def _visible_tags(ctx: Context, state: State | None) -> set[str]:
    directory = directory_of(ctx.settings)
    tags: set[str] = set()
    for vmid, values in state.properties.items() if state is not None else ():
        if values.get("tags") and directory.may(ctx.user, f"/vms/{vmid}", "VM.Audit"):
            tags.update(split_list(values["tags"]))
    return tags


def _set(ctx: Context, delete: list[str] | None = None, **params: object) -> None:
    given = {key: params[key.replace("-", "_")] for key in OPTIONS if key.replace("-", "_") in params}
    cfs = Cfs(ctx.settings)
    try:
        with cfs.lock(file_lock_id(FILE)) as lock:
            try:
                options = parse(cfs.read(FILE).decode("utf-8", "replace"))[0]
            except FileNotFoundError:
                options = {}
            if "migration_unsecure" in given:
                options.pop("migration", None)
            options.update(given)
            for key in delete or ():
                options.pop(key, None)
            if options.get("console") == "applet":
                options["console"] = "html5"
            content = write(options).encode()
            lock.remaining()
            cfs.write(FILE, content)
    except (CfsError, DatacenterError) as err:
        raise ApiError(500, str(err)) from err


def _result_of(key: str, declared: Parameter) -> Parameter:
    if isinstance(declared, Nested) and key not in ("bwlimit", "location"):
        return Object(description=declared.description, additional=AnyValue(), optional=True)
    if key == "registered-tags":
        return Array(description=declared.description, optional=True)
    if isinstance(declared, Integer):
        return String(description=declared.description, optional=True)
    return declared


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/cluster/options",
        name="get_options",
        description="Options of the whole cluster. Nested ones are objects of texts.",
        handler=_get,
        returns=Object(
            properties={
                **{key: _result_of(key, value) for key, value in OPTIONS.items()},
                "allowed-tags": Array(description="Tags that the caller may choose from, sorted."),
            }
        ),
        permission=All(
            note="Without Sys.Audit on / only 'console', 'tag-style' and 'allowed-tags' are shown."
        ),
    ),
    Operation(
        method="PUT",
        path="/cluster/options",
        name="set_options",
        description="Set options of the whole cluster, then remove those named by 'delete'.",
        handler=_set,
        parameters={
            **OPTIONS,
            "delete": String(
                description="Names of options to remove; one that is not set is no error.",
                format="pve-configid-list",
                optional=True,
            ),
        },
        permission=Check("/", ("Sys.Modify",)),
        protected=True,
    ),
]
