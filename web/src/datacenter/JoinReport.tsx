/* After the reload that ends a join: how its task ended, which the page could not see any more. */

import { Alert, AlertActionCloseButton, AlertActionLink } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { usePolled } from "../api/hooks";
import { useTasks } from "../app/tasksContext";
import { parseUpid, resultOf } from "../logic/upid";

const KEY = "quorate-join";

export function rememberJoin(upid: string, clusterName: string | undefined): void {
  sessionStorage.setItem(KEY, JSON.stringify({ upid, clusterName }));
  // After the login the person looks for this first
  history.replaceState(null, "", "#/datacenter/cluster");
}

export function JoinReport(): ReactElement | null {
  const [join, setJoin] = useState(readJoin);
  const tasks = useTasks();
  const node = join && parseUpid(join.upid)?.node;
  const status = usePolled(
    join && node ? "/nodes/{node}/tasks/{upid}/status" : null,
    { node: node ?? "", upid: join?.upid ?? "" },
    2,
  );
  if (!join) return null;
  const exit = status.data?.status === "stopped" ? (status.data.exitstatus ?? "") : undefined;
  const result = resultOf(exit);
  const forget = (): void => {
    sessionStorage.removeItem(KEY);
    setJoin(undefined);
  };
  return (
    <Alert
      isInline
      component="p"
      variant={result === "running" ? "info" : result === "ok" ? "success" : result === "warning" ? "warning" : "danger"}
      title={
        result === "running"
          ? "The join is being finished."
          : result === "ok" || result === "warning"
            ? `This node has joined ${join.clusterName ? `'${join.clusterName}'` : "the cluster"}.`
            : "The join failed."
      }
      actionClose={<AlertActionCloseButton onClose={forget} />}
      actionLinks={<AlertActionLink onClick={() => tasks.open(join.upid)}>Show the task</AlertActionLink>}
    >
      {exit !== undefined && exit !== "OK" && <p className="q-message">{exit}</p>}
    </Alert>
  );
}

function readJoin(): { upid: string; clusterName?: string } | undefined {
  try {
    return (JSON.parse(sessionStorage.getItem(KEY) ?? "null") as { upid: string } | null) ?? undefined;
  } catch {
    return undefined;
  }
}
