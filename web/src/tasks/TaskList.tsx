/* Datacenter -> Tasks: the newest ones of all nodes, live. */

import type { ReactElement } from "react";

import type { Task } from "../api/model";
import { TaskTable } from "./TaskTable";

export default function TaskList({ tasks }: { tasks: readonly Task[] }): ReactElement {
  const rows = [...tasks].sort((one, other) => other.starttime - one.starttime);
  return <TaskTable label="Cluster tasks" tasks={rows} />;
}
