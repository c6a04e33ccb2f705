/* The rows of Datacenter -> Options: what each shows, edits and sends (pvecm 8, 9.2). */

import type { ClusterOptions } from "../api/model";
import type { ParametersOf } from "../api/operations";
import { printProperties, readProperties } from "./propertyString";
import { cidr, integer, type Check } from "./validation";

export interface OptionField {
  /** The sub-key in a property string; "" for an option that is one value. */
  key: string;
  label: string;
  kind: "text" | "area" | "choice" | "flag" | "network";
  choices?: readonly (readonly [value: string, label: string])[];
  placeholder?: string;
  help?: string;
  check?: Check;
}

/** What can be read and written. */
export type OptionKey = keyof ClusterOptions & keyof ParametersOf<"PUT", "/cluster/options">;

export interface OptionRow {
  key: OptionKey;
  label: string;
  /** What an unset option means. */
  unset: string;
  fields: readonly OptionField[];
  /** Sub-keys that are sent along whenever the option is set, or even without any other. */
  fixed?: Readonly<Record<string, string>>;
  encoded?: "base64";
}

export type FieldValues = Readonly<Record<string, string>>;
export type Change = { set: string } | { delete: true };

const words = (...values: string[]): (readonly [string, string])[] => values.map((value) => [value, value]);
const FLAG = [
  ["", "Default"],
  ["1", "Yes"],
  ["0", "No"],
] as const;
const KEYBOARDS =
  "de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv sl tr".split(" ");
const LANGUAGES =
  "ar ca da de en es eu fa fr hr he it ja ka kr nb nl nn pl pt_BR ru sl sv tr ukr zh_CN zh_TW".split(" ");
const SCHEDULING = words("basic", "static", "dynamic");
const LIMIT = integer(0, Number.MAX_SAFE_INTEGER);
const VMID = integer(100, 999_999_999);

function degrees(most: number): Check {
  return (text) => {
    if (text === "") return undefined;
    return Number.isFinite(Number(text)) && Math.abs(Number(text)) <= most ? undefined : `From -${most} to ${most}.`;
  };
}

const share: Check = (text) => {
  if (text === "") return undefined;
  return Number.isFinite(Number(text)) && Number(text) >= 0 ? undefined : "A number that is not negative, such as 0.3.";
};

function pattern(expression: RegExp, text: string): Check {
  return (value) => (value === "" || expression.test(value) ? undefined : text);
}

const one = (field: Omit<OptionField, "key">): OptionField[] => [{ key: "", ...field }];
const network = { key: "network", label: "Network", kind: "network", placeholder: "Default", check: cidr } as const;

export const OPTION_ROWS: readonly OptionRow[] = [
  {
    key: "keyboard",
    label: "Keyboard Layout",
    unset: "Default",
    fields: one({ label: "Keyboard layout", kind: "choice", choices: [["", "Default"], ...words(...KEYBOARDS)] }),
  },
  {
    key: "language",
    label: "Language",
    unset: "Default",
    fields: one({ label: "Language", kind: "choice", choices: [["", "Default"], ...words(...LANGUAGES)] }),
  },
  {
    key: "http_proxy",
    label: "HTTP proxy",
    unset: "none",
    fields: one({
      label: "HTTP proxy",
      kind: "text",
      placeholder: "http://proxy.example.org:3128",
      check: pattern(/^http:\/\/.+/, "It begins with http://"),
    }),
  },
  {
    key: "console",
    label: "Console Viewer",
    unset: "Default (xterm.js)",
    fields: one({
      label: "Console viewer",
      kind: "choice",
      choices: [
        ["", "Default (xterm.js)"],
        ["vv", "SPICE (remote-viewer)"],
        ["html5", "HTML5 (noVNC)"],
        ["xtermjs", "xterm.js"],
      ],
    }),
  },
  {
    key: "email_from",
    label: "Email from address",
    unset: "root@$hostname",
    fields: one({ label: "Email from address", kind: "text", placeholder: "root@$hostname" }),
  },
  {
    key: "mac_prefix",
    label: "MAC address prefix",
    unset: "BC:24:11",
    fields: one({
      label: "MAC address prefix",
      kind: "text",
      placeholder: "BC:24:11",
      check: pattern(/^[a-f0-9][02468ace](:[a-f0-9]{2}){0,2}(:[a-f0-9]?)?$/i, "Up to three pairs such as BC:24:11; the first is even."),
    }),
  },
  { key: "migration", label: "Migration Settings", unset: "Default", fields: [network], fixed: { type: "secure" } },
  { key: "replication", label: "Replication Settings", unset: "Default", fields: [network], fixed: { type: "secure" } },
  {
    key: "ha",
    label: "HA Settings",
    unset: "Default (conditional)",
    fields: [
      {
        key: "shutdown_policy",
        label: "Shutdown policy",
        kind: "choice",
        choices: [["", "Default (conditional)"], ...words("freeze", "failover", "migrate", "conditional")],
      },
    ],
  },
  {
    key: "crs",
    label: "Cluster Resource Scheduling",
    unset: "Default (basic)",
    fields: [
      { key: "ha", label: "Scheduling mode", kind: "choice", choices: [["", "Default (basic)"], ...SCHEDULING] },
      { key: "ha-rebalance-on-start", label: "Rebalance on start", kind: "choice", choices: FLAG },
      { key: "ha-auto-rebalance", label: "Rebalance by itself", kind: "choice", choices: FLAG },
      {
        key: "ha-auto-rebalance-threshold",
        label: "Imbalance that starts it",
        kind: "text",
        placeholder: "Default",
        check: share,
      },
      { key: "ha-auto-rebalance-method", label: "Method of rebalancing", kind: "text", placeholder: "Default" },
      {
        key: "ha-auto-rebalance-hold-duration",
        label: "Rounds to wait before it",
        kind: "text",
        placeholder: "Default",
        check: integer(0, Number.MAX_SAFE_INTEGER),
      },
      {
        key: "ha-auto-rebalance-margin",
        label: "Least improvement by it",
        kind: "text",
        placeholder: "Default",
        check: share,
      },
    ],
  },
  {
    key: "u2f",
    label: "U2F Settings",
    unset: "none",
    fields: [
      { key: "appid", label: "App ID", kind: "text" },
      { key: "origin", label: "Origin", kind: "text" },
    ],
  },
  {
    key: "webauthn",
    label: "WebAuthn Settings",
    unset: "none",
    fields: [
      { key: "rp", label: "Name", kind: "text" },
      { key: "origin", label: "Origin", kind: "text" },
      { key: "id", label: "ID", kind: "text" },
      { key: "allow-subdomains", label: "Allow sub-domains", kind: "choice", choices: FLAG },
    ],
  },
  {
    key: "bwlimit",
    label: "Bandwidth Limits",
    unset: "none",
    fields: (
      [
        ["default", "Default"],
        ["restore", "Backup restore"],
        ["migration", "Migration"],
        ["clone", "Clone"],
        ["move", "Disk move"],
      ] as const
    ).map(([key, label]) => ({ key, label: `${label} (KiB/s)`, kind: "text", placeholder: "unlimited", check: LIMIT })),
  },
  {
    key: "max_workers",
    label: "Maximal Workers/bulk-action",
    unset: "4",
    fields: one({ label: "Workers", kind: "text", placeholder: "4", check: integer(1, 64) }),
  },
  {
    key: "next-id",
    label: "Next Free VMID Range",
    unset: "Default",
    fields: [
      { key: "lower", label: "Lower", kind: "text", placeholder: "100", check: VMID },
      { key: "upper", label: "Upper", kind: "text", placeholder: "1.000.000", check: VMID },
    ],
  },
  {
    key: "tag-style",
    label: "Tag Style Override",
    unset: "none",
    fields: [
      {
        key: "shape",
        label: "Shape",
        kind: "choice",
        choices: [["", "Default (circle)"], ...words("full", "circle", "dense", "none")],
      },
      {
        key: "ordering",
        label: "Ordering",
        kind: "choice",
        choices: [["", "Default (alphabetical)"], ...words("config", "alphabetical")],
      },
      { key: "case-sensitive", label: "Case sensitive", kind: "choice", choices: FLAG },
      { key: "color-map", label: "Colours", kind: "text", placeholder: "TAG:RRGGBB[:RRGGBB];..." },
    ],
  },
  {
    key: "user-tag-access",
    label: "User Tag Access",
    unset: "Default (free)",
    fields: [
      {
        key: "user-allow",
        label: "Mode",
        kind: "choice",
        choices: [["", "Default (free)"], ...words("none", "list", "existing", "free")],
      },
      { key: "user-allow-list", label: "Allowed tags", kind: "text", placeholder: "tag1;tag2" },
    ],
  },
  {
    key: "registered-tags",
    label: "Registered Tags",
    unset: "none",
    fields: one({ label: "Registered tags", kind: "text", placeholder: "tag1;tag2" }),
  },
  {
    key: "consent-text",
    label: "Consent Text",
    unset: "none",
    fields: one({ label: "Consent text", kind: "area" }),
    encoded: "base64",
  },
  {
    key: "location",
    label: "Location",
    unset: "none",
    fields: [
      { key: "name", label: "Name", kind: "text" },
      { key: "latitude", label: "Latitude", kind: "text", check: degrees(90) },
      { key: "longitude", label: "Longitude", kind: "text", check: degrees(180) },
    ],
  },
  { key: "description", label: "Notes", unset: "none", fields: one({ label: "Notes", kind: "area" }) },
];

/** The text of the row's value column. */
export function showOption(row: OptionRow, value: unknown): string {
  if (value === undefined || value === null || value === "") return row.unset;
  const values = fieldValues(row, value);
  const single = row.fields.length === 1 ? row.fields[0] : undefined;
  if (single?.key === "") {
    const text = values[""] ?? "";
    return single.choices?.find(([choice]) => choice === text)?.[1] ?? (text || row.unset);
  }
  return printProperties(readProperties(value)) ?? row.unset;
}

/** What the editor's fields hold at first. */
export function fieldValues(row: OptionRow, value: unknown): Record<string, string> {
  const single = row.fields.length === 1 && row.fields[0]?.key === "";
  if (single) {
    const text = Array.isArray(value) ? value.join(";") : typeof value === "string" || typeof value === "number" ? String(value) : "";
    return { "": row.encoded ? decodeText(text) : text };
  }
  const properties = readProperties(value);
  return Object.fromEntries(row.fields.map((field) => [field.key, properties[field.key] ?? ""]));
}

/** What is sent. Sub-keys that the editor does not know are kept; all empty means: delete the option. */
export function changeOf(row: OptionRow, values: FieldValues, before: unknown): Change {
  if (row.fields.length === 1 && row.fields[0]?.key === "") {
    const text = (values[""] ?? "").trim();
    return text === "" ? { delete: true } : { set: row.encoded ? encodeText(text) : text };
  }
  const known = new Set(row.fields.map((field) => field.key));
  const others = Object.entries(readProperties(before)).filter(([key]) => !known.has(key) && !(row.fixed && key in row.fixed));
  const edited = row.fields.map((field): [string, string] => [field.key, (values[field.key] ?? "").trim()]);
  const text = printProperties(Object.fromEntries([...edited, ...others, ...Object.entries(row.fixed ?? {})]));
  return text === undefined ? { delete: true } : { set: text };
}

/** What saving would change without anybody having typed it, e.g. "type=insecure" to "type=secure". */
export function unaskedChanges(row: OptionRow, before: unknown): { from: string; to: string }[] {
  const properties = readProperties(before);
  return Object.entries(row.fixed ?? {}).flatMap(([key, wanted]) => {
    const present = properties[key];
    return present === undefined || present === wanted ? [] : [{ from: `${key}=${present}`, to: `${key}=${wanted}` }];
  });
}

/** Texts per sub-key; the server's cross-field rules come on top. */
export function checkFields(row: OptionRow, values: FieldValues): Record<string, string> {
  const faults: Record<string, string> = {};
  for (const field of row.fields) {
    const text = field.check?.((values[field.key] ?? "").trim());
    if (text !== undefined) faults[field.key] = text;
  }
  if (row.key === "next-id" && Object.keys(faults).length === 0) {
    const lower = Number(values["lower"] || 100);
    const upper = Number(values["upper"] || 1_000_000);
    if (lower > upper) faults["upper"] = "The upper end lies below the lower one.";
  }
  return faults;
}

function encodeText(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function decodeText(text: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  } catch {
    return text;
  }
}
