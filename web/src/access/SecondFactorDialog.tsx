/* Second factors of a user: the list, and setting up codes of an authenticator app. */

import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useMemo, useState, type ReactElement } from "react";
import { encode } from "uqr";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import { current } from "../api/session";
import { time } from "../logic/format";
import { base32, otpauthAddress, SECRET_BYTES } from "../logic/totp";
import { DataTable } from "../shared/DataTable";
import { Failure } from "../shared/Failure";
import { TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

interface Props {
  userid: string;
  onClose: () => void;
}

export default function SecondFactorDialog({ userid, onClose }: Props): ReactElement {
  const factors = usePolled("/access/tfa/{userid}", { userid });
  const [dialog, setDialog] = useState<{ kind: "add" } | { kind: "remove"; id: string }>();
  const close = (): void => {
    setDialog(undefined);
    factors.reload();
  };
  if (dialog?.kind === "add") return <AddTotp userid={userid} onClose={close} />;
  if (dialog?.kind === "remove") return <RemoveFactor userid={userid} id={dialog.id} onClose={close} />;
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="factors">
      <ModalHeader title={`Second factors of ${userid}`} labelId="factors" />
      <ModalBody>
        <Failure failure={factors.failure} title="The second factors could not be read" />
        <DataTable
          label="Second factors"
          rows={factors.data}
          hasFailed={factors.failure !== undefined}
          rowKey={(row) => row.id}
          rowName={(row) => row.description}
          empty="None is set up: the password alone lets this user in."
          columns={[
            { label: "Kind", show: (row) => (row.type === "totp" ? "Authenticator app" : row.type) },
            { label: "Description", show: (row) => row.description },
            { label: "Created", show: (row) => time(row.created) },
          ]}
          actions={(row) => [{ title: "Remove", onClick: () => setDialog({ kind: "remove", id: row.id }) }]}
        />
      </ModalBody>
      <ModalFooter>
        <Button onClick={() => setDialog({ kind: "add" })}>Add authenticator app</Button>
        <Button variant="link" onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}

function AddTotp({ userid, onClose }: Props): ReactElement {
  const [secret] = useState(() => base32(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))));
  const [description, setDescription] = useState("");
  const [code, setCode] = useState("");
  const [password, setPassword] = useState("");
  const session = current();
  const address = otpauthAddress(userid, session?.clustername ?? location.hostname, secret);
  const needsPassword = session?.username !== "root@pam";
  return (
    <FormDialog
      title={`Authenticator app for ${userid}`}
      description="Scan the picture with the app, or type the secret into it; then type the code that it shows."
      submitLabel="Add"
      canSubmit={/^\d{6}$/.test(code.trim()) && description.trim() !== "" && (!needsPassword || password !== "")}
      onSubmit={async () => {
        await change("POST", "/access/tfa/{userid}", {
          userid,
          type: "totp",
          description: description.trim(),
          totp: address,
          value: code.trim(),
          password: needsPassword ? password : undefined,
        });
        return undefined;
      }}
      onClose={onClose}
      fields={["value", "description", "password"]}
    >
      {(errors) => (
        <>
          <TextField
            label="Description"
            value={description}
            onChange={setDescription}
            isRequired
            autoFocus
            placeholder="e.g. phone"
            fault={errors["description"]}
          />
          <QrCode text={address} />
          <TextField label="Secret" value={secret} onChange={() => undefined} isReadOnly />
          {needsPassword && (
            <TextField
              label="Your password"
              type="password"
              value={password}
              onChange={setPassword}
              autoComplete="current-password"
              isRequired
              fault={errors["password"]}
            />
          )}
          <TextField
            label="Code of the app"
            value={code}
            onChange={setCode}
            inputMode="numeric"
            autoComplete="one-time-code"
            isRequired
            fault={errors["value"]}
          />
        </>
      )}
    </FormDialog>
  );
}

function RemoveFactor({ userid, id, onClose }: Props & { id: string }): ReactElement {
  const [password, setPassword] = useState("");
  const needsPassword = current()?.username !== "root@pam";
  return (
    <FormDialog
      title="Remove this second factor?"
      isDanger
      submitLabel="Remove"
      canSubmit={!needsPassword || password !== ""}
      onSubmit={async () => {
        await change("DELETE", "/access/tfa/{userid}/{id}", { userid, id, password: needsPassword ? password : undefined });
        return undefined;
      }}
      onClose={onClose}
      fields={["password"]}
    >
      {(errors) =>
        needsPassword ? (
          <TextField
            label="Your password"
            type="password"
            value={password}
            onChange={setPassword}
            autoComplete="current-password"
            isRequired
            fault={errors["password"]}
          />
        ) : (
          <p>{userid} can log in without it then.</p>
        )
      }
    </FormDialog>
  );
}

function QrCode({ text }: { text: string }): ReactElement {
  const code = useMemo(() => encode(text, { ecc: "M", border: 2 }), [text]);
  const drawing = code.data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");
  return (
    <svg className="q-qr" viewBox={`0 0 ${code.size} ${code.size}`} role="img" aria-label="QR code of the secret below" shapeRendering="crispEdges">
      <path d={drawing} fill="#000" />
    </svg>
  );
}
