/* Remove node: what goes, what stays, what stands against it; the name is typed to confirm. */

import { Alert, List, ListItem } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import { refresh, type Live } from "../api/live";
import type { ConfigNode } from "../api/model";
import { removalView } from "../logic/removal";
import { CheckField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

interface Props {
  node: string;
  live: Live;
  config: readonly ConfigNode[];
  onClose: () => void;
}

export function RemoveNodeDialog({ node, live, config, onClose }: Props): ReactElement {
  const [typed, setTyped] = useState("");
  const [consents, setConsents] = useState<ReadonlySet<string>>(new Set());
  // Nobody tells when votes or the QDevice change
  const quorum = usePolled("/cluster/quorum", {}, 5, ["status"], 5);
  const view = removalView(node, { ...live, config, quorum: quorum.data });
  const isKnown = quorum.data !== undefined || quorum.failure !== undefined;
  const isAgreed = view.conditions.every(({ consent }) => consents.has(consent));
  const agree = (consent: string, isGiven: boolean): void => {
    setConsents((before) => new Set([...before].filter((other) => other !== consent).concat(isGiven ? [consent] : [])));
  };
  return (
    <FormDialog
      title={`Remove node ${node}`}
      isDanger
      submitLabel="Remove"
      size="medium"
      canSubmit={isKnown && view.obstacles.length === 0 && isAgreed && typed === node}
      onSubmit={async () => {
        await change("DELETE", "/cluster/config/nodes/{node}", { node });
        refresh();
        return undefined;
      }}
      onClose={onClose}
    >
      {() => (
        <>
          {view.obstacles.length > 0 && (
            <Alert isInline variant="danger" component="p" title="This stands against it">
              <List>
                {view.obstacles.map((text) => (
                  <ListItem key={text}>{text}</ListItem>
                ))}
              </List>
            </Alert>
          )}
          {view.conditions.map(({ text, consent }) => (
            <Alert key={consent} isInline variant="warning" component="p" title={text}>
              <CheckField label={consent} value={consents.has(consent)} onChange={(isGiven) => agree(consent, isGiven)} />
            </Alert>
          ))}
          {view.warnings.map((text) => (
            <Alert key={text} isInline variant="warning" component="p" title={text} />
          ))}
          <div>
            <p>What is removed:</p>
            <List>
              {view.removed.map((text) => (
                <ListItem key={text}>{text}</ListItem>
              ))}
            </List>
          </div>
          <div>
            <p>What stays:</p>
            <List>
              {view.kept.map((text) => (
                <ListItem key={text}>{text}</ListItem>
              ))}
            </List>
          </div>
          {view.after && (
            <div>
              <p>Quorum afterwards:</p>
              <List>
                <ListItem>
                  {view.after.votes}. {view.after.meaning}
                </ListItem>
              </List>
            </div>
          )}
          <TextField
            label={`Type the node's name, ${node}, to confirm`}
            value={typed}
            onChange={setTyped}
            isDisabled={view.obstacles.length > 0}
          />
        </>
      )}
    </FormDialog>
  );
}
