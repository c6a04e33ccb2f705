/* Users: list, add, change, passwords, second factors. */

import { Button } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { User } from "../api/model";
import { dateOf, epochOf } from "../logic/dates";
import { additionOf, changeOf, valuesOf, type UserValues } from "../logic/userForm";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { CheckField, ChoiceField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";
import PasswordDialog from "./PasswordDialog";
import SecondFactorDialog from "./SecondFactorDialog";

type Dialog = { kind: "add" } | { kind: "edit" | "password" | "factor" | "delete"; user: User };

export default function Users(): ReactElement {
  const users = usePolled("/access/users", { full: 1 }, 15, ["access"]);
  const [dialog, setDialog] = useState<Dialog>();
  const close = (): void => {
    setDialog(undefined);
    users.reload();
  };
  return (
    <>
      <div className="q-buttons">
        <Button onClick={() => setDialog({ kind: "add" })}>Add user</Button>
      </div>
      <Failure failure={users.failure} title="The users could not be read" />
      <DataTable
        label="Users"
        rows={users.data}
        hasFailed={users.failure !== undefined}
        rowKey={(row) => row.userid}
        empty="There are no users."
        columns={[
          { label: "User", show: (row) => row.userid, by: (row) => row.userid },
          { label: "Name", show: (row) => [row.firstname, row.lastname].filter(Boolean).join(" ") || "–" },
          { label: "Enabled", show: (row) => (row.enable === 0 ? "no" : "yes"), by: (row) => row.enable },
          { label: "Expires", show: (row) => dateOf(row.expire) || "never", by: (row) => row.expire },
          { label: "Groups", show: (row) => row.groups || "–" },
          { label: "Comment", show: (row) => row.comment ?? "–", isLong: true },
        ]}
        actions={(user) => [
          { title: "Edit", onClick: () => setDialog({ kind: "edit", user }) },
          { title: "Set password", onClick: () => setDialog({ kind: "password", user }) },
          { title: "Second factor", onClick: () => setDialog({ kind: "factor", user }) },
          { title: "Remove", onClick: () => setDialog({ kind: "delete", user }), isDisabled: user.userid === "root@pam" },
        ]}
      />
      {dialog?.kind === "add" && <UserDialog user={undefined} onClose={close} />}
      {dialog?.kind === "edit" && <UserDialog user={dialog.user} onClose={close} />}
      {dialog?.kind === "password" && <PasswordDialog userid={dialog.user.userid} onClose={close} />}
      {dialog?.kind === "factor" && <SecondFactorDialog userid={dialog.user.userid} onClose={close} />}
      {dialog?.kind === "delete" && (
        <DeleteDialog
          what={`the user ${dialog.user.userid}`}
          detail="Its API tokens and permissions go with it."
          onDelete={() => change("DELETE", "/access/users/{userid}", { userid: dialog.user.userid })}
          onClose={close}
        />
      )}
    </>
  );
}

function UserDialog({ user, onClose }: { user: User | undefined; onClose: () => void }): ReactElement {
  const realms = usePolled(user ? null : "/access/domains", {});
  const groups = usePolled("/access/groups", {});
  const [name, setName] = useState("");
  const [realm, setRealm] = useState("pve");
  const [password, setPassword] = useState("");
  const [former] = useState(() => valuesOf(user));
  const [values, setValues] = useState(former);
  const edit =
    <K extends keyof UserValues>(key: K) =>
    (value: UserValues[K]) =>
      setValues((before) => ({ ...before, [key]: value }));
  const isNew = user === undefined;
  const takesPassword = isNew && realm === "pve";
  return (
    <FormDialog
      title={isNew ? "Add user" : `Edit user ${user.userid}`}
      submitLabel={isNew ? "Add" : "OK"}
      size="medium"
      canSubmit={epochOf(values.expire) !== undefined && (!isNew || (name !== "" && (!takesPassword || password.length >= 8)))}
      onSubmit={async () => {
        if (isNew) {
          const secret = takesPassword ? { password } : {};
          await change("POST", "/access/users", { ...additionOf(values), userid: `${name}@${realm}`, ...secret });
          return undefined;
        }
        const parameters = changeOf(former, values);
        if (Object.keys(parameters).length > 0) {
          await change("PUT", "/access/users/{userid}", { userid: user.userid, ...parameters });
        }
        return undefined;
      }}
      onClose={onClose}
      fields={["userid", "password", "firstname", "lastname", "email", "groups", "expire", "comment"]}
    >
      {(errors) => (
        <>
          {isNew && (
            <>
              <TextField label="User name" value={name} onChange={setName} isRequired autoFocus fault={errors["userid"]} />
              <ChoiceField
                label="Realm"
                value={realm}
                onChange={setRealm}
                choices={(realms.data ?? [{ realm: "pve", comment: "" }]).map((entry) => [entry.realm, entry.comment ? `${entry.realm} (${entry.comment})` : entry.realm] as const)}
              />
              {takesPassword && (
                <TextField
                  label="Password"
                  type="password"
                  value={password}
                  onChange={setPassword}
                  isRequired
                  autoComplete="new-password"
                  hint="8 to 64 characters."
                  fault={errors["password"]}
                />
              )}
            </>
          )}
          <TextField label="First name" value={values.firstname} onChange={edit("firstname")} fault={errors["firstname"]} />
          <TextField label="Last name" value={values.lastname} onChange={edit("lastname")} fault={errors["lastname"]} />
          <TextField label="E-mail" type="email" value={values.email} onChange={edit("email")} fault={errors["email"]} />
          <TextField
            label="Groups"
            value={values.groups}
            onChange={edit("groups")}
            hint={`Names with commas between.${groups.data?.length ? ` There are: ${groups.data.map((group) => group.groupid).join(", ")}` : ""}`}
            fault={errors["groups"]}
          />
          <TextField
            label="Expires"
            value={values.expire}
            onChange={edit("expire")}
            placeholder="YYYY-MM-DD, empty: never"
            fault={errors["expire"] ?? (epochOf(values.expire) === undefined ? "A date such as 2030-12-31." : undefined)}
          />
          <TextField label="Comment" value={values.comment} onChange={edit("comment")} fault={errors["comment"]} />
          <CheckField label="Enabled" value={values.enable} onChange={edit("enable")} />
        </>
      )}
    </FormDialog>
  );
}
