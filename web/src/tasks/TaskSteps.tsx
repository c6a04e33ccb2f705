/* How far a task of several steps is. */

import { ProgressStep, ProgressStepper } from "@patternfly/react-core";
import type { ReactElement } from "react";

import type { TaskStep } from "../api/model";

const VARIANTS = { pending: "pending", running: "info", done: "success", failed: "danger" } as const;

export function TaskSteps({ steps }: { steps: readonly TaskStep[] }): ReactElement {
  return (
    <ProgressStepper isVertical isCompact aria-label="Steps of the task">
      {steps.map(({ name, state }, index) => (
        <ProgressStep
          key={name}
          id={`task-step-${index}`}
          titleId={`task-step-${index}-title`}
          variant={VARIANTS[state]}
          isCurrent={state === "running" || state === "failed"}
          aria-label={`${name}: ${state}`}
        >
          {name}
        </ProgressStep>
      ))}
    </ProgressStepper>
  );
}
