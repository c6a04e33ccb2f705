/* A node's network interfaces, as its configuration has them: editing, and the changes that wait for being applied. */

import { Alert, Button } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { NetworkInterface } from "../api/model";
import { useTasks } from "../app/tasksContext";
import { kindOf, NEW_KINDS, type Kind } from "../logic/interfaceForm";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { FormDialog } from "../shared/FormDialog";
import { AddInterface, EditInterface } from "./InterfaceDialog";

type Dialog =
  | { kind: "add"; type: Kind }
  | { kind: "edit"; type: Kind; iface: string }
  | { kind: "remove"; iface: string }
  | { kind: "apply" | "revert" };

export default function Network({ node }: { node: string }): ReactElement {
  const network = usePolled("/nodes/{node}/network", { node }, 15);
  const tasks = useTasks();
  const [dialog, setDialog] = useState<Dialog>();
  const close = (): void => {
    setDialog(undefined);
    network.reload();
  };
  return (
    <>
      <div className="q-buttons">
        {NEW_KINDS.map(([type, label]) => (
          <Button key={type} variant="secondary" isDisabled={!network.data} onClick={() => setDialog({ kind: "add", type })}>
            Add {label}
          </Button>
        ))}
      </div>
      <Failure failure={network.failure} title="The network could not be read" />
      {network.changes && (
        <Pending
          difference={network.changes}
          onApply={() => setDialog({ kind: "apply" })}
          onRevert={() => setDialog({ kind: "revert" })}
        />
      )}
      <DataTable
        label="Network interfaces"
        rows={network.data}
        hasFailed={network.failure !== undefined}
        rowKey={(row) => row.iface}
        empty="No interface is configured."
        columns={[
          { label: "Name", show: (row) => row.iface, by: (row) => row.iface },
          { label: "Kind", show: (row) => row.type, by: (row) => row.type },
          { label: "Active", show: (row) => (row.active ? "yes" : "no") },
          { label: "Autostart", show: (row) => (row.autostart ? "yes" : "no") },
          { label: "Address", show: (row) => lines(row.cidr ?? row.address, row.cidr6 ?? row.address6) },
          { label: "Gateway", show: (row) => lines(row.gateway, row.gateway6) },
          { label: "Ports or slaves", show: (row) => row.bridge_ports ?? row.slaves ?? "–" },
          { label: "Comment", show: (row) => row.comments ?? "–", isLong: true },
        ]}
        actions={(row) => actionsOf(row, setDialog)}
      />
      {dialog?.kind === "add" && (
        <AddInterface node={node} kind={dialog.type} taken={(network.data ?? []).map((row) => row.iface)} onClose={close} />
      )}
      {dialog?.kind === "edit" && <EditInterface node={node} kind={dialog.type} iface={dialog.iface} onClose={close} />}
      {dialog?.kind === "remove" && (
        <DeleteDialog
          what={`the interface ${dialog.iface}`}
          detail="It goes when the changes are applied; until then it can be had back by a revert."
          onDelete={() => change("DELETE", "/nodes/{node}/network/{iface}", { node, iface: dialog.iface })}
          onClose={close}
        />
      )}
      {dialog?.kind === "apply" && (
        <FormDialog
          title={`Apply the network changes of ${node}?`}
          submitLabel="Apply"
          isDanger
          onSubmit={async () => {
            tasks.open(await change("PUT", "/nodes/{node}/network", { node }));
            return undefined;
          }}
          onClose={close}
        >
          {() => <p>With a mistake in them the node may no longer be reached over the network, nor by the cluster.</p>}
        </FormDialog>
      )}
      {dialog?.kind === "revert" && (
        <FormDialog
          title={`Revert the network changes of ${node}?`}
          submitLabel="Revert"
          isDanger
          onSubmit={async () => {
            await change("DELETE", "/nodes/{node}/network", { node });
            return undefined;
          }}
          onClose={close}
        >
          {() => <p>All changes that wait are forgotten, also those of others.</p>}
        </FormDialog>
      )}
    </>
  );
}

function actionsOf(
  row: NetworkInterface,
  open: (dialog: Dialog) => void,
): { title: string; onClick: () => void }[] {
  const kind = kindOf(row);
  const remove = { title: "Remove", onClick: () => open({ kind: "remove", iface: row.iface }) };
  if (kind === undefined) return [remove];
  return [{ title: "Edit", onClick: () => open({ kind: "edit", type: kind, iface: row.iface }) }, remove];
}

interface PendingProps {
  difference: string;
  onApply: () => void;
  onRevert: () => void;
}

function Pending({ difference, onApply, onRevert }: PendingProps): ReactElement {
  return (
    <Alert isInline variant="info" component="h2" title="Changes wait for being applied" className="q-failure">
      {/* It may be longer than the box: it can be scrolled with the keyboard. */}
      <pre className="q-log" role="region" aria-label="Pending changes" tabIndex={0}>
        {difference}
      </pre>
      <div className="q-buttons">
        <Button onClick={onApply}>Apply</Button>
        <Button variant="secondary" onClick={onRevert}>
          Revert
        </Button>
      </div>
    </Alert>
  );
}

function lines(...texts: (string | undefined)[]): ReactElement | string {
  const found = texts.filter((text) => text !== undefined && text !== "");
  if (found.length === 0) return "–";
  return (
    <>
      {found.map((text) => (
        <div key={text}>{text}</div>
      ))}
    </>
  );
}
