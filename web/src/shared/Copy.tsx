/* A button that copies a text, also where the browser's clipboard is not to be had. */

import { Button } from "@patternfly/react-core";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import { useState, type ReactElement } from "react";

export function CopyButton({ text, label }: { text: string; label: string }): ReactElement {
  const [done, setDone] = useState<"copied" | "failed">();
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("copied");
    } catch {
      setDone("failed");
    }
  };
  return (
    <>
      <Button icon={<CopyIcon />} onClick={() => void copy()} isDisabled={text === ""}>
        {label}
      </Button>
      <span role="status" className="q-copied">
        {done === "copied" && "Copied."}
        {done === "failed" && "The browser does not allow copying: select the text and copy it by hand."}
      </span>
    </>
  );
}
