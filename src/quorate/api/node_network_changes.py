"""``/nodes/{node}/network``: changing interfaces; the changes wait until they are applied (pvecm 6.8)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final

from quorate.api.node_names import MODIFY
from quorate.api.nodes import NODE
from quorate.clusterlog import record
from quorate.formats import split_list
from quorate.host import ifaceedit, ifacerules
from quorate.host.files import changing, check_digest
from quorate.host.interfaces import PHYSICAL, Interface, parse_interfaces, prefix_length
from quorate.host.network import (
    apply,
    existing_interfaces,
    read_network,
    reloader,
    revert,
    sourced_interfaces,
    write_changes,
)
from quorate.schema import (
    VERIFICATION_FAILED,
    ApiError,
    Boolean,
    Context,
    Integer,
    Operation,
    Parameter,
    String,
)
from quorate.tasks import start_worker

TYPES: Final = ("bridge", "bond", "eth", "alias", "vlan", "unknown")
"""What can be made and changed; ``unknown`` is a card whose name does not say that it is one. Others, those
of Open vSwitch, are kept, shown, and removed."""

_COMMON: Final = ("cidr", "cidr6", "gateway", "gateway6", "comments", "comments6", "mtu", "autostart")
_OWN: Final = {
    "bridge": ("bridge_ports", "bridge_vlan_aware", "bridge_vids"),
    "bond": ("slaves", "bond_mode", "bond-primary", "bond_xmit_hash_policy"),
    "vlan": ("vlan-id", "vlan-raw-device"),
    "eth": (),
    "alias": (),
    "unknown": (),
}
_DEFAULTS: Final = {
    "bridge": {"bridge_ports": "none", "bridge_stp": "off", "bridge_fd": "0"},
    "bond": {"slaves": "none", "bond_miimon": "100"},
}
"""What a new interface gets where nothing else is said."""
_LISTS: Final = ("bridge_ports", "slaves", "bridge_vids")
_OLD_NAMES: Final = {"address": "cidr", "netmask": "cidr", "address6": "cidr6", "netmask6": "cidr6"}

Values = Mapping[str, object]


def _create(ctx: Context, node: str, iface: str, type: str, **given: object) -> None:  # noqa: A002
    values = _values(given)
    _only_for(type, values)
    patch = {**_DEFAULTS.get(type, {}), **_patch(iface, type, values, delete=())}
    automatic = bool(values.get("autostart"))
    with changing(ctx.settings):
        network = read_network(ctx.settings)
        if iface in ifaceedit.defined(network.text):
            raise _wrong(iface="interface already exists")
        for path, other in sourced_interfaces(ctx.settings, network.text):
            if other["iface"] == iface:
                raise _wrong(iface=f"interface already exists (in '{path}')")
        text = ifaceedit.create(network.text, iface, patch, automatic=automatic)
        _check(ctx, text, iface, type, values)
        write_changes(ctx.settings, network, text)
    _record(ctx, f"added network interface '{iface}' (not applied yet)")


def _update(
    ctx: Context,
    node: str,
    iface: str,
    type: str,  # noqa: A002 - the parameter's name
    delete: list[str] | None = None,
    digest: str | None = None,
    **given: object,
) -> None:
    values = _values(given)
    _only_for(type, values)
    patch = _patch(iface, type, values, delete=delete or ())
    removed = "autostart" in (delete or ())
    automatic = False if removed else _flag(values.get("autostart"))
    with changing(ctx.settings):
        network = read_network(ctx.settings)
        check_digest(network.content, digest)
        before = _changeable(ctx, network.text, iface)
        if before is None:
            # A card that the kernel has and nobody configured yet.
            text = ifaceedit.create(network.text, iface, patch, automatic=bool(automatic))
        else:
            if before["type"] != type:
                raise _wrong(type=f"interface '{iface}' is of type '{before['type']}'")
            text = ifaceedit.change(network.text, iface, patch, automatic=automatic)
        _check(ctx, text, iface, type, values, before=network.text if before is not None else None)
        write_changes(ctx.settings, network, text)
    _record(ctx, f"changed network interface '{iface}' (not applied yet)")


def _remove(ctx: Context, node: str, iface: str, digest: str | None = None) -> None:
    with changing(ctx.settings):
        network = read_network(ctx.settings)
        check_digest(network.content, digest)
        if iface == "lo" or iface not in ifaceedit.defined(network.text):
            raise _wrong(iface="interface does not exist")
        users = ifacerules.users_of(parse_interfaces(network.text), iface)
        if users:
            raise _wrong(iface=f"interface '{iface}' is used by {', '.join(repr(user) for user in users)}")
        write_changes(ctx.settings, network, ifaceedit.remove(network.text, iface))
    _record(ctx, f"removed network interface '{iface}' (not applied yet)")


def _apply(ctx: Context, node: str) -> str:
    reloader(ctx.settings)  # who cannot apply is told now, not in a task's log

    def work(_upid: object) -> None:
        apply(ctx.settings)

    return str(start_worker("srvreload", "networking", ctx.user, work, ctx.settings))


def _revert(ctx: Context, node: str) -> None:
    with changing(ctx.settings):
        revert(ctx.settings)
    _record(ctx, "forgot the network changes that waited")


def _record(ctx: Context, what: str) -> None:
    record(ctx.settings, f"{what} on node '{ctx.node}'", user=ctx.user)


# -- from parameters to a patch -------------------------------------------------------------------------


def _values(given: Values) -> dict[str, object]:
    """Parameters by the names of the declaration, where a handler gets underscores."""
    return {name: given[name.replace("-", "_")] for name in FIELDS if name.replace("-", "_") in given}


def _only_for(kind: str, values: Values) -> None:
    allowed = {*_COMMON, *_OLD_NAMES, *_OWN[kind]}
    wrong = {name: f"not a setting of type '{kind}'" for name in values if name not in allowed}
    if wrong:
        raise ApiError(400, VERIFICATION_FAILED, wrong)


def _patch(
    iface: str, kind: str, values: Values, *, delete: tuple[str, ...] | list[str]
) -> dict[str, str | None]:
    patch: dict[str, str | None] = {}
    for name in delete:
        field = _OLD_NAMES.get(name, name)
        if field not in (*_COMMON, *_OWN[kind]):
            raise _wrong(delete=f"not a setting of type '{kind}': '{name}'")
        if field != "autostart":
            patch[field] = "none" if field in ("bridge_ports", "slaves") else None
    for name, value in values.items():
        if name in _LISTS:
            words = split_list(str(value))
            patch[name] = " ".join(words) or ("none" if name != "bridge_vids" else None)
        elif name == "bridge_vlan_aware":
            patch[name] = "yes" if value else None
        elif name not in _OLD_NAMES and name != "autostart":
            patch[name] = str(value) or None
    for suffix in ("", "6"):
        cidr = _cidr(values, suffix)
        if cidr is not None:
            patch[f"cidr{suffix}"] = cidr
    if kind == "vlan":
        _name_says(iface, patch)
    return patch


def _cidr(values: Values, suffix: str) -> str | None:
    """The address in the one form in which it is written; it may come in the older one, or in both."""
    cidr = values.get(f"cidr{suffix}")
    address, mask = values.get(f"address{suffix}"), values.get(f"netmask{suffix}")
    if address is None:
        return None if cidr is None else str(cidr)
    joined = f"{address}/{prefix_length(str(mask))}"
    try:
        given = ipaddress.ip_interface(joined)
    except ValueError:
        raise _wrong(**{f"netmask{suffix}": f"'{mask}' is no netmask for {address}"}) from None
    if cidr is not None and ipaddress.ip_interface(str(cidr)) != given:
        raise _wrong(**{f"cidr{suffix}": f"says something else than address and netmask: {joined}"})
    return joined


def _name_says(iface: str, patch: dict[str, str | None]) -> None:
    """A VLAN that is named for its device and number needs no lines that say the same."""
    device, dot, number = iface.rpartition(".")
    said = {"vlan-raw-device": device, "vlan-id": number} if dot and number.isdecimal() else {}
    if not said and (match := re.fullmatch(r"vlan(\d+)", iface)) is not None:
        said = {"vlan-id": match[1]}
    for name, meant in said.items():
        value = patch.pop(name, None)
        if value is not None and value.lstrip("0") != meant.lstrip("0"):
            raise _wrong(**{name.replace("-", "_"): f"the name '{iface}' says '{meant}'"})


# -- checks ---------------------------------------------------------------------------------------------


def _changeable(ctx: Context, text: str, iface: str) -> Interface | None:
    """The interface as it is configured; None for a card without configuration. Raises ApiError."""
    if iface in ifaceedit.left_alone(text):
        raise _wrong(iface=f"the configuration of '{iface}' has a form that can only be edited by hand")
    found = next((each for each in parse_interfaces(text) if each["iface"] == iface), None)
    if found is None:
        if not PHYSICAL.fullmatch(iface) or iface not in existing_interfaces(ctx.settings):
            raise _wrong(iface="interface does not exist")
        for path, other in sourced_interfaces(ctx.settings, text):
            if other["iface"] == iface:
                raise _wrong(iface=f"interface is configured in '{path}': edit that by hand")
    return found


def _check(
    ctx: Context, text: str, iface: str, kind: str, values: Values, *, before: str | None = None
) -> None:
    """The configuration as it would be. What was wrong before and is not touched is nobody's business now."""
    foreign = [interface for _, interface in sourced_interfaces(ctx.settings, text)]
    existing = existing_interfaces(ctx.settings)
    after = parse_interfaces(text)
    own = next(interface for interface in after if interface["iface"] == iface)
    if own["type"] != kind:
        raise _wrong(type=f"an interface named '{iface}' with these settings is of type '{own['type']}'")
    found = ifacerules.problems([*after, *foreign], iface, existing)
    for suffix in ("", "6"):
        if values.get(f"gateway{suffix}") and f"gateway{suffix}" not in own:
            found[f"gateway{suffix}"] = "a gateway needs an address of the same kind"
    if before is not None:
        known = ifacerules.problems([*parse_interfaces(before), *foreign], iface, existing)
        found = {name: problem for name, problem in found.items() if known.get(name) != problem}
    if found:
        raise ApiError(
            400, VERIFICATION_FAILED, {_as_given(name, values): text for name, text in found.items()}
        )


def _as_given(name: str, values: Values) -> str:
    """The parameter that the caller used for an address."""
    older = name.replace("cidr", "address")
    return older if name not in values and older in values else name


def _flag(value: object) -> bool | None:
    return None if value is None else bool(value)


def _wrong(**texts: str) -> ApiError:
    names = {name if name in FIELDS else name.replace("_", "-"): text for name, text in texts.items()}
    return ApiError(400, VERIFICATION_FAILED, names)


# -- declarations ---------------------------------------------------------------------------------------

_NAME: Final = r"[a-zA-Z][a-zA-Z0-9_]{1,20}(?:\.\d{1,4})?(?::\d{1,4})?"
_PART: Final = r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}"
_NAMES: Final = rf"\s*(?:{_PART}(?:[\s,;]+{_PART})*)?\s*"
_VIDS: Final = r"\s*(?:\d{1,4}(?:-\d{1,4})?(?:[\s,;]+\d{1,4}(?:-\d{1,4})?)*)?\s*"
_NOTES: Final = r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*"
MAX_NOTES: Final = 8 * 1024


def _text(description: str, **more: object) -> String:
    return String(description=description, optional=True, **more)  # type: ignore[arg-type]


FIELDS: Final[dict[str, Parameter]] = {
    "cidr": _text("IPv4 address with prefix.", format="CIDR"),
    "address": _text("IPv4 address; the older form of 'cidr'.", format="ip", requires="netmask"),
    "netmask": _text("Prefix or netmask of it.", pattern=r"[0-9.]{1,15}", requires="address"),
    "gateway": _text("Default gateway; only one interface has one.", format="ip"),
    "cidr6": _text("IPv6 address with prefix.", format="CIDR"),
    "address6": _text("IPv6 address; the older form of 'cidr6'.", format="ip", requires="netmask6"),
    "netmask6": Integer(
        description="Prefix of it.", minimum=0, maximum=128, requires="address6", optional=True
    ),
    "gateway6": _text("Default gateway; only one interface has one.", format="ip"),
    "autostart": Boolean(description="Bring it up at boot.", optional=True),
    "mtu": Integer(description="Largest packet in bytes.", minimum=1280, maximum=65520, optional=True),
    "comments": _text("Notes.", pattern=_NOTES, max_length=MAX_NOTES),
    "comments6": _text("Notes at the IPv6 part.", pattern=_NOTES, max_length=MAX_NOTES),
    "bridge_ports": _text("What a bridge connects.", pattern=_NAMES, max_length=4096),
    "bridge_vlan_aware": Boolean(description="A bridge knows VLANs.", optional=True),
    "bridge_vids": _text("VLANs that a bridge passes, e.g. '2-4094'.", pattern=_VIDS, max_length=4096),
    "slaves": _text("What a bond is made of.", pattern=_NAMES, max_length=4096),
    "bond_mode": _text(
        "Kind of bond.",
        enum=(
            *("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb"),
            "balance-alb",
        ),
    ),
    "bond-primary": _text("The slave that an active-backup bond prefers.", pattern=_PART),
    "bond_xmit_hash_policy": _text(
        "How a balance-xor or 802.3ad bond distributes.", enum=("layer2", "layer2+3", "layer3+4")
    ),
    "vlan-id": Integer(
        description="Number of a VLAN whose name does not say it.", minimum=1, maximum=4094, optional=True
    ),
    "vlan-raw-device": _text("What a VLAN is on, if its name does not say it.", pattern=_PART),
}
_IFACE: Final = String(
    description="Its name: an alias is NAME:NUMBER, a VLAN NAME.NUMBER or any name with its settings.",
    pattern=_NAME,
    min_length=2,
    max_length=20,
)
_TYPE: Final = String(description="What it is. The type does not change.", enum=TYPES)
_DIGEST: Final = _text(
    "As read with one interface: refuse if somebody changed the configuration meanwhile.",
    pattern="[0-9A-Fa-f]{40}",
)


def _operation(
    method: str, path: str, name: str, description: str, handler: Callable[..., object], **more: object
) -> Operation:
    return Operation(
        method=method,  # type: ignore[arg-type]
        path=f"/nodes/{{node}}/network{path}",
        name=name,
        description=description,
        handler=handler,
        permission=MODIFY,
        protected=True,
        proxyto_node=True,
        **more,  # type: ignore[arg-type]
    )


OPERATIONS: Final = [
    _operation(
        "POST",
        "",
        "create_network",
        "Add an interface to the configuration. It waits until the changes are applied.",
        _create,
        parameters={"node": NODE, "iface": _IFACE, "type": _TYPE, **FIELDS},
    ),
    _operation(
        "PUT",
        "",
        "reload_network_config",
        "Apply the changes that wait, by ifupdown2's 'ifreload -a'. Refused where that is not installed.",
        _apply,
        parameters={"node": NODE},
        returns=String(description="Identifier of the task."),
    ),
    _operation(
        "DELETE",
        "",
        "revert_network_changes",
        "Forget the changes that wait.",
        _revert,
        parameters={"node": NODE},
    ),
    _operation(
        "PUT",
        "/{iface}",
        "update_network",
        "Change an interface's configuration: what is not named stays. It waits until the changes are"
        " applied.",
        _update,
        parameters={
            "node": NODE,
            "iface": _IFACE,
            "type": _TYPE,
            **FIELDS,
            "delete": _text("Names of settings to remove.", format="pve-configid-list"),
            "digest": _DIGEST,
        },
    ),
    _operation(
        "DELETE",
        "/{iface}",
        "delete_network",
        "Remove an interface from the configuration, unless others are made of it. It waits until the changes"
        " are applied.",
        _remove,
        parameters={
            "node": NODE,
            "iface": String(description="Its name.", min_length=2, max_length=20),
            "digest": _DIGEST,
        },
    ),
]
