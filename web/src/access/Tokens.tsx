/* API tokens of all users that one may see. The secret is shown once, when a token is made. */

import { Alert, Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { Token } from "../api/model";
import { current } from "../api/session";
import { changed } from "../logic/changed";
import { dateOf, epochOf } from "../logic/dates";
import { CopyButton } from "../shared/Copy";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { CheckField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

interface Row extends Token {
  userid: string;
}

type Dialog = { kind: "add" } | { kind: "edit" | "delete"; row: Row } | { kind: "secret"; id: string; value: string };

const TOKEN = "/access/users/{userid}/token/{tokenid}";

export default function Tokens(): ReactElement {
  const users = usePolled("/access/users", { full: 1 }, 15, ["access"]);
  const [dialog, setDialog] = useState<Dialog>();
  const rows = users.data?.flatMap((user) => (user.tokens ?? []).map((token) => ({ ...token, userid: user.userid })));
  const close = (): void => {
    setDialog((now) => (now?.kind === "secret" ? now : undefined));
    users.reload();
  };
  return (
    <>
      <div className="q-buttons">
        <Button onClick={() => setDialog({ kind: "add" })}>Add API token</Button>
      </div>
      <Failure failure={users.failure} title="The tokens could not be read" />
      <DataTable
        label="API tokens"
        rows={rows}
        hasFailed={users.failure !== undefined}
        rowKey={(row) => `${row.userid}!${row.tokenid}`}
        empty="There are no API tokens."
        columns={[
          { label: "User", show: (row) => row.userid, by: (row) => row.userid },
          { label: "Token", show: (row) => row.tokenid, by: (row) => row.tokenid },
          { label: "Privilege separation", show: (row) => (row.privsep === 0 ? "no" : "yes") },
          { label: "Expires", show: (row) => dateOf(row.expire) || "never" },
          { label: "Comment", show: (row) => row.comment ?? "–", isLong: true },
        ]}
        actions={(row) => [
          { title: "Edit", onClick: () => setDialog({ kind: "edit", row }) },
          { title: "Remove", onClick: () => setDialog({ kind: "delete", row }) },
        ]}
      />
      {(dialog?.kind === "add" || dialog?.kind === "edit") && (
        <TokenDialog
          row={dialog.kind === "edit" ? dialog.row : undefined}
          onMade={(id, value) => setDialog({ kind: "secret", id, value })}
          onClose={close}
        />
      )}
      {dialog?.kind === "delete" && (
        <DeleteDialog
          what={`the token ${dialog.row.userid}!${dialog.row.tokenid}`}
          detail="Programs that use it get no answer any more."
          onDelete={() => change("DELETE", TOKEN, { userid: dialog.row.userid, tokenid: dialog.row.tokenid })}
          onClose={close}
        />
      )}
      {dialog?.kind === "secret" && (
        <Modal isOpen variant="small" aria-labelledby="token-secret">
          <ModalHeader title="API token made" labelId="token-secret" />
          <ModalBody className="q-tab">
            <Alert isInline variant="warning" component="p" title="The secret is shown this once and stored nowhere else." />
            <Form onSubmit={(event) => event.preventDefault()}>
              <TextField label="Token ID" value={dialog.id} onChange={() => undefined} isReadOnly />
              <TextField label="Secret" value={dialog.value} onChange={() => undefined} isReadOnly />
            </Form>
          </ModalBody>
          <ModalFooter>
            <CopyButton text={dialog.value} label="Copy secret" />
            <Button variant="link" onClick={() => setDialog(undefined)}>
              Close
            </Button>
          </ModalFooter>
        </Modal>
      )}
    </>
  );
}

interface TokenDialogProps {
  row: Row | undefined;
  onMade: (id: string, value: string) => void;
  onClose: () => void;
}

function TokenDialog({ row, onMade, onClose }: TokenDialogProps): ReactElement {
  const [userid, setUserid] = useState(row?.userid ?? current()?.username ?? "");
  const [name, setName] = useState(row?.tokenid ?? "");
  const [former] = useState({ privsep: row?.privsep !== 0, expire: dateOf(row?.expire), comment: row?.comment ?? "" });
  const [isSeparate, setSeparate] = useState(former.privsep);
  const [expire, setExpire] = useState(former.expire);
  const [comment, setComment] = useState(former.comment);
  return (
    <FormDialog
      title={row ? `Edit token ${row.userid}!${row.tokenid}` : "Add API token"}
      submitLabel={row ? "OK" : "Add"}
      canSubmit={userid.includes("@") && name !== "" && epochOf(expire) !== undefined}
      onSubmit={async () => {
        const identity = { userid, tokenid: name };
        if (row) {
          const { expire: day, ...others } = changed(former, { privsep: isSeparate, expire, comment });
          const parameters = { ...others, ...(day === undefined ? {} : { expire: epochOf(day) }) };
          if (Object.keys(parameters).length > 0) await change("PUT", TOKEN, { ...identity, ...parameters });
          return undefined;
        }
        const made = await change("POST", TOKEN, {
          ...identity,
          privsep: isSeparate,
          expire: epochOf(expire),
          comment: comment || undefined,
        });
        onMade(made["full-tokenid"], made.value);
        return "stay";
      }}
      onClose={onClose}
      fields={["userid", "tokenid", "expire", "comment"]}
    >
      {(errors) => (
        <>
          <TextField label="User" value={userid} onChange={setUserid} isReadOnly={row !== undefined} isRequired fault={errors["userid"]} />
          <TextField label="Token name" value={name} onChange={setName} isReadOnly={row !== undefined} isRequired autoFocus={!row} fault={errors["tokenid"]} />
          <CheckField
            label="Privilege separation"
            value={isSeparate}
            onChange={setSeparate}
            hint="The token has only the permissions that are given to it, and never more than the user."
          />
          <TextField
            label="Expires"
            value={expire}
            onChange={setExpire}
            placeholder="YYYY-MM-DD, empty: never"
            fault={errors["expire"] ?? (epochOf(expire) === undefined ? "A date such as 2030-12-31." : undefined)}
          />
          <TextField label="Comment" value={comment} onChange={setComment} fault={errors["comment"]} />
        </>
      )}
    </FormDialog>
  );
}
