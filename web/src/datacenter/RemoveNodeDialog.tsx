/* Remove node: what goes, what stays, what stands against it; the name is typed to confirm. */

import { Alert, List, ListItem } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { refresh, type Live } from "../api/live";
import { removalView } from "../logic/removal";
import { TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

interface Props {
  node: string;
  live: Live;
  onClose: () => void;
}

export function RemoveNodeDialog({ node, live, onClose }: Props): ReactElement {
  const [typed, setTyped] = useState("");
  const view = removalView(node, live);
  return (
    <FormDialog
      title={`Remove node ${node}`}
      isDanger
      submitLabel="Remove"
      size="medium"
      canSubmit={view.obstacles.length === 0 && typed === node}
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
