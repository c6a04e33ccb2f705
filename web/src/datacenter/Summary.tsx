/* How the cluster is: quorum in words, its nodes, its guests. */

import { Card, CardBody, CardTitle, Progress, ProgressMeasureLocation, Spinner } from "@patternfly/react-core";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import { memo, useDeferredValue, useMemo, type ReactElement } from "react";

import type { Live } from "../api/live";
import type { Resource } from "../api/model";
import { bytes, duration, percent } from "../logic/format";
import { DataTable } from "../shared/DataTable";
import { GuestState, NodeState } from "../shared/Status";
import { go } from "../app/useRoute";
import { useQuorum } from "./useQuorum";

const ICONS = { success: CheckCircleIcon, warning: ExclamationTriangleIcon, danger: ExclamationCircleIcon };

const NONE: readonly Resource[] = [];

export function Summary({ live }: { live: Live }): ReactElement {
  const guests = useMemo(() => live.resources.filter((resource) => resource.vmid !== undefined), [live.resources]);
  // A long table takes a while: the tree and what matters of the cluster do not wait for it
  const listed = useDeferredValue(guests, NONE);
  return (
    <>
      <div className="q-cards">
        <QuorumCard live={live} />
        <UsageCard live={live} />
        <GuestsCard guests={guests} />
      </div>
      <Card isCompact>
        <CardTitle component="h2">Nodes</CardTitle>
        <CardBody>
          <NodeTable live={live} />
        </CardBody>
      </Card>
      {guests.length > 0 && (
        <Card isCompact>
          <CardTitle component="h2">Guests</CardTitle>
          <CardBody>
            <GuestTable guests={listed.length > 0 ? listed : undefined} />
          </CardBody>
        </Card>
      )}
    </>
  );
}

function QuorumCard({ live }: { live: Live }): ReactElement {
  const words = useQuorum(live);
  const Icon = words && ICONS[words.status];
  return (
    <Card isCompact>
      <CardTitle component="h2">Quorum</CardTitle>
      <CardBody>
        {!live.ready && <Spinner size="md" aria-label="Loading the quorum" />}
        {live.ready && !words && live.members.length > 0 && (
          <p>
            Standalone node - no cluster defined. <a href="#/datacenter/cluster">Create a cluster or join one.</a>
          </p>
        )}
        {live.ready && !words && live.members.length === 0 && (
          <p className="q-subtle">To see it you need the privilege Sys.Audit on the path /.</p>
        )}
        {words && Icon && (
          <div aria-live="polite">
            <p className="q-quorum-votes">
              <Icon className={`q-${words.status}`} />
              {words.votes}
            </p>
            <p>{words.meaning}</p>
          </div>
        )}
      </CardBody>
    </Card>
  );
}

function UsageCard({ live }: { live: Live }): ReactElement {
  const nodes = live.resources.filter((resource) => resource.type === "node" && resource.maxcpu !== undefined);
  const total = (pick: (node: Resource) => number | undefined): number =>
    nodes.reduce((sum, node) => sum + (pick(node) ?? 0), 0);
  const cores = total((node) => node.maxcpu);
  const busy = total((node) => (node.cpu ?? 0) * (node.maxcpu ?? 0));
  const memory = total((node) => node.maxmem);
  const used = total((node) => node.mem);
  return (
    <Card isCompact>
      <CardTitle component="h2">Resources</CardTitle>
      <CardBody>
        {nodes.length === 0 ? (
          <p className="q-subtle">{live.members.length > 0 ? "No figures yet." : "You may see no node's figures."}</p>
        ) : (
          <>
            <Progress
              title={`CPU: ${percent(busy, cores)} of ${cores} ${cores === 1 ? "core" : "cores"}`}
              value={cores ? (100 * busy) / cores : 0}
              measureLocation={ProgressMeasureLocation.none}
              size="sm"
            />
            <Progress
              title={`Memory: ${bytes(used)} of ${bytes(memory)}`}
              value={memory ? (100 * used) / memory : 0}
              measureLocation={ProgressMeasureLocation.none}
              size="sm"
            />
          </>
        )}
      </CardBody>
    </Card>
  );
}

function GuestsCard({ guests }: { guests: readonly Resource[] }): ReactElement {
  const running = guests.filter((guest) => guest.status === "running").length;
  return (
    <Card isCompact>
      <CardTitle component="h2">Guests</CardTitle>
      <CardBody>
        {guests.length === 0 ? (
          <p className="q-subtle">There are no guests.</p>
        ) : (
          <p>
            <strong>{running}</strong> of <strong>{guests.length}</strong> running
          </p>
        )}
      </CardBody>
    </Card>
  );
}

interface NodeRow {
  name: string;
  address: string;
  id: number;
  status: string;
  figures: Resource | undefined;
}

function NodeTable({ live }: { live: Live }): ReactElement {
  const figures = new Map(live.resources.filter((item) => item.type === "node").map((item) => [item.node, item]));
  const rows: NodeRow[] = live.members.length
    ? live.members.map((member) => ({
        name: member.name,
        address: member.ip ?? "",
        id: member.nodeid,
        status: member.online ? "online" : "offline",
        figures: figures.get(member.name),
      }))
    : [...figures.values()].map((item) => ({
        name: item.node ?? "",
        address: "",
        id: 0,
        status: item.status ?? "unknown",
        figures: item,
      }));
  return (
    <DataTable
      label="Nodes"
      rows={live.ready ? rows : undefined}
      rowKey={(row) => row.name}
      empty="No node is known."
      onOpen={(row) => go({ place: "node", node: row.name, tab: "summary" })}
      openLabel={(row) => `Node ${row.name}`}
      columns={[
        { label: "Name", show: (row) => <a href={`#/node/${row.name}/summary`}>{row.name}</a>, by: (row) => row.name },
        { label: "State", show: (row) => <NodeState status={row.status} />, by: (row) => row.status },
        { label: "ID", show: (row) => row.id || "–", by: (row) => row.id },
        { label: "Address", show: (row) => row.address || "–", by: (row) => row.address },
        { label: "CPU", show: (row) => percent(row.figures?.cpu), by: (row) => row.figures?.cpu ?? 0 },
        {
          label: "Memory",
          show: (row) => percent(row.figures?.mem, row.figures?.maxmem),
          by: (row) => row.figures?.mem ?? 0,
        },
        { label: "Uptime", show: (row) => duration(row.figures?.uptime), by: (row) => row.figures?.uptime ?? 0 },
      ]}
    />
  );
}

const GuestTable = memo(function GuestTable({ guests }: { guests: readonly Resource[] | undefined }): ReactElement {
  return (
    <DataTable
      label="Guests"
      rows={guests}
      rowKey={(row) => row.id}
      empty="There are no guests."
      columns={[
        {
          label: "ID",
          show: (row) => <a href={`#/guest/${row.id}`}>{row.vmid}</a>,
          by: (row) => row.vmid ?? 0,
        },
        { label: "Name", show: (row) => row.name ?? "–", by: (row) => row.name ?? "" },
        { label: "Kind", show: (row) => (row.type === "lxc" ? "container" : "virtual machine"), by: (row) => row.type },
        { label: "Node", show: (row) => row.node ?? "–", by: (row) => row.node ?? "" },
        { label: "State", show: (row) => <GuestState status={row.status} />, by: (row) => row.status ?? "" },
        { label: "CPU", show: (row) => percent(row.cpu), by: (row) => row.cpu ?? 0 },
        { label: "Memory", show: (row) => bytes(row.mem), by: (row) => row.mem ?? 0 },
        { label: "Uptime", show: (row) => duration(row.uptime || undefined), by: (row) => row.uptime ?? 0 },
      ]}
    />
  );
});
