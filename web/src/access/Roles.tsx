/* Roles: named sets of privileges. Built-in ones cannot be changed. */

import { Button } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { Role } from "../api/model";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { AreaField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

type Dialog = { kind: "add" } | { kind: "edit" | "delete"; role: Role };

export default function Roles(): ReactElement {
  const roles = usePolled("/access/roles", {}, 15, ["access"]);
  const [dialog, setDialog] = useState<Dialog>();
  const close = (): void => {
    setDialog(undefined);
    roles.reload();
  };
  return (
    <>
      <div className="q-buttons">
        <Button onClick={() => setDialog({ kind: "add" })}>Add role</Button>
      </div>
      <Failure failure={roles.failure} title="The roles could not be read" />
      <DataTable
        label="Roles"
        rows={roles.data}
        hasFailed={roles.failure !== undefined}
        rowKey={(row) => row.roleid}
        empty="There are no roles."
        columns={[
          { label: "Role", show: (row) => row.roleid, by: (row) => row.roleid },
          { label: "Built in", show: (row) => (row.special ? "yes" : "no"), by: (row) => row.special },
          { label: "Privileges", show: (row) => row.privs.replaceAll(",", ", ") || "–", isLong: true },
        ]}
        actions={(role) =>
          role.special
            ? []
            : [
                { title: "Edit", onClick: () => setDialog({ kind: "edit", role }) },
                { title: "Remove", onClick: () => setDialog({ kind: "delete", role }) },
              ]
        }
      />
      {(dialog?.kind === "add" || dialog?.kind === "edit") && (
        <RoleDialog role={dialog.kind === "edit" ? dialog.role : undefined} onClose={close} />
      )}
      {dialog?.kind === "delete" && (
        <DeleteDialog
          what={`the role ${dialog.role.roleid}`}
          onDelete={() => change("DELETE", "/access/roles/{roleid}", { roleid: dialog.role.roleid })}
          onClose={close}
        />
      )}
    </>
  );
}

function RoleDialog({ role, onClose }: { role: Role | undefined; onClose: () => void }): ReactElement {
  const [name, setName] = useState(role?.roleid ?? "");
  const [privileges, setPrivileges] = useState((role?.privs ?? "").replaceAll(",", ", "));
  return (
    <FormDialog
      title={role ? `Edit role ${role.roleid}` : "Add role"}
      submitLabel={role ? "OK" : "Add"}
      canSubmit={name !== ""}
      onSubmit={async () => {
        const privs = privileges.split(/[\s,;]+/).filter(Boolean).join(",");
        if (role) await change("PUT", "/access/roles/{roleid}", { roleid: name, privs });
        else await change("POST", "/access/roles", { roleid: name, privs: privs || undefined });
        return undefined;
      }}
      onClose={onClose}
      fields={["roleid", "privs"]}
    >
      {(errors) => (
        <>
          {!role && <TextField label="Name" value={name} onChange={setName} isRequired autoFocus fault={errors["roleid"]} />}
          <AreaField
            label="Privileges"
            value={privileges}
            onChange={setPrivileges}
            hint="With commas between, e.g. Sys.Audit, VM.Audit"
            fault={errors["privs"]}
          />
        </>
      )}
    </FormDialog>
  );
}
