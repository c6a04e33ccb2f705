/* Asks before something is removed. */

import type { ReactElement } from "react";

import { FormDialog } from "./FormDialog";

interface Props {
  /** E.g. "the user bob@pve". */
  what: string;
  detail?: string;
  onDelete: () => Promise<unknown>;
  onClose: () => void;
}

export function DeleteDialog({ what, detail, onDelete, onClose }: Props): ReactElement {
  return (
    <FormDialog
      title={`Remove ${what}?`}
      isDanger
      submitLabel="Remove"
      onSubmit={async () => {
        await onDelete();
        return undefined;
      }}
      onClose={onClose}
    >
      {() => <p>{detail ?? "This cannot be undone."}</p>}
    </FormDialog>
  );
}
