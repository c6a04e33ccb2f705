/* User, password, realm; then the second factor if one is set. Used by the login page and the dialog that
   appears when a session has ended. */

import { ActionGroup, Button, Form } from "@patternfly/react-core";
import { useEffect, useState, type ReactElement } from "react";

import type { ApiFailure } from "../api/failure";
import type { Realm } from "../api/model";
import { answerChallenge, logIn, type Challenge } from "../api/session";
import { send } from "../api/transport";
import { Failure } from "../shared/Failure";
import { ChoiceField, TextField } from "../shared/fields";
import { useSubmit } from "../shared/useSubmit";

const PRESET: Realm[] = [
  { realm: "pam", type: "pam", comment: "Linux PAM standard authentication" },
  { realm: "pve", type: "pve", comment: "Proxmox VE authentication server" },
];
const REALM_KEY = "quorate-realm";

export function LoginForm({ username, onOther }: { username?: string; onOther?: () => void }): ReactElement {
  const [name, setName] = useState(username ?? "");
  const [password, setPassword] = useState("");
  const [realms, setRealms] = useState(PRESET);
  const [realm, setRealm] = useState(() => localStorage.getItem(REALM_KEY) ?? "pam");
  const [challenge, setChallenge] = useState<Challenge>();
  const submit = useSubmit();

  useEffect(() => {
    const abort = new AbortController();
    send("GET", "/access/domains", {}, {}, abort.signal).then(
      ({ data }) => {
        if (data.length > 0) setRealms(data);
        const preset = data.find((entry) => entry.default)?.realm;
        if (preset && localStorage.getItem(REALM_KEY) === null) setRealm(preset);
      },
      () => undefined, // the preset ones exist everywhere
    );
    return () => abort.abort();
  }, []);

  const enter = async (): Promise<void> => {
    const found = await logIn(name.trim(), password, realm);
    if (found) setChallenge(found);
    else localStorage.setItem(REALM_KEY, realm);
  };

  if (challenge) {
    return <SecondFactor challenge={challenge} onBack={() => setChallenge(undefined)} />;
  }
  return (
    <Form
      onSubmit={(event) => {
        event.preventDefault();
        if (!submit.busy) void submit.run(enter);
      }}
    >
      <Failure failure={submit.failure} title={loginTitle(submit.failure)} />
      <TextField
        label="User name"
        value={name}
        onChange={setName}
        autoComplete="username"
        isRequired
        isReadOnly={username !== undefined}
        autoFocus={username === undefined}
      />
      <TextField
        label="Password"
        type="password"
        value={password}
        onChange={setPassword}
        autoComplete="current-password"
        isRequired
        autoFocus={username !== undefined}
      />
      {username === undefined && (
        <ChoiceField
          label="Realm"
          value={realm}
          onChange={setRealm}
          choices={realms.map((entry) => [entry.realm, entry.comment] as const)}
        />
      )}
      <ActionGroup>
        <Button type="submit" isBlock isDisabled={submit.busy || name === "" || password === ""} isLoading={submit.busy}>
          Log in
        </Button>
        {onOther && (
          <Button variant="link" isBlock onClick={onOther}>
            Log out instead
          </Button>
        )}
      </ActionGroup>
    </Form>
  );
}

function SecondFactor({ challenge, onBack }: { challenge: Challenge; onBack: () => void }): ReactElement {
  const [kind, setKind] = useState("totp");
  const [code, setCode] = useState("");
  const submit = useSubmit();
  return (
    <Form
      onSubmit={(event) => {
        event.preventDefault();
        if (!submit.busy) void submit.run(() => answerChallenge(challenge, `${kind}:${code.trim()}`));
      }}
    >
      <Failure failure={submit.failure} title="The second factor was refused" />
      <p>The password is right. {challenge.username} has a second factor.</p>
      <ChoiceField
        label="Second factor"
        value={kind}
        onChange={setKind}
        choices={[
          ["totp", "Code of the authenticator app"],
          ["recovery", "Recovery key"],
        ]}
      />
      <TextField
        label={kind === "totp" ? "Code" : "Recovery key"}
        value={code}
        onChange={setCode}
        autoComplete="one-time-code"
        inputMode={kind === "totp" ? "numeric" : "text"}
        isRequired
        autoFocus
      />
      <ActionGroup>
        <Button type="submit" isBlock isDisabled={submit.busy || code.trim() === ""} isLoading={submit.busy}>
          Confirm
        </Button>
        <Button variant="link" isBlock onClick={onBack} isDisabled={submit.busy}>
          Back
        </Button>
      </ActionGroup>
    </Form>
  );
}

function loginTitle(failure: ApiFailure | undefined): string {
  return failure?.status === 401 ? "Login failed. Please try again" : "Login failed";
}
