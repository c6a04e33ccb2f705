/* Permissions: who has which role on which path. */

import { Button } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { AclEntry } from "../api/model";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { CheckField, ChoiceField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

const KINDS = [
  ["user", "User"],
  ["group", "Group"],
  ["token", "API token"],
] as const;

export default function Permissions(): ReactElement {
  const acl = usePolled("/access/acl", {}, 15, ["access"]);
  const [isAdding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<AclEntry>();
  const close = (): void => {
    setAdding(false);
    setRemoving(undefined);
    acl.reload();
  };
  return (
    <>
      <div className="q-buttons">
        <Button onClick={() => setAdding(true)}>Add permission</Button>
      </div>
      <Failure failure={acl.failure} title="The permissions could not be read" />
      <DataTable
        label="Permissions"
        rows={acl.data}
        hasFailed={acl.failure !== undefined}
        rowKey={(row) => `${row.path} ${row.type} ${row.ugid} ${row.roleid}`}
        rowName={(row) => `${row.roleid} of ${row.ugid} on ${row.path}`}
        empty="No permission is given yet; root@pam may do everything."
        columns={[
          { label: "Path", show: (row) => row.path, by: (row) => row.path },
          { label: "Kind", show: (row) => KINDS.find(([kind]) => kind === row.type)?.[1] ?? row.type },
          { label: "Who", show: (row) => row.ugid, by: (row) => row.ugid },
          { label: "Role", show: (row) => row.roleid, by: (row) => row.roleid },
          { label: "Also below", show: (row) => (row.propagate === 0 ? "no" : "yes") },
        ]}
        actions={(row) => [{ title: "Remove", onClick: () => setRemoving(row) }]}
      />
      {isAdding && <AddDialog onClose={close} />}
      {removing && (
        <DeleteDialog
          what={`the role ${removing.roleid} of ${removing.ugid} on ${removing.path}`}
          onDelete={() =>
            change("PUT", "/access/acl", {
              path: removing.path,
              roles: removing.roleid,
              ...subject(removing.type, removing.ugid),
              delete: 1,
            })
          }
          onClose={close}
        />
      )}
    </>
  );
}

function AddDialog({ onClose }: { onClose: () => void }): ReactElement {
  const roles = usePolled("/access/roles", {});
  const [path, setPath] = useState("/");
  const [kind, setKind] = useState<AclEntry["type"]>("user");
  const [who, setWho] = useState("");
  const [role, setRole] = useState("PVEAuditor");
  const [propagates, setPropagates] = useState(true);
  const names = roles.data?.map((entry) => entry.roleid) ?? [role];
  return (
    <FormDialog
      title="Add permission"
      submitLabel="Add"
      canSubmit={path.startsWith("/") && who !== ""}
      onSubmit={async () => {
        await change("PUT", "/access/acl", { path, roles: role, ...subject(kind, who), propagate: propagates });
        return undefined;
      }}
      onClose={onClose}
      fields={["path", "roles", `${kind}s`]}
    >
      {(errors) => (
        <>
          <TextField
            label="Path"
            value={path}
            onChange={setPath}
            isRequired
            autoFocus
            suggestions={["/", "/access", "/nodes", "/pool", "/storage", "/vms"].map((value) => ({ value }))}
            fault={errors["path"]}
          />
          <ChoiceField label="Kind" value={kind} onChange={setKind} choices={KINDS} />
          <TextField
            label="Who"
            value={who}
            onChange={setWho}
            isRequired
            placeholder={{ user: "name@realm", group: "group", token: "name@realm!token" }[kind]}
            fault={errors[`${kind}s`]}
          />
          <ChoiceField label="Role" value={role} onChange={setRole} choices={names.map((name) => [name, name] as const)} fault={errors["roles"]} />
          <CheckField label="Also for everything below the path" value={propagates} onChange={setPropagates} />
        </>
      )}
    </FormDialog>
  );
}

function subject(kind: AclEntry["type"], id: string): { users: string } | { groups: string } | { tokens: string } {
  return kind === "user" ? { users: id } : kind === "group" ? { groups: id } : { tokens: id };
}
