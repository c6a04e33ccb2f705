/* Property strings, `key=value,key=value`, as in datacenter.cfg (pvecm 0.1). */

export type Properties = Readonly<Record<string, string>>;

/** Objects come with strings and 0/1; strings come as they stand in the file. */
export function readProperties(value: unknown): Record<string, string> {
  if (value === undefined || value === null || value === "") return {};
  if (typeof value === "string") {
    const pairs = value.split(",").map((part): [string, string] => {
      const at = part.indexOf("=");
      return at < 0 ? ["", part] : [part.slice(0, at), part.slice(at + 1)];
    });
    return Object.fromEntries(pairs);
  }
  if (typeof value !== "object") return { "": scalar(value) };
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null && item !== undefined)
      .map(([key, item]) => [key, Array.isArray(item) ? item.join(";") : scalar(item)]),
  );
}

/** Without the empty ones; undefined if nothing is left. */
export function printProperties(properties: Properties): string | undefined {
  const parts = Object.entries(properties)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => (key === "" ? value : `${key}=${value}`));
  return parts.length > 0 ? parts.join(",") : undefined;
}

function scalar(value: unknown): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
}
