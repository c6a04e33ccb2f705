/* One task: its log while it is written, its state, and stopping it. */

import {
  Alert,
  Button,
  Checkbox,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
} from "@patternfly/react-core";
import DownloadIcon from "@patternfly/react-icons/dist/esm/icons/download-icon";
import { useEffect, useRef, useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import { refresh } from "../api/live";
import { sendForText } from "../api/transport";
import { duration, taskTitle, time } from "../logic/format";
import { parseUpid } from "../logic/upid";
import { Failure } from "../shared/Failure";
import { saveText } from "../shared/saveText";
import { TaskState } from "../shared/Status";
import { useFocusBack } from "../shared/useFocusBack";
import { useSubmit } from "../shared/useSubmit";
import { TaskSteps } from "./TaskSteps";
import { useTaskLog } from "./useTaskLog";

const SECONDS = 1;

export default function TaskViewer({ upid, onClose }: { upid: string; onClose: () => void }): ReactElement {
  useFocusBack();
  const task = parseUpid(upid);
  const node = task?.node ?? "localhost";
  const [isOver, setOver] = useState(false);
  const status = usePolled("/nodes/{node}/tasks/{upid}/status", { node, upid }, isOver ? 0 : SECONDS);
  const { log, failure } = useTaskLog(node, upid, isOver);
  const submit = useSubmit();
  const download = useSubmit();
  const [follows, setFollows] = useState(true);
  const box = useRef<HTMLPreElement>(null);

  const stopped = status.data?.status === "stopped";
  useEffect(() => {
    if (!stopped) return;
    setOver(true);
    refresh();
  }, [stopped]);
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follows, log.lines]);

  const end = stopped ? (status.data?.exitstatus ?? "") : undefined;
  return (
    <Modal isOpen variant="large" onClose={onClose} aria-labelledby="task-viewer">
      <ModalHeader
        title={`Task: ${taskTitle(task?.type ?? upid, task?.id ?? "")}`}
        labelId="task-viewer"
      />
      <ModalBody className="q-tab">
        <Failure failure={submit.failure} title="The task could not be stopped" />
        <Failure failure={status.failure} title="The task's state could not be read; trying again" />
        <Failure failure={download.failure} title="The log could not be downloaded" />
        <Failure failure={failure} title="The task's log could not be read; trying again" />
        <DescriptionList isHorizontal isCompact isFluid columnModifier={{ default: "1Col", md: "2Col" }}>
          <Entry term="State">{(status.data ?? end) !== undefined ? <TaskState status={end} /> : "–"}</Entry>
          <Entry term="Node">{task?.node ?? "–"}</Entry>
          <Entry term="User">{task?.user ?? "–"}</Entry>
          <Entry term="Started">{time(task?.starttime)}</Entry>
        </DescriptionList>
        {status.data?.steps && <TaskSteps steps={status.data.steps} />}
        {log.skipped > 0 && (
          <Alert
            isInline
            variant="info"
            component="p"
            title={`The log is long: its first ${log.skipped} lines are not shown here. All of them are in the downloaded text.`}
          />
        )}
        <pre ref={box} className="q-log" role="group" aria-label="Task log" tabIndex={0}>
          {log.lines.join("\n")}
        </pre>
        <Checkbox
          id="task-follow"
          label="Follow the end of the log"
          isChecked={follows}
          onChange={(_, checked) => setFollows(checked)}
        />
        <details>
          <summary>Identifier</summary>
          <code className="q-mono">{upid}</code>
        </details>
      </ModalBody>
      <ModalFooter>
        <Button onClick={onClose}>Close</Button>
        <Button
          variant="secondary"
          icon={<DownloadIcon />}
          isDisabled={download.busy}
          isLoading={download.busy}
          onClick={() => void download.run(() => save(node, upid))}
        >
          Download
        </Button>
        {!stopped && (
          <Button
            variant="danger"
            isDisabled={submit.busy || !status.data}
            isLoading={submit.busy}
            onClick={() => void submit.run(() => change("DELETE", "/nodes/{node}/tasks/{upid}", { node, upid }))}
          >
            Stop
          </Button>
        )}
        {!stopped && task && <span className="q-subtle">running for {duration(Date.now() / 1000 - task.starttime)}</span>}
      </ModalFooter>
    </Modal>
  );
}

async function save(node: string, upid: string): Promise<void> {
  const text = await sendForText("/nodes/{node}/tasks/{upid}/log", { node, upid, download: true });
  saveText(`task-${upid.replaceAll(":", "-").replace(/-$/, "")}.log`, text);
}

function Entry({ term, children }: { term: string; children: React.ReactNode }): ReactElement {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}
