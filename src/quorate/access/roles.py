"""Privileges and built-in roles (pvecm 7.4). Data only; who has which is `permissions`."""

from __future__ import annotations

from typing import Final

PRIVILEGES: Final = frozenset(
    {
        "Datastore.Allocate",
        "Datastore.AllocateSpace",
        "Datastore.AllocateTemplate",
        "Datastore.Audit",
        "Group.Allocate",
        "Mapping.Audit",
        "Mapping.Modify",
        "Mapping.Use",
        "Permissions.Modify",
        "Pool.Allocate",
        "Pool.Audit",
        "Realm.Allocate",
        "Realm.AllocateUser",
        "SDN.Allocate",
        "SDN.Audit",
        "SDN.Use",
        "Sys.AccessNetwork",
        "Sys.Audit",
        "Sys.Console",
        "Sys.Incoming",
        "Sys.Modify",
        "Sys.PowerMgmt",
        "Sys.Syslog",
        "User.Modify",
        "VM.Allocate",
        "VM.Audit",
        "VM.Backup",
        "VM.Clone",
        "VM.Config.CDROM",
        "VM.Config.CPU",
        "VM.Config.Cloudinit",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.Console",
        "VM.GuestAgent.Audit",
        "VM.GuestAgent.FileRead",
        "VM.GuestAgent.FileSystemMgmt",
        "VM.GuestAgent.FileWrite",
        "VM.GuestAgent.Unrestricted",
        "VM.Migrate",
        "VM.PowerMgmt",
        "VM.Replicate",
        "VM.Snapshot",
        "VM.Snapshot.Rollback",
    }
)

ADMINISTRATOR: Final = "Administrator"
NO_ACCESS: Final = "NoAccess"

_ROOT_ONLY = frozenset(
    {
        "Sys.PowerMgmt",
        "Sys.Modify",
        "Sys.Incoming",
        "Sys.AccessNetwork",
        "Realm.Allocate",
        "Permissions.Modify",
    }
)


def _beginning(*prefixes: str) -> frozenset[str]:
    return frozenset(privilege for privilege in PRIVILEGES if privilege.startswith(prefixes))


BUILTIN_ROLES: Final[dict[str, frozenset[str]]] = {
    ADMINISTRATOR: PRIVILEGES,
    NO_ACCESS: frozenset(),
    "PVEAdmin": PRIVILEGES - _ROOT_ONLY - {"Mapping.Modify"},
    "PVEAuditor": frozenset(privilege for privilege in PRIVILEGES if privilege.endswith(".Audit")),
    "PVEVMAdmin": _beginning("VM."),
    "PVEDatastoreAdmin": _beginning("Datastore."),
    "PVEPoolAdmin": _beginning("Pool."),
    "PVESDNAdmin": _beginning("SDN."),
    "PVEMappingAdmin": _beginning("Mapping."),
    "PVESysAdmin": frozenset({"Sys.Audit", "Sys.Console", "Sys.Syslog"}),
    "PVEUserAdmin": frozenset({"User.Modify", "Group.Allocate", "Realm.AllocateUser"}),
    "PVEVMUser": frozenset(
        {
            "VM.Audit",
            "VM.Backup",
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.GuestAgent.Audit",
            "VM.PowerMgmt",
        }
    ),
    "PVEDatastoreUser": frozenset({"Datastore.AllocateSpace", "Datastore.Audit"}),
    "PVEPoolUser": frozenset({"Pool.Audit"}),
    "PVESDNUser": frozenset({"SDN.Audit", "SDN.Use"}),
    "PVEMappingUser": frozenset({"Mapping.Audit", "Mapping.Use"}),
    "PVETemplateUser": frozenset({"VM.Audit", "VM.Clone"}),
}
