/* For the dialog that lies on top of another one.
 *
 * PatternFly's dialogs hide everything else from screen readers whenever they are drawn anew: the lower one, when a
 * figure of the page below changes, hides the upper one.
 */

import { useEffect, type RefObject } from "react";

const HIDDEN = "aria-hidden";

/** Keep what holds `inside` from being hidden. */
export function useOnTop(inside: RefObject<Element | null>): void {
  useEffect(() => {
    const container = childOfBody(inside.current);
    if (!container) return;
    const show = (): void => container.removeAttribute(HIDDEN);
    show();
    const observer = new MutationObserver(show);
    observer.observe(container, { attributes: true, attributeFilter: [HIDDEN] });
    return () => observer.disconnect();
  }, [inside]);
}

function childOfBody(element: Element | null): Element | null {
  let found = element;
  while (found && found.parentElement !== document.body) found = found.parentElement;
  return found;
}
