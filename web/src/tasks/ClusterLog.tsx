/* The cluster log, newest first, read again every few seconds. */

import { useState, type ReactElement } from "react";

import { usePolled } from "../api/hooks";
import type { ClusterLogEntry } from "../api/model";
import { severity, time } from "../logic/format";
import { DataTable } from "../shared/DataTable";
import { Failure } from "../shared/Failure";
import { ChoiceField } from "../shared/fields";

const SECONDS = 3;

export default function ClusterLog(): ReactElement {
  const [most, setMost] = useState("50");
  const log = usePolled("/cluster/log", { max: Number(most) }, SECONDS, ["log"]);
  return (
    <>
      <ClusterLogTable log={log.data} hasFailed={log.failure !== undefined} />
      <Failure failure={log.failure} title="The cluster log could not be read" />
      <div className="q-buttons">
        <ChoiceField
          label="Entries"
          value={most}
          onChange={setMost}
          choices={["50", "200", "1000"].map((count) => [count, `Newest ${count}`] as const)}
        />
      </div>
    </>
  );
}

interface TableProps {
  log: readonly ClusterLogEntry[] | undefined;
  hasFailed: boolean;
}

export function ClusterLogTable({ log, hasFailed }: TableProps): ReactElement {
  return (
    <DataTable
      label="Cluster log"
      rows={log}
      hasFailed={hasFailed}
      rowKey={(row) => `${row.id}-${row.time}-${row.pid}`}
      empty="The log is empty."
      columns={[
        { label: "Time", show: (row) => time(row.time) },
        { label: "Node", show: (row) => row.node },
        { label: "Service", show: (row) => row.tag },
        { label: "PID", show: (row) => row.pid },
        { label: "User name", show: (row) => row.user },
        { label: "Severity", show: (row) => severity(row.pri) },
        { label: "Message", show: (row) => row.msg, isLong: true },
      ]}
    />
  );
}
