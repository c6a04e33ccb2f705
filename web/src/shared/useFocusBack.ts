/* Where the focus goes when a dialog closes: to what opened it.
 *
 * PatternFly gives it back to what had it when the dialog came. That is too little where one dialog follows another
 * (a form, then its task): what had it was the first one's button. Or what opened it can be used no more.
 */

import { useEffect } from "react";

const DIALOG = '[role="dialog"]';

/** What had the focus last outside of all dialogs. */
let opener: HTMLElement | undefined;

/** Watch the focus from now on; once per page. */
export function startFocusMemory(): void {
  document.addEventListener("focusin", ({ target }) => {
    if (target instanceof HTMLElement && !target.closest(DIALOG)) opener = target;
  });
}

/** For a dialog: when it goes, and no other one is there, the focus is not left nowhere. */
export function useFocusBack(): void {
  useEffect(
    () => () => {
      setTimeout(giveBack); // after PatternFly has tried
    },
    [],
  );
}

function giveBack(): void {
  for (const place of [opener, document.getElementById("content")]) {
    if (document.activeElement !== document.body || document.querySelector(DIALOG)) return;
    place?.focus();
  }
}
