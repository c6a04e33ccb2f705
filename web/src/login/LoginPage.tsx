/* What one sees without a session. */

import { Alert, Card, CardBody, CardTitle } from "@patternfly/react-core";
import type { ReactElement } from "react";

import { ConsentGate } from "./ConsentGate";
import { LoginForm } from "./LoginForm";

export function LoginPage({ notice }: { notice: string | undefined }): ReactElement {
  return (
    <main className="q-login">
      <Card>
        <CardTitle component="h1">
          <img src="/icon.svg" alt="" width={32} height={32} /> quorate
          <span className="q-login-host">{location.hostname}</span>
        </CardTitle>
        <CardBody>
          {notice !== undefined && <Alert isInline variant="info" component="p" title={notice} className="q-failure" />}
          <ConsentGate>
            <LoginForm />
          </ConsentGate>
        </CardBody>
      </Card>
    </main>
  );
}
