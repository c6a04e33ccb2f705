/* States as an icon with a word: never by colour alone. */

import { Label } from "@patternfly/react-core";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import QuestionCircleIcon from "@patternfly/react-icons/dist/esm/icons/outlined-question-circle-icon";
import type { ReactElement } from "react";

import { resultOf } from "../logic/upid";

export function NodeState({ status }: { status: string | undefined }): ReactElement {
  if (status === "online") return <Label status="success" icon={<CheckCircleIcon />} isCompact>online</Label>;
  if (status === "offline") return <Label status="danger" icon={<ExclamationCircleIcon />} isCompact>offline</Label>;
  return <Label color="grey" icon={<QuestionCircleIcon />} isCompact>unknown</Label>;
}

export function GuestState({ status }: { status: string | undefined }): ReactElement {
  if (status === "running") return <Label status="success" icon={<CheckCircleIcon />} isCompact>running</Label>;
  if (status === "stopped") return <Label color="grey" icon={<PowerOffIcon />} isCompact>stopped</Label>;
  return <Label color="grey" icon={<QuestionCircleIcon />} isCompact>{status ?? "unknown"}</Label>;
}

/** A task's end; its text beside the sign. */
export function TaskState({ status }: { status: string | undefined }): ReactElement {
  switch (resultOf(status)) {
    case "running":
      return <Label color="blue" icon={<InProgressIcon />} isCompact>running</Label>;
    case "ok":
      return <Label status="success" icon={<CheckCircleIcon />} isCompact>OK</Label>;
    case "warning":
      return <Label status="warning" icon={<ExclamationTriangleIcon />} isCompact>{status}</Label>;
    case "error":
      return <Label status="danger" icon={<ExclamationCircleIcon />} isCompact textMaxWidth="40ch">{status}</Label>;
    case "unknown":
      return <Label color="grey" icon={<QuestionCircleIcon />} isCompact>{status}</Label>;
  }
}
