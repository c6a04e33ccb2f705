/* A join while it runs. This node gets the cluster's keys and certificate and restarts its services on the way:
   refused tickets and silence belong to it. In the end the page comes back by itself. */

import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader, ProgressStep, ProgressStepper, Spinner } from "@patternfly/react-core";
import { useEffect, useState, type ReactElement } from "react";

import { get } from "../api/client";
import { asFailure } from "../api/failure";
import { logOut, tolerateRefusals } from "../api/session";
import { send } from "../api/transport";
import { nextPhase, START, UNREACHABLE_MS, type JoinState, type Observation } from "../logic/joinPhases";
import { parseUpid } from "../logic/upid";
import { useFocusBack } from "../shared/useFocusBack";
import { rememberJoin } from "./JoinReport";

const PERIOD_MS = 1000;
/** One answer must not hold up the next look for long: the services restart. */
const LOOK_MS = 8000;
const RELOAD_MS = 5000;

interface Props {
  upid: string;
  clusterName: string | undefined;
  /** Back to what was typed, after a failure; `reason` is how the task ended. */
  onBack: (reason: string) => void;
  onClose: () => void;
}

export function JoinProgress({ upid, clusterName, onBack, onClose }: Props): ReactElement {
  useFocusBack();
  const [state, setState] = useState<JoinState>(START);
  const [lines, setLines] = useState<string[]>([]);
  const isOver = state.phase === "joined" || state.phase === "failed";

  useEffect(() => {
    const abort = new AbortController();
    const restore = tolerateRefusals();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let present = START;
    const look = async (): Promise<void> => {
      const event = await observe(upid, abort.signal, setLines);
      if (abort.signal.aborted) return;
      present = nextPhase(present, event, Date.now());
      setState(present);
      if (present.phase !== "joined" && present.phase !== "failed") timer = setTimeout(() => void look(), PERIOD_MS);
    };
    void look();
    return () => {
      abort.abort();
      restore();
      clearTimeout(timer);
    };
  }, [upid]);

  useEffect(() => {
    if (state.phase !== "joined") return;
    rememberJoin(upid, clusterName);
    const timer = setTimeout(comeBack, RELOAD_MS);
    return () => clearTimeout(timer);
  }, [state.phase, upid, clusterName]);

  useEffect(() => {
    // Once: the page that comes then has no dialog of this kind. Without a network it would not come at all.
    if (!state.mustReload || !navigator.onLine) return;
    rememberJoin(upid, clusterName);
    comeBack();
  }, [state.mustReload, upid, clusterName]);

  const step = { running: 0, restarting: 1, joined: 2, failed: 0 }[state.phase];
  const variant = (index: number): "success" | "info" | "pending" | "danger" =>
    state.phase === "failed" && index === step ? "danger" : index < step || state.phase === "joined" ? "success" : index === step ? "info" : "pending";
  return (
    <Modal isOpen variant="medium" aria-labelledby="join-progress" onClose={state.phase === "failed" ? onClose : undefined}>
      <ModalHeader
        title={state.phase === "joined" ? "Join Task Finished" : `Joining ${clusterName ? `'${clusterName}'` : "the cluster"}`}
        labelId="join-progress"
      />
      <ModalBody className="q-tab">
        <ProgressStepper isCenterAligned aria-label="Join">
          {["The peer is asked", "Keys and services change", "Log in again"].map((label, index) => (
            <ProgressStep
              key={label}
              id={`join-step-${index}`}
              titleId={`join-step-${index}-title`}
              variant={variant(index)}
              isCurrent={index === step}
              aria-label={`${label}: ${variant(index)}`}
            >
              {label}
            </ProgressStep>
          ))}
        </ProgressStepper>
        <div role="status">
          {state.phase === "running" && <p><Spinner isInline aria-label="Running" /> The join runs.</p>}
          {state.phase === "restarting" && (
            <Alert isInline variant="info" component="p" title="This node takes over the cluster's keys and restarts its services.">
              It does not answer for some seconds, and shows a new certificate afterwards. This page waits and comes
              back by itself.
              {(state.unreachable !== undefined || state.isSlow) && (
                <p>
                  If the browser does not trust the new certificate it cannot tell this page. After{" "}
                  {UNREACHABLE_MS / 1000} seconds without any connection the page is loaded anew: accept the certificate
                  then and log in. <Button variant="link" isInline onClick={comeBack}>Load it now</Button>
                </p>
              )}
            </Alert>
          )}
          {state.phase === "joined" && (
            <Alert isInline variant="success" component="p" title="This node has joined the cluster.">
              The node certificate may have changed: the page is loaded again in a moment. Log in with the
              cluster&apos;s users and passwords then.
            </Alert>
          )}
          {state.phase === "failed" && (
            <Alert isInline variant="danger" component="p" title="The join failed">
              <p className="q-message">{state.reason}</p>
            </Alert>
          )}
        </div>
        <pre className="q-log" role="group" aria-label="Task log" tabIndex={0}>
          {lines.join("\n")}
        </pre>
      </ModalBody>
      <ModalFooter>
        {state.phase === "joined" && <Button onClick={comeBack}>Reload now</Button>}
        {state.phase === "failed" && (
          <>
            <Button onClick={() => onBack(state.reason)}>Change and try again</Button>
            <Button variant="link" onClick={onClose}>
              Close
            </Button>
          </>
        )}
        {!isOver && <Button variant="link" isDisabled>The page must stay open</Button>}
      </ModalFooter>
    </Modal>
  );
}

function comeBack(): void {
  logOut();
  location.reload();
}

async function observe(
  upid: string,
  signal: AbortSignal,
  show: (lines: string[]) => void,
): Promise<Observation> {
  const node = parseUpid(upid)?.node ?? "localhost";
  const limited = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]);
  try {
    const status = await get("/nodes/{node}/tasks/{upid}/status", { node, upid }, { quiet: true, signal: limited });
    const all = { node, upid, start: 0, limit: 0 };
    const log = await get("/nodes/{node}/tasks/{upid}/log", all, { quiet: true, signal: limited });
    show(log.map((line) => line.t));
    return status.status === "running" ? { kind: "running" } : { kind: "stopped", exit: status.exitstatus ?? "" };
  } catch (error) {
    if (asFailure(error).status !== 401) return silence(error, limited);
  }
  // The ticket is refused: the keys are the cluster's. Is the node back?
  try {
    await send("GET", "/access/domains", {}, {}, limited);
    return { kind: "refused" };
  } catch (error) {
    return silence(error, limited);
  }
}

function silence(error: unknown, limited: AbortSignal): Observation {
  return { kind: asFailure(error).status === 0 && !limited.aborted ? "unreachable" : "silent" };
}
