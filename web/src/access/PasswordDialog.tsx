/* A new password for oneself or another user. */

import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { current } from "../api/session";
import { TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

export default function PasswordDialog({ userid, onClose }: { userid: string; onClose: () => void }): ReactElement {
  const [own, setOwn] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const needsOwn = current()?.username !== "root@pam";
  const differs = again !== "" && again !== password;
  return (
    <FormDialog
      title={`Password of ${userid}`}
      description={userid.endsWith("@pam") ? "Passwords of the realm pam are changed on this node alone." : undefined}
      submitLabel="Set password"
      canSubmit={password.length >= 8 && again === password && (!needsOwn || own !== "")}
      onSubmit={async () => {
        await change("PUT", "/access/password", {
          userid,
          password,
          "confirmation-password": needsOwn ? own : undefined,
        });
        return undefined;
      }}
      onClose={onClose}
      fields={["password", "confirmation-password"]}
    >
      {(errors) => (
        <>
          {needsOwn && (
            <TextField
              label="Your present password"
              type="password"
              value={own}
              onChange={setOwn}
              autoComplete="current-password"
              isRequired
              fault={errors["confirmation-password"]}
            />
          )}
          <TextField
            label="New password"
            type="password"
            value={password}
            onChange={setPassword}
            autoComplete="new-password"
            isRequired
            hint="8 to 64 characters."
            fault={errors["password"]}
            autoFocus
          />
          <TextField
            label="New password again"
            type="password"
            value={again}
            onChange={setAgain}
            autoComplete="new-password"
            isRequired
            fault={differs ? "The two differ." : undefined}
          />
        </>
      )}
    </FormDialog>
  );
}
