/* Which of a join's fields its failure is about, so that the form can say so where it is to be mended. */

export type JoinField = "hostname" | "password" | "fingerprint";

const SIGNS: readonly (readonly [RegExp, JoinField])[] = [
  [/fingerprint .*not verified/i, "fingerprint"],
  [/^401\b|authentication failure/i, "password"],
  [/is not a host name|can't connect to/i, "hostname"],
];

/** Undefined when it is about none of them, e.g. when this node has guests. `reason`: how the task ended. */
export function refusedField(reason: string): JoinField | undefined {
  return SIGNS.find(([sign]) => sign.test(reason))?.[1];
}
