/* The end of a node's system log, live. */

import { Checkbox } from "@patternfly/react-core";
import { useEffect, useRef, useState, type ReactElement } from "react";

import { call } from "../api/client";
import { asFailure, type ApiFailure } from "../api/failure";
import type { LogLine } from "../api/model";
import { Failure } from "../shared/Failure";
import { TextField } from "../shared/fields";

const LINES = 500;
const PERIOD_MS = 3000;

export default function SystemLog({ node }: { node: string }): ReactElement {
  const [service, setService] = useState("");
  const [follows, setFollows] = useState(true);
  const [lines, setLines] = useState<LogLine[]>();
  const [failure, setFailure] = useState<ApiFailure>();
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      try {
        // Without a start: the last lines
        const found = await call("GET", "/nodes/{node}/syslog", { node, service: service || undefined, limit: LINES }, { signal });
        setLines(found.data);
        setFailure(undefined);
      } catch (error) {
        if (signal.aborted) return;
        setFailure(asFailure(error));
      }
      if (follows && !signal.aborted) timer = setTimeout(() => void read(), PERIOD_MS);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [node, service, follows]);
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follows, lines]);
  return (
    <>
      <div className="q-buttons">
        <TextField label="Service" type="search" value={service} onChange={setService} placeholder="e.g. pve-cluster" />
      </div>
      <Failure failure={failure} title="The system log could not be read" />
      <pre ref={box} className="q-log q-log-tall" aria-label={`System log of ${node}`} tabIndex={0}>
        {lines?.map((line) => line.t).join("\n")}
      </pre>
      <Checkbox id="syslog-follow" label="Follow the end of the log" isChecked={follows} onChange={(_, checked) => setFollows(checked)} />
    </>
  );
}
