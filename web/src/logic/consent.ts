/* What stands before the login: nothing is known, a text waits for agreement, or the form may be used
   (pvecm 8, `consent-text`). The form never shows before the server has said that there is no text. */

import type { ApiFailure } from "../api/failure";

export type Consent =
  | { kind: "unknown"; failure?: ApiFailure }
  | { kind: "wanted"; text: string }
  | { kind: "given" };

export type ConsentEvent = { text: string } | { failure: ApiFailure } | "agree";

export const UNKNOWN: Consent = { kind: "unknown" };

export function nextConsent(before: Consent, event: ConsentEvent): Consent {
  if (event === "agree") return before.kind === "wanted" ? { kind: "given" } : before;
  if (before.kind !== "unknown") return before; // a late answer changes nothing under the reader's eyes
  if ("failure" in event) return { kind: "unknown", failure: event.failure };
  return event.text.trim() === "" ? { kind: "given" } : { kind: "wanted", text: event.text };
}
