/* What a node says of itself now, and its figures over time. */

import {
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
import type { NodeStatus } from "../api/model";
import { bytes, duration, percent } from "../logic/format";
import { Chart } from "../shared/Chart";
import { Failure } from "../shared/Failure";
import { ChoiceField } from "../shared/fields";

const FRAMES = [
  ["hour", "Hour"],
  ["day", "Day"],
  ["week", "Week"],
  ["month", "Month"],
  ["year", "Year"],
] as const;

export default function NodeSummary({ node }: { node: string }): ReactElement {
  const status = usePolled("/nodes/{node}/status", { node }, 5);
  const [frame, setFrame] = useState<(typeof FRAMES)[number][0]>("hour");
  const figures = usePolled("/nodes/{node}/rrddata", { node, timeframe: frame, cf: "AVERAGE" }, 30);
  const samples = figures.data ?? [];
  return (
    <>
      <Failure failure={status.failure} title={`The state of ${node} could not be read`} />
      {status.data && <Present status={status.data} />}
      <div className="q-buttons">
        <ChoiceField label="Graphs over the last" value={frame} onChange={setFrame} choices={FRAMES} />
      </div>
      <Failure failure={figures.failure} title="The figures could not be read" />
      <div className="q-cards">
        <Chart
          title="CPU"
          samples={samples}
          top={1}
          show={(value) => percent(value)}
          lines={[
            { name: "cpu", label: "CPU usage" },
            { name: "iowait", label: "IO delay" },
          ]}
        />
        <Chart
          title="Load average"
          samples={samples}
          show={(value) => value.toFixed(2)}
          lines={[{ name: "loadavg", label: "Load" }]}
        />
        <Chart
          title="Memory"
          samples={samples}
          base={2}
          show={bytes}
          lines={[
            { name: "memused", label: "Used" },
            { name: "memtotal", label: "Total" },
          ]}
        />
        <Chart
          title="Network"
          samples={samples}
          base={2}
          show={(value) => `${bytes(value)}/s`}
          lines={[
            { name: "netin", label: "In" },
            { name: "netout", label: "Out" },
          ]}
        />
        <Chart
          title="Root file system"
          samples={samples}
          base={2}
          show={bytes}
          lines={[
            { name: "rootused", label: "Used" },
            { name: "roottotal", label: "Total" },
          ]}
        />
      </div>
    </>
  );
}

function Present({ status }: { status: NodeStatus }): ReactElement {
  const { cpuinfo, memory, swap, rootfs } = status;
  const rows: [string, string][] = [
    ["Uptime", duration(status.uptime)],
    ["CPU usage", `${percent(status.cpu)} of ${cpuinfo.cpus} CPUs`],
    ["Load average", status.loadavg.join(", ")],
    ["Memory", `${bytes(memory.used)} of ${bytes(memory.total)}`],
    ["Swap", swap.total ? `${bytes(swap.used)} of ${bytes(swap.total)}` : "none"],
    ["Root file system", `${bytes(rootfs.used)} of ${bytes(rootfs.total)}`],
    ["Processor", cpuinfo.model],
    ["Kernel", status.kversion],
    ["Version", status.pveversion],
  ];
  return (
    <Card isCompact>
      <CardTitle component="h2">Now</CardTitle>
      <CardBody>
        <DescriptionList isHorizontal isCompact isFluid columnModifier={{ default: "1Col", lg: "2Col" }}>
          {rows.map(([term, value]) => (
            <DescriptionListGroup key={term}>
              <DescriptionListTerm>{term}</DescriptionListTerm>
              <DescriptionListDescription>{value}</DescriptionListDescription>
            </DescriptionListGroup>
          ))}
        </DescriptionList>
      </CardBody>
    </Card>
  );
}
