/* The end of a node's system log, live: only what is new is asked for. */

import { Checkbox } from "@patternfly/react-core";
import { useEffect, useRef, useState, type ReactElement } from "react";

import { get } from "../api/client";
import { asFailure, type ApiFailure } from "../api/failure";
import { useLatest } from "../api/hooks";
import { append, EMPTY, lineOf, MOST, nextRequest, type Journal } from "../logic/journal";
import { Failure } from "../shared/Failure";
import { TextField } from "../shared/fields";

const PERIOD_MS = 3000;
/** After the last key: a name is typed letter by letter. */
const TYPING_MS = 400;

export default function SystemLog({ node }: { node: string }): ReactElement {
  const [service, setService] = useState("");
  const [follows, setFollows] = useState(true);
  const { journal, failure } = useJournal(node, service.trim(), follows);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follows, journal]);
  return (
    <>
      <div className="q-buttons">
        <TextField label="Service" type="search" value={service} onChange={setService} placeholder="e.g. pve-cluster" />
      </div>
      <Failure failure={failure} title="The system log could not be read" />
      {journal.isCut && <p className="q-subtle">The newest {MOST} entries are shown.</p>}
      <pre ref={box} className="q-log q-log-tall" role="group" aria-label={`System log of ${node}`} tabIndex={0}>
        {journal.entries.map(lineOf).join("\n")}
      </pre>
      <Checkbox id="syslog-follow" label="Follow the end of the log" isChecked={follows} onChange={(_, checked) => setFollows(checked)} />
    </>
  );
}

/** Grows while `follows`, and while somebody looks at the page. */
function useJournal(node: string, service: string, follows: boolean): { journal: Journal; failure: ApiFailure | undefined } {
  const [journal, setJournal] = useState<Journal>(EMPTY);
  const [failure, setFailure] = useState<ApiFailure>();
  const grows = useLatest(follows);
  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let present = EMPTY;
    let isFirst = true;
    const read = async (): Promise<void> => {
      try {
        if (isFirst || (grows.current && !document.hidden)) {
          const parameters = { node, service: service || undefined, ...nextRequest(present) };
          present = append(present, await get("/nodes/{node}/journal", parameters, { signal }));
          setJournal(present);
          isFirst = false;
        }
        setFailure(undefined);
      } catch (error) {
        if (signal.aborted) return;
        setFailure(asFailure(error));
      }
      if (!signal.aborted) timer = setTimeout(() => void read(), PERIOD_MS);
    };
    timer = setTimeout(() => void read(), service ? TYPING_MS : 0);
    return () => {
      abort.abort();
      clearTimeout(timer);
      setJournal(EMPTY);
    };
  }, [node, service, grows]);
  return { journal, failure };
}
