/* The panel at the bottom of every page: tasks and cluster log, live; closed it shows the newest task. */

import { Button, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import AngleDownIcon from "@patternfly/react-icons/dist/esm/icons/angle-down-icon";
import AngleUpIcon from "@patternfly/react-icons/dist/esm/icons/angle-up-icon";
import { useState, type ReactElement } from "react";

import { usePolled } from "../api/hooks";
import type { Task } from "../api/model";
import { taskTitle } from "../logic/format";
import { Failure } from "../shared/Failure";
import { TaskState } from "../shared/Status";
import { ClusterLogTable } from "./ClusterLog";
import { TaskTable } from "./TaskTable";

const MOST = 25;
const KEY = "quorate-bottom";

export default function BottomPanel({ tasks }: { tasks: readonly Task[] }): ReactElement {
  const [isOpen, setOpen] = useState(() => localStorage.getItem(KEY) === "open");
  const [shown, setShown] = useState<"tasks" | "log">("tasks");
  const newest = [...tasks].sort((one, other) => other.starttime - one.starttime).slice(0, MOST);
  const latest = newest[0];
  const toggle = (): void => {
    localStorage.setItem(KEY, isOpen ? "closed" : "open");
    setOpen(!isOpen);
  };
  return (
    <section className="q-bottom" aria-label="Recent tasks and log">
      <div className="q-bottom-head">
        <Button
          variant="plain"
          icon={isOpen ? <AngleDownIcon /> : <AngleUpIcon />}
          aria-expanded={isOpen}
          onClick={toggle}
          size="sm"
        >
          Recent tasks
        </Button>
        {isOpen && (
          <ToggleGroup aria-label="What is shown" isCompact>
            <ToggleGroupItem text="Tasks" isSelected={shown === "tasks"} onChange={() => setShown("tasks")} />
            <ToggleGroupItem text="Cluster log" isSelected={shown === "log"} onChange={() => setShown("log")} />
          </ToggleGroup>
        )}
        {!isOpen && latest && (
          <span className="q-bottom-latest">
            {latest.node}: {taskTitle(latest.type, latest.id ?? "")} <TaskState status={latest.status} />
          </span>
        )}
      </div>
      {isOpen && (
        <div className="q-bottom-body">
          {shown === "tasks" ? <TaskTable label="Recent tasks" tasks={newest} /> : <RecentLog />}
        </div>
      )}
    </section>
  );
}

function RecentLog(): ReactElement {
  const log = usePolled("/cluster/log", { max: MOST }, 3, ["log"]);
  return (
    <>
      <Failure failure={log.failure} title="The cluster log could not be read" />
      <ClusterLogTable log={log.data} hasFailed={log.failure !== undefined} />
    </>
  );
}
