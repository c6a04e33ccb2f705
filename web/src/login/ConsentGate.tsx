/* The consent text of the cluster before its children, until it is agreed to. Asked for without a login; while the
   node does not answer it is asked again and again, as a login would fail as well. */

import { Bullseye, Button, Spinner } from "@patternfly/react-core";
import { useEffect, useReducer, type ReactElement, type ReactNode } from "react";

import { asFailure } from "../api/failure";
import { send } from "../api/transport";
import { nextConsent, UNKNOWN } from "../logic/consent";
import { Failure } from "../shared/Failure";

const RETRY_MS = 3000;

export function ConsentGate({ children }: { children: ReactNode }): ReactElement {
  const [consent, tell] = useReducer(nextConsent, UNKNOWN);
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      try {
        tell({ text: (await send("GET", "/access/consent", {}, {}, abort.signal)).data });
      } catch (error) {
        if (abort.signal.aborted) return;
        tell({ failure: asFailure(error) });
        timer = setTimeout(() => void read(), RETRY_MS);
      }
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, []);

  if (consent.kind === "given") return <>{children}</>;
  if (consent.kind === "unknown") {
    return (
      <>
        <Failure failure={consent.failure} title="The login cannot be shown yet" />
        <Bullseye>
          <Spinner size="lg" aria-label="Asking the node" />
        </Bullseye>
      </>
    );
  }
  return (
    <>
      {/* The text may be longer than the box: it can be scrolled with the keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className="q-consent" role="region" aria-label="Consent text" tabIndex={0}>
        {consent.text}
      </div>
      <Button isBlock onClick={() => tell("agree")}>
        I agree
      </Button>
    </>
  );
}
