/* Of tabs that do not fit beside each other the selected one is shown, also when an address led to it. */

import { useEffect } from "react";

export function useTabInView(selected: string | undefined): void {
  useEffect(() => {
    const tab = document.querySelector('[role="tab"][aria-selected="true"]');
    tab?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [selected]);
}
