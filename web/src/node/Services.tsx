/* A node's services; start, stop and restart are tasks. */

import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { Service } from "../api/model";
import { useTasks } from "../app/tasksContext";
import { DataTable } from "../shared/DataTable";
import { DeleteDialog } from "../shared/DeleteDialog";
import { Failure } from "../shared/Failure";
import { useSubmit } from "../shared/useSubmit";
import { Label } from "@patternfly/react-core";

const COMMANDS = [
  ["start", "Start"],
  ["restart", "Restart"],
  ["reload", "Reload"],
  ["stop", "Stop"],
] as const;
type Command = (typeof COMMANDS)[number][0];
/** Without these the node cannot be managed from here: the server refuses to stop them. */
const ESSENTIAL = new Set(["pveproxy", "pvedaemon", "pve-cluster"]);

export default function Services({ node }: { node: string }): ReactElement {
  const services = usePolled("/nodes/{node}/services", { node }, 5);
  const tasks = useTasks();
  const submit = useSubmit();
  const [stopping, setStopping] = useState<Service>();
  const send = async (service: Service["service"], command: Command): Promise<void> => {
    tasks.open(await change("POST", `/nodes/{node}/services/{service}/${command}`, { node, service }));
    services.reload();
  };
  return (
    <>
      <Failure failure={services.failure} title="The services could not be read" />
      <Failure failure={submit.failure} title="The service could not be changed" />
      <DataTable
        label="Services"
        rows={services.data}
        hasFailed={services.failure !== undefined}
        rowKey={(row) => row.service}
        empty="No service is known."
        columns={[
          { label: "Name", show: (row) => row.name, by: (row) => row.name },
          {
            label: "State",
            show: (row) => (
              <Label isCompact color={row.state === "running" ? "green" : row.state === "failed" ? "red" : "grey"}>
                {row.state}
              </Label>
            ),
            by: (row) => row.state,
          },
          { label: "Active", show: (row) => row["active-state"] },
          { label: "Unit", show: (row) => row["unit-state"] },
          { label: "Description", show: (row) => row.desc, isLong: true },
        ]}
        actions={(row) =>
          COMMANDS.filter(([command]) => command !== "stop" || !ESSENTIAL.has(row.service)).map(([command, title]) => ({
            title,
            onClick: () => {
              if (command === "stop") setStopping(row);
              else void submit.run(() => send(row.service, command));
            },
          }))
        }
      />
      {stopping && (
        <DeleteDialog
          what={`${stopping.name} from the running services (stop it)`}
          detail={`${stopping.desc} stops on ${node} until somebody starts it or the node boots.`}
          onDelete={() => send(stopping.service, "stop")}
          onClose={() => setStopping(undefined)}
        />
      )}
    </>
  );
}
