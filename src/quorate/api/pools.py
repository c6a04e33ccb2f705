"""``/pools``: guests and storages that stand together for access rules (pvecm 7.4)."""

from __future__ import annotations

from typing import Any, Final

from quorate.access import changes
from quorate.access.directory import directory_of
from quorate.access.store import change_users
from quorate.access.users import Pool
from quorate.api.access_rules import Caller, failing, looking_up
from quorate.api.access_users import COMMENT
from quorate.cfs import Cfs, CfsError
from quorate.clusterlog import record
from quorate.rules import Rights, Rule, Values
from quorate.schema import (
    All,
    And,
    AnyValue,
    ApiError,
    Array,
    Boolean,
    Check,
    Context,
    Integer,
    Named,
    Object,
    Operation,
    String,
)

POOL: Final = String(description="Name of the pool.", format="pve-poolid", max_length=128)
_AUDIT: Final = Check("/pool/{poolid}", ("Pool.Audit",))
_ALLOCATE: Final = Check("/pool/{poolid}", ("Pool.Allocate",))


def _pools(ctx: Context, poolid: str | None = None, type: str | None = None) -> list[dict[str, object]]:  # noqa: A002
    caller = Caller(ctx)
    result: list[dict[str, object]] = []
    for name, pool in sorted(directory_of(ctx.settings).users.pools.items()):
        if (poolid is None or name == poolid) and caller.may(f"/pool/{name}", "Pool.Audit"):
            entry: dict[str, object] = {"poolid": name}
            if pool.comment:
                entry["comment"] = pool.comment
            if poolid is not None:
                entry["members"] = _members(ctx, pool, type)
            result.append(entry)
    if poolid is not None and not result:
        with looking_up():
            changes.require_pool(directory_of(ctx.settings).users, poolid)
        raise ApiError(403, f"Permission check failed (/pool/{poolid}, Pool.Audit)")
    return result


def _pool(ctx: Context, poolid: str, type: str | None = None) -> dict[str, object]:  # noqa: A002
    with looking_up():
        pool = changes.require_pool(directory_of(ctx.settings).users, poolid)
    entry: dict[str, object] = {"members": _members(ctx, pool, type)}
    return entry | ({"comment": pool.comment} if pool.comment else {})


def _members(ctx: Context, pool: Pool, kind: str | None) -> list[dict[str, object]]:
    try:
        guests = Cfs(ctx.settings).guests()
    except CfsError as err:
        raise ApiError(500, str(err)) from err
    members: list[dict[str, object]] = []
    for vmid in sorted(pool.vms, key=int):
        guest = guests.get(int(vmid))
        if guest is not None and kind in (None, guest.kind):
            members.append(
                {"id": f"{guest.kind}/{vmid}", "type": guest.kind, "vmid": int(vmid), "node": guest.node}
            )
    if kind in (None, "storage"):
        members += [
            {"id": f"storage/{name}", "type": "storage", "storage": name} for name in sorted(pool.storage)
        ]
    return members


def _create(ctx: Context, poolid: str, comment: str = "") -> None:
    with failing("create pool"), change_users(ctx.settings) as (config, _):
        changes.add_pool(config, poolid, comment)
    record(ctx.settings, f"created pool '{poolid}'", user=ctx.user)


def _update(
    ctx: Context,
    poolid: str,
    comment: str | None = None,
    vms: list[str] | None = None,
    storage: list[str] | None = None,
    delete: bool = False,
    allow_move: bool = False,
) -> None:
    with failing("update pools"), change_users(ctx.settings) as (config, _):
        pool = changes.require_pool(config, poolid)
        for name, other in config.pools.items():
            # Being moved takes a guest away from another pool, which is a change of that one too.
            taken = not delete and allow_move and name != poolid and other.vms & {*(vms or [])}
            if taken and not Caller(ctx).may(f"/pool/{name}", "Pool.Allocate"):
                raise ApiError(403, f"Permission check failed (/pool/{name}, Pool.Allocate)")
        changes.change_members(config, poolid, vms or [], storage or [], delete=delete, allow_move=allow_move)
        if comment is not None:
            pool.comment = comment
    record(ctx.settings, f"changed pool '{poolid}'", user=ctx.user)


def _delete(ctx: Context, poolid: str) -> None:
    with failing("delete pool"), change_users(ctx.settings) as (config, _):
        changes.remove_pool(config, poolid)
    record(ctx.settings, f"deleted pool '{poolid}'", user=ctx.user)


def _on_members(rights: Rights, values: Values) -> bool:
    vms: Any = values.get("vms") or []
    stores: Any = values.get("storage") or []
    return all(rights.may(f"/vms/{vmid}", "VM.Allocate") for vmid in vms) and all(
        rights.may(f"/storage/{name}", "Datastore.Allocate") for name in stores
    )


_MEMBERS: Final = Named(
    "/vms, VM.Allocate",
    "VM.Allocate on each guest and Datastore.Allocate on each storage that is added or removed",
    _on_members,
    frozenset({"vms", "storage"}),
)
_UPDATE: Final = And(_ALLOCATE, _MEMBERS)
_TYPE: Final = String(
    description="Only members of this type.", optional=True, enum=("qemu", "lxc", "storage")
)
_CHANGES: Final = {
    "poolid": POOL,
    "comment": COMMENT,
    "vms": String(description="Guests.", format="pve-vmid-list", optional=True),
    "storage": String(description="Storages.", format="pve-storage-id-list", optional=True),
    "delete": Boolean(description="Remove the members instead of adding them.", optional=True),
    "allow-move": Boolean(description="Take guests out of the pool they are in.", optional=True),
}
_MEMBER_LIST: Final = Array(
    items=Object(
        properties={
            "id": String(),
            "type": String(enum=("qemu", "lxc", "storage")),
            "vmid": Integer(optional=True),
            "node": String(optional=True),
            "storage": String(optional=True),
        },
        additional=AnyValue(),
    )
)


def _operation(
    method: Any, path: str, name: str, description: str, handler: Any, rule: Rule, **more: Any
) -> Operation:
    return Operation(
        method=method,
        path=path,
        name=name,
        description=description,
        handler=handler,
        permission=rule,
        protected=method != "GET",
        **more,
    )


OPERATIONS: Final = [
    _operation(
        "GET",
        "/pools",
        "index",
        "The pools, or one of them with its members.",
        _pools,
        All("Only pools with Pool.Audit on /pool/POOL."),
        parameters={
            "poolid": String(description="Only this pool.", format="pve-poolid", optional=True),
            "type": _TYPE,
        },
        returns=Array(
            items=Object(
                properties={
                    "poolid": POOL,
                    "comment": String(optional=True),
                    "members": Array(items=_MEMBER_LIST.items, optional=True),
                }
            ),
            link="{poolid}",
        ),
    ),
    _operation(
        "POST",
        "/pools",
        "create_pool",
        "Create a pool.",
        _create,
        _ALLOCATE,
        parameters={"poolid": POOL, "comment": COMMENT},
    ),
    _operation(
        "PUT", "/pools", "update_pool", "Change a pool or its members.", _update, _UPDATE, parameters=_CHANGES
    ),
    _operation(
        "DELETE",
        "/pools",
        "delete_pool",
        "Delete a pool that is empty.",
        _delete,
        _ALLOCATE,
        parameters={"poolid": POOL},
    ),
    _operation(
        "GET",
        "/pools/{poolid}",
        "read_pool",
        "One pool and its members.",
        _pool,
        _AUDIT,
        parameters={"poolid": POOL, "type": _TYPE},
        returns=Object(properties={"members": _MEMBER_LIST, "comment": String(optional=True)}),
    ),
    _operation(
        "PUT",
        "/pools/{poolid}",
        "update_pool_by_path",
        "Change a pool or its members. For pools inside of pools use PUT /pools.",
        _update,
        _UPDATE,
        parameters=_CHANGES,
    ),
    _operation(
        "DELETE",
        "/pools/{poolid}",
        "delete_pool_by_path",
        "Delete a pool that is empty. For pools inside of pools use DELETE /pools.",
        _delete,
        _ALLOCATE,
        parameters={"poolid": POOL},
    ),
]
