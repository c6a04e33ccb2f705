/* Rows of tasks; a click or Enter on the button opens the viewer. */

import { Button } from "@patternfly/react-core";
import type { ReactElement } from "react";

import type { Task } from "../api/model";
import { useTasks } from "../app/tasksContext";
import { taskTitle, time } from "../logic/format";
import { DataTable } from "../shared/DataTable";
import { TaskState } from "../shared/Status";

interface Props {
  label: string;
  tasks: readonly Task[] | undefined;
  empty?: string;
  withNode?: boolean;
  hasFailed?: boolean;
}

export function TaskTable({ label, tasks, empty = "There are no tasks yet.", withNode = true, hasFailed = false }: Props): ReactElement {
  const viewer = useTasks();
  return (
    <DataTable
      label={label}
      rows={tasks}
      hasFailed={hasFailed}
      rowKey={(row) => row.upid}
      empty={empty}
      columns={[
        { label: "Start", show: (row) => time(row.starttime), by: (row) => row.starttime },
        { label: "End", show: (row) => time(row.endtime), by: (row) => row.endtime ?? Infinity },
        ...(withNode ? [{ label: "Node", show: (row: Task) => row.node, by: (row: Task) => row.node }] : []),
        { label: "User", show: (row) => row.tokenid ? `${row.user}!${row.tokenid}` : row.user, by: (row) => row.user },
        {
          label: "Task",
          show: (row) => (
            <Button variant="link" isInline onClick={() => viewer.open(row.upid)}>
              {taskTitle(row.type, row.id ?? "")}
            </Button>
          ),
          by: (row) => row.type,
        },
        { label: "Status", show: (row) => <TaskState status={row.status} />, by: (row) => row.status ?? "" },
      ]}
    />
  );
}
