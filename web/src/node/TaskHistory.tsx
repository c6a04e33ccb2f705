/* A node's finished and running tasks, page by page, filtered; up to date while one looks at them. */

import { Button } from "@patternfly/react-core";
import { useEffect, useState, type ReactElement } from "react";

import { usePolled } from "../api/hooks";
import type { Task } from "../api/model";
import { Failure } from "../shared/Failure";
import { ChoiceField, TextField } from "../shared/fields";
import { TaskTable } from "../tasks/TaskTable";

const PAGE = 50;
const SECONDS = 15;

export default function TaskHistory({ node }: { node: string }): ReactElement {
  const [start, setStart] = useState(0);
  const [user, setUser] = useState("");
  const [type, setType] = useState("");
  const [state, setState] = useState("");
  const parameters = {
    node,
    start,
    limit: PAGE,
    source: "all" as const,
    userfilter: user || undefined,
    typefilter: type || undefined,
    statusfilter: state || undefined,
  };
  const { data, total, failure } = usePolled("/nodes/{node}/tasks", parameters, SECONDS, ["tasks"]);
  // Stays until those of another page or filter are there: the buttons below must not go away under the focus
  const [found, setFound] = useState<{ tasks: Task[]; total: number }>();
  useEffect(() => {
    if (data) setFound({ tasks: data, total: total ?? data.length });
  }, [data, total]);
  const filter = (set: (value: string) => void) => (value: string) => {
    set(value);
    setStart(0);
  };
  return (
    <>
      <div className="q-buttons">
        <TextField label="User" type="search" value={user} onChange={filter(setUser)} />
        <TextField label="Kind of task" type="search" value={type} onChange={filter(setType)} placeholder="e.g. clusterjoin" />
        <ChoiceField
          label="Result"
          value={state}
          onChange={filter(setState)}
          choices={[
            ["", "All"],
            ["ok", "OK"],
            ["warning", "Warnings"],
            ["error", "Errors"],
            ["unknown", "Unknown"],
          ]}
        />
      </div>
      <Failure failure={failure} title="The tasks could not be read" />
      <TaskTable label={`Tasks of ${node}`} tasks={found?.tasks} hasFailed={failure !== undefined} empty="No task matches." withNode={false} />
      {found && found.total > PAGE && (
        <div className="q-buttons">
          <Button variant="secondary" isDisabled={start === 0} onClick={() => setStart(Math.max(0, start - PAGE))}>
            Newer
          </Button>
          <Button variant="secondary" isDisabled={start + PAGE >= found.total} onClick={() => setStart(start + PAGE)}>
            Older
          </Button>
          <span>
            {start + 1} to {Math.min(start + PAGE, found.total)} of {found.total}
          </span>
        </div>
      )}
    </>
  );
}
