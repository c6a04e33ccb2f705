/* Login or pages; the login dialog over the page when a session has ended, so that no form is lost. */

import { Bullseye, Modal, ModalBody, ModalHeader, Spinner } from "@patternfly/react-core";
import { useRef, type ReactElement } from "react";

import { useSession } from "../api/hooks";
import { logOut } from "../api/session";
import { LoginForm } from "../login/LoginForm";
import { LoginPage } from "../login/LoginPage";
import { useOnTop } from "../shared/useOnTop";
import { Shell } from "./Shell";

export function App(): ReactElement {
  const state = useSession();
  if (state.kind === "starting") {
    return (
      <Bullseye className="q-whole">
        <Spinner aria-label="Looking for a session" />
      </Bullseye>
    );
  }
  if (state.kind === "out") return <LoginPage notice={state.notice} />;
  return (
    <>
      <Shell key={state.session.username} session={state.session} />
      {state.expired && (
        <Modal isOpen variant="small" aria-labelledby="relogin-title" className="q-relogin">
          <Relogin username={state.session.username} />
        </Modal>
      )}
    </>
  );
}

function Relogin({ username }: { username: string }): ReactElement {
  const inside = useRef<HTMLDivElement>(null);
  useOnTop(inside);
  return (
    <div ref={inside}>
      <ModalHeader
        title="The session has ended"
        labelId="relogin-title"
        description="Log in again to go on. What you have typed on the page is kept."
      />
      <ModalBody>
        <LoginForm username={username} onOther={() => logOut()} />
      </ModalBody>
    </div>
  );
}
