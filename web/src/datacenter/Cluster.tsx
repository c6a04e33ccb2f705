/* Datacenter -> Cluster: what the cluster is, creating, joining, its members, links and quorum device. */

import {
  Button,
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
} from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { usePolled } from "../api/hooks";
import type { Live } from "../api/live";
import type { ConfigNode, JoinAnswer, JoinNode } from "../api/model";
import { current } from "../api/session";
import { DataTable, type Column } from "../shared/DataTable";
import { Failure } from "../shared/Failure";
import { NodeState } from "../shared/Status";
import { CreateDialog } from "./CreateDialog";
import { JoinDialog } from "./JoinDialog";
import { JoinInformationDialog } from "./JoinInformationDialog";
import { JoinReport } from "./JoinReport";
import { LinkMatrix } from "./LinkMatrix";
import { QuorumDevice } from "./QuorumDevice";
import { RemoveNodeDialog } from "./RemoveNodeDialog";

type Dialog = "create" | "information" | "join" | undefined;

export default function Cluster({ live }: { live: Live }): ReactElement {
  const [dialog, setDialog] = useState<Dialog>();
  const [removing, setRemoving] = useState<string>();
  const isPaused = dialog !== undefined || removing !== undefined;
  const join = usePolled("/cluster/config/join", {}, isPaused ? 0 : 15, ["config", "status"]);
  const nodes = usePolled("/cluster/config/nodes", {}, isPaused ? 0 : 5, ["config", "status"]);
  const isStandalone =
    join.failure?.status === 424 || (join.failure?.message.includes("node is not in a cluster") ?? false);
  const isRoot = current()?.username === "root@pam";
  const hostAddress = live.members.find((member) => member.local)?.ip;
  const close = (): void => {
    setDialog(undefined);
    setRemoving(undefined);
    join.reload();
    nodes.reload();
  };
  return (
    <>
      <JoinReport />
      <Card isCompact>
        <CardTitle component="h2">Cluster Information</CardTitle>
        <CardBody className="q-tab">
          <div className="q-buttons">
            <Button isDisabled={!isStandalone || !isRoot} onClick={() => setDialog("create")}>
              Create Cluster
            </Button>
            <Button variant="secondary" isDisabled={!join.data || isStandalone} onClick={() => setDialog("information")}>
              Join Information
            </Button>
            <Button variant="secondary" isDisabled={!isStandalone || !isRoot} onClick={() => setDialog("join")}>
              Join Cluster
            </Button>
          </div>
          {isStandalone && !isRoot && <p className="q-subtle">Only root@pam may create a cluster or join one.</p>}
          {!isStandalone && <Failure failure={join.failure} title="The cluster's information could not be read" />}
          {isStandalone && <p>Standalone node - no cluster defined</p>}
          {!isStandalone && <Information answer={join.data} />}
        </CardBody>
      </Card>
      {!isStandalone && (
        <>
          <Card isCompact>
            <CardTitle component="h2">Cluster Nodes</CardTitle>
            <CardBody>
              <Failure failure={nodes.failure} title="The members could not be read" />
              <Members nodes={nodes.data} hasFailed={nodes.failure !== undefined} live={live} onRemove={isRoot ? setRemoving : undefined} />
            </CardBody>
          </Card>
          {live.cluster && <LinkMatrix members={live.members} config={nodes.data ?? []} />}
          {live.cluster && <QuorumDevice members={live.members} />}
        </>
      )}
      {dialog === "create" && <CreateDialog hostAddress={hostAddress} onClose={close} />}
      {dialog === "information" && join.data && <JoinInformationDialog answer={join.data} onClose={close} />}
      {dialog === "join" && <JoinDialog hostAddress={hostAddress} onClose={close} />}
      {removing !== undefined && <RemoveNodeDialog node={removing} live={live} config={nodes.data ?? []} onClose={close} />}
    </>
  );
}

/** Takes its place before the answer is there: what stands below does not move. */
function Information({ answer }: { answer: JoinAnswer | undefined }): ReactElement {
  const rows: [string, string | number][] = [
    ["Cluster Name", answer?.totem.cluster_name ?? "–"],
    ["Config Version", answer?.totem.config_version ?? "–"],
    ["Number of Nodes", answer?.nodelist.length ?? "–"],
  ];
  return (
    <DescriptionList isHorizontal isCompact isFluid>
      {rows.map(([term, value]) => (
        <DescriptionListGroup key={term}>
          <DescriptionListTerm>{term}</DescriptionListTerm>
          <DescriptionListDescription>{value}</DescriptionListDescription>
        </DescriptionListGroup>
      ))}
    </DescriptionList>
  );
}

interface MembersProps {
  nodes: readonly ConfigNode[] | undefined;
  hasFailed: boolean;
  live: Live;
  onRemove: ((node: string) => void) | undefined;
}

function Members({ nodes, hasFailed, live, onRemove }: MembersProps): ReactElement {
  const rows = nodes && [...nodes].sort((one, other) => Number(one.nodeid) - Number(other.nodeid));
  const online = new Map(live.members.map((member) => [member.name, member.online === 1]));
  const links = linkNumbers(rows?.[0]);
  const columns: Column<ConfigNode>[] = [
    { label: "Nodename", show: (row) => row.name, by: (row) => row.name },
    { label: "ID", show: (row) => row.nodeid, by: (row) => Number(row.nodeid) },
    { label: "Votes", show: (row) => row["quorum_votes"] ?? "1" },
    {
      label: "State",
      show: (row) => <NodeState status={online.has(row.name) ? (online.get(row.name) ? "online" : "offline") : "unknown"} />,
    },
    ...links.map((number): Column<ConfigNode> => ({ label: `Link ${number}`, show: (row) => row[`ring${number}_addr`] ?? "–" })),
  ];
  return (
    <DataTable
      label="Cluster Nodes"
      columns={columns}
      rows={rows}
      hasFailed={hasFailed}
      rowKey={(row) => row.name}
      empty="Standalone node - no cluster defined"
      {...(onRemove ? { actions: (row: ConfigNode) => [{ title: "Remove node", onClick: () => onRemove(row.name) }] } : {})}
    />
  );
}

/** The links that a node has an address on. */
export function linkNumbers(node: ConfigNode | JoinNode | undefined): number[] {
  return Object.keys(node ?? {})
    .map((key) => /^ring(\d+)_addr$/.exec(key)?.[1])
    .filter((text) => text !== undefined)
    .map(Number)
    .sort((one, other) => one - other);
}
