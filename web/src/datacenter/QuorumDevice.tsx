/* The quorum device from every node's view: configured or not, whether its daemon runs, whom it gives its vote. */

import { Card, CardBody, CardTitle, Label } from "@patternfly/react-core";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import type { ReactElement } from "react";

import type { NodeEntry } from "../api/model";
import { useNodeViews } from "../api/nodeViews";
import { deviceWords, type DeviceRow } from "../logic/quorumDevice";
import { DataTable } from "../shared/DataTable";
import { Failure } from "../shared/Failure";

export function QuorumDevice({ members }: { members: readonly NodeEntry[] }): ReactElement {
  const online = members.filter((member) => member.online).map((member) => member.name);
  const views = useNodeViews("/nodes/{node}/corosync/qdevice", online);
  const words = deviceWords(members, views);
  return (
    <Card isCompact>
      <CardTitle component="h2">Quorum Device</CardTitle>
      <CardBody>
        {Object.entries(views).map(([node, { failure }]) => (
          <Failure key={node} failure={failure} title={`The quorum device's state on ${node} could not be read`} />
        ))}
        {words.isConfigured === false && (
          <p className="q-subtle">No quorum device is configured. It is set up with pvecm qdevice setup on the command line.</p>
        )}
        {words.isConfigured && (
          <>
            <p>{words.summary}</p>
            <DataTable
              label="Quorum Device"
              rows={words.rows}
              rowKey={(row) => row.node}
              empty=""
              columns={[
                { label: "Seen by", show: (row) => row.node },
                { label: "Daemon", show: (row) => <Daemon row={row} /> },
                { label: "Server", show: (row) => row.server },
                { label: "Vote", show: (row) => row.vote },
                { label: "Tie-breaker", show: (row) => row.tieBreaker },
                { label: "Last poll", show: (row) => row.lastPoll },
              ]}
            />
          </>
        )}
      </CardBody>
    </Card>
  );
}

function Daemon({ row }: { row: DeviceRow }): ReactElement {
  if (row.status === "success") return <Label isCompact status="success" icon={<CheckCircleIcon />}>{row.daemon}</Label>;
  if (row.status === "danger") return <Label isCompact status="danger" icon={<ExclamationCircleIcon />}>{row.daemon}</Label>;
  return <span className="q-subtle">{row.daemon}</span>;
}
