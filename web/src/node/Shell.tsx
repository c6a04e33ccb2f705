/* A shell on a node, in a terminal that is loaded with this tab. It ends when the tab is left. */

import "@xterm/xterm/css/xterm.css";

import { Alert, Button } from "@patternfly/react-core";
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { useEffect, useRef, useState, type ReactElement } from "react";

import { asFailure, type ApiFailure } from "../api/failure";
import { Failure } from "../shared/Failure";
import { ConsoleConnection } from "./consoleConnection";

type State = { kind: "opening" } | { kind: "open" } | { kind: "ended"; reason?: string } | { kind: "refused"; failure: ApiFailure };

/** Bytes that wait to be drawn; a program that says more than that faster than it is drawn is not read by anybody. */
const MAX_WAITING = 8 << 20;
const FONT = 'ui-monospace, "DejaVu Sans Mono", monospace';

export default function Shell({ node }: { node: string }): ReactElement {
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const [round, setRound] = useState(0);
  const [state, setState] = useState<State>({ kind: "opening" });
  useEffect(() => {
    const place = box.current;
    if (!place) return;
    const terminal = new Terminal({ cursorBlink: true, fontFamily: FONT, fontSize: 14, scrollback: 5000 });
    const fit = new FitAddon();
    terminal.loadAddon(fit);
    terminal.open(place);
    terminal.attachCustomKeyEventHandler((event) => {
      const leaves = event.ctrlKey && event.shiftKey && event.key === "Home";
      // The program gets every other key, Tab included
      if (leaves && event.type === "keydown") button.current?.focus();
      return !leaves;
    });
    let waiting = 0;
    const connection = new ConsoleConnection({
      onReady: () => {
        setState({ kind: "open" });
        fit.fit();
        connection.resize(terminal.cols, terminal.rows);
        terminal.focus();
      },
      onData: (data) => {
        if (waiting > MAX_WAITING) return;
        waiting += data.length;
        terminal.write(data, () => {
          waiting -= data.length;
        });
      },
      onEnd: (reason) => setState({ kind: "ended", reason }),
    });
    terminal.onData((text) => connection.type(text));
    terminal.onBinary((binary) => connection.typeBytes(binary));
    terminal.onResize(({ cols, rows }) => connection.resize(cols, rows));
    const observer = new ResizeObserver(() => fit.fit());
    observer.observe(place);
    let left = false;
    setState({ kind: "opening" });
    connection.open(node).catch((error: unknown) => {
      if (!left) setState({ kind: "refused", failure: asFailure(error) });
    });
    return () => {
      left = true;
      observer.disconnect();
      connection.close();
      terminal.dispose();
    };
  }, [node, round]);
  const over = state.kind === "ended" || state.kind === "refused";
  return (
    <>
      <Failure failure={state.kind === "refused" ? state.failure : undefined} title={`The shell on ${node} could not be opened`} />
      {state.kind === "ended" && (
        <Alert variant={state.reason ? "warning" : "info"} isInline component="p" title="The shell has ended.">
          {state.reason}
        </Alert>
      )}
      <div className="q-buttons">
        <Button ref={button} variant="secondary" isDisabled={state.kind === "opening"} onClick={() => setRound((count) => count + 1)}>
          {over ? "Connect again" : "New shell"}
        </Button>
        <span role="status" className="q-terminal-state">
          {state.kind === "opening" && `Opening a shell on ${node} ...`}
          {state.kind === "open" && "Ctrl+Shift+Home leaves the terminal, Ctrl+Shift+V pastes. The shell ends when you leave this tab."}
        </span>
      </div>
      <div ref={box} className="q-terminal" role="group" aria-label={`Shell on ${node}`} />
    </>
  );
}
