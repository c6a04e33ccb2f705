/* A failure as the server told it: what was tried, the message, the texts per parameter. */

import { Alert, List, ListItem } from "@patternfly/react-core";
import type { ReactElement } from "react";

import type { ApiFailure } from "../api/failure";

interface Props {
  failure: ApiFailure | undefined;
  /** What was tried, e.g. "The options could not be read". */
  title: string;
  /** Fields whose texts stand beside them already. */
  shown?: readonly string[];
}

export function Failure({ failure, title, shown = [] }: Props): ReactElement | null {
  if (!failure) return null;
  const others = Object.entries(failure.fields).filter(([name]) => !shown.includes(name));
  return (
    <Alert
      variant={failure.isUnreachable ? "warning" : "danger"}
      isInline
      title={title}
      component="p"
      role="alert"
      className="q-failure"
    >
      <p className="q-message">{failure.message}</p>
      {others.length > 0 && (
        <List>
          {others.map(([name, text]) => (
            <ListItem key={name}>
              <code>{name}</code>: {text}
            </ListItem>
          ))}
        </List>
      )}
    </Alert>
  );
}
