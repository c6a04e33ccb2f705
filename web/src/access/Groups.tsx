/* Groups of users, to which permissions are given. */

import { Button } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { Group } from "../api/model";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

type Dialog = { kind: "add" } | { kind: "edit" | "delete"; group: Group };

export default function Groups(): ReactElement {
  const groups = usePolled("/access/groups", {}, 15, ["access"]);
  const [dialog, setDialog] = useState<Dialog>();
  const close = (): void => {
    setDialog(undefined);
    groups.reload();
  };
  return (
    <>
      <div className="q-buttons">
        <Button onClick={() => setDialog({ kind: "add" })}>Add group</Button>
      </div>
      <Failure failure={groups.failure} title="The groups could not be read" />
      <DataTable
        label="Groups"
        rows={groups.data}
        hasFailed={groups.failure !== undefined}
        rowKey={(row) => row.groupid}
        empty="There are no groups."
        columns={[
          { label: "Group", show: (row) => row.groupid, by: (row) => row.groupid },
          { label: "Users", show: (row) => row.users || "–", isLong: true },
          { label: "Comment", show: (row) => row.comment ?? "–", isLong: true },
        ]}
        actions={(group) => [
          { title: "Edit", onClick: () => setDialog({ kind: "edit", group }) },
          { title: "Remove", onClick: () => setDialog({ kind: "delete", group }) },
        ]}
      />
      {(dialog?.kind === "add" || dialog?.kind === "edit") && (
        <GroupDialog group={dialog.kind === "edit" ? dialog.group : undefined} onClose={close} />
      )}
      {dialog?.kind === "delete" && (
        <DeleteDialog
          what={`the group ${dialog.group.groupid}`}
          detail="Its users stay and lose the permissions that they had by it."
          onDelete={() => change("DELETE", "/access/groups/{groupid}", { groupid: dialog.group.groupid })}
          onClose={close}
        />
      )}
    </>
  );
}

function GroupDialog({ group, onClose }: { group: Group | undefined; onClose: () => void }): ReactElement {
  const [name, setName] = useState(group?.groupid ?? "");
  const [comment, setComment] = useState(group?.comment ?? "");
  return (
    <FormDialog
      title={group ? `Edit group ${group.groupid}` : "Add group"}
      submitLabel={group ? "OK" : "Add"}
      canSubmit={name !== ""}
      onSubmit={async () => {
        if (group) await change("PUT", "/access/groups/{groupid}", { groupid: name, comment });
        else await change("POST", "/access/groups", { groupid: name, comment: comment || undefined });
        return undefined;
      }}
      onClose={onClose}
      fields={["groupid", "comment"]}
    >
      {(errors) => (
        <>
          {!group && <TextField label="Name" value={name} onChange={setName} isRequired autoFocus fault={errors["groupid"]} />}
          <TextField label="Comment" value={comment} onChange={setComment} fault={errors["comment"]} />
        </>
      )}
    </FormDialog>
  );
}
