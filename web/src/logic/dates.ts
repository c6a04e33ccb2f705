/* Days of expiry between forms (`YYYY-MM-DD`, empty: never) and the API (seconds since 1970, 0: never). */

export function dateOf(epoch: number | undefined): string {
  return epoch ? new Date(epoch * 1000).toISOString().slice(0, 10) : "";
}

/** Undefined for what is no day. */
export function epochOf(text: string): number | undefined {
  const trimmed = text.trim();
  if (trimmed === "") return 0;
  if (!/^\d{4}-\d{2}-\d{2}$/.test(trimmed)) return undefined;
  const value = Date.parse(`${trimmed}T00:00:00Z`);
  return Number.isNaN(value) || dateOf(value / 1000) !== trimmed ? undefined : value / 1000;
}
