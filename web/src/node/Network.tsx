/* A node's network interfaces, as its configuration has them. */

import type { ReactElement } from "react";

import { usePolled } from "../api/hooks";
import { DataTable } from "../shared/DataTable";
import { Failure } from "../shared/Failure";

export default function Network({ node }: { node: string }): ReactElement {
  const network = usePolled("/nodes/{node}/network", { node }, 15);
  return (
    <>
      <Failure failure={network.failure} title="The network could not be read" />
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
      />
    </>
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
