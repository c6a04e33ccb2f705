/* The form of a network interface: its fields per kind, what is wrong in them, and what is sent (pvecm 6.8). */

import type { NetworkInterface } from "../api/model";
import { integer, isIPv4, isIPv6, type Check } from "./validation";

/** What the server lets be changed; others are shown and removed alone. */
export const KINDS = ["bridge", "bond", "vlan", "eth", "alias", "unknown"] as const;
export type Kind = (typeof KINDS)[number];
/** What can be added. Network cards are there or not. */
export const NEW_KINDS = [
  ["bridge", "Bridge"],
  ["bond", "Bond"],
  ["vlan", "VLAN"],
  ["alias", "Alias"],
] as const;

const COMMON = ["cidr", "gateway", "cidr6", "gateway6"] as const;
const LAST = ["mtu", "comments"] as const;
const OWN = {
  bridge: ["bridge_ports", "bridge_vids"],
  bond: ["slaves", "bond_mode", "bond-primary", "bond_xmit_hash_policy"],
  vlan: ["vlan-raw-device", "vlan-id"],
  eth: [],
  alias: [],
  unknown: [],
} as const;

export type TextKey = (typeof COMMON)[number] | (typeof LAST)[number] | (typeof OWN)[Kind][number];
export type FlagKey = "autostart" | "bridge_vlan_aware";
export interface Values {
  texts: Readonly<Partial<Record<TextKey, string>>>;
  flags: Readonly<Record<FlagKey, boolean>>;
}
export interface Change {
  /** Parameters of the operation. */
  set: Record<string, string | boolean>;
  /** Names of settings to remove. */
  remove: string[];
}

export const BOND_MODES = [
  "balance-rr",
  "active-backup",
  "balance-xor",
  "broadcast",
  "802.3ad",
  "balance-tlb",
  "balance-alb",
] as const;
export const HASH_POLICIES = ["layer2", "layer2+3", "layer3+4"] as const;
const NAME = /^[a-zA-Z][a-zA-Z0-9_]{1,20}(\.\d{1,4})?(:\d{1,4})?$/;
const PART = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;
const VIDS = /^\d{1,4}(-\d{1,4})?$/;
const MAX_NAME = 20;

export function kindOf(row: Pick<NetworkInterface, "type">): Kind | undefined {
  return KINDS.find((kind) => kind === row.type);
}

/** The fields to show, in their order: some depend on what stands in others. */
export function fieldsOf(kind: Kind, values: Values): TextKey[] {
  const mode = values.texts["bond_mode"] ?? "";
  const own: readonly TextKey[] = OWN[kind];
  return [...COMMON, ...own, ...LAST].filter((key) => {
    if (key === "bridge_vids") return values.flags.bridge_vlan_aware;
    if (key === "bond-primary") return mode === "active-backup";
    if (key === "bond_xmit_hash_policy") return mode === "balance-xor" || mode === "802.3ad";
    return true;
  });
}

/** What the fields hold at first: of a configured interface, or of a new one. */
export function valuesOf(kind: Kind, row?: NetworkInterface): Values {
  const texts: Partial<Record<TextKey, string>> = {};
  for (const key of [...COMMON, ...OWN[kind], ...LAST] as TextKey[]) texts[key] = row ? textOf(row, key) : "";
  if (!row && kind === "bond") texts["bond_mode"] = "balance-rr";
  return { texts, flags: { autostart: row ? row.autostart === 1 : true, bridge_vlan_aware: row?.bridge_vlan_aware === 1 } };
}

/** What a new interface of the kind may be called: the first name that is free. */
export function freeName(kind: Kind, taken: Iterable<string>): string {
  const prefix = kind === "bridge" ? "vmbr" : kind === "bond" ? "bond" : undefined;
  if (prefix === undefined) return "";
  const names = new Set(taken);
  let number = 0;
  while (names.has(`${prefix}${number}`)) number += 1;
  return `${prefix}${number}`;
}

/** What is wrong, per field; the server checks this again, and all interfaces together. */
export function faultsOf(kind: Kind, name: string, values: Values): Record<string, string> {
  const faults: Record<string, string> = {};
  const named = nameFault(kind, name);
  if (named !== undefined) faults["iface"] = named;
  for (const key of fieldsOf(kind, values)) {
    const text = (values.texts[key] ?? "").trim();
    const fault = text === "" ? undefined : CHECKS[key]?.(text);
    if (fault !== undefined) faults[key] = fault;
  }
  for (const suffix of ["", "6"] as const) {
    const hasGateway = (values.texts[`gateway${suffix}`] ?? "").trim() !== "";
    const hasAddress = (values.texts[`cidr${suffix}`] ?? "").trim() !== "";
    if (hasGateway && !hasAddress) faults[`gateway${suffix}`] = "A gateway needs an address of the same kind.";
  }
  if (kind === "vlan" && !/\.\d+$/.test(name)) {
    if (!(values.texts["vlan-raw-device"] ?? "").trim()) faults["vlan-raw-device"] = "The name does not say on what the VLAN is.";
    if (!/^vlan\d+$/.test(name) && !(values.texts["vlan-id"] ?? "").trim()) faults["vlan-id"] = "The name does not say the number.";
  }
  return faults;
}

/** What is sent for a new interface. */
export function additionOf(kind: Kind, values: Values): Change["set"] {
  const set: Change["set"] = { autostart: values.flags.autostart };
  if (kind === "bridge" && values.flags.bridge_vlan_aware) set["bridge_vlan_aware"] = true;
  for (const key of fieldsOf(kind, values)) {
    const text = (values.texts[key] ?? "").trim();
    if (text !== "") set[key] = text;
  }
  return set;
}

/** What is sent for an interface that is configured: what has changed, and nothing else, since the file may say more
 * than the form. A field that is no longer shown is removed. */
export function changeOf(kind: Kind, before: NetworkInterface, values: Values): Change {
  const former = valuesOf(kind, before);
  const shown = new Set(fieldsOf(kind, values));
  const set: Change["set"] = {};
  const remove: string[] = [];
  for (const key of [...COMMON, ...OWN[kind], ...LAST] as TextKey[]) {
    const old = former.texts[key] ?? "";
    const now = shown.has(key) ? (values.texts[key] ?? "").trim() : "";
    if (now === old) continue;
    if (now === "") remove.push(key);
    else set[key] = now;
  }
  for (const key of ["autostart", "bridge_vlan_aware"] as const) {
    if (values.flags[key] !== former.flags[key]) set[key] = values.flags[key];
  }
  return { set, remove };
}

function textOf(row: NetworkInterface, key: TextKey): string {
  const value = row[key];
  const text = typeof value === "string" ? value.trim() : "";
  const isList = key === "bridge_ports" || key === "slaves";
  return isList && text === "none" ? "" : text;
}

function nameFault(kind: Kind, name: string): string | undefined {
  if (name === "") return "A name is needed.";
  if (name.length > MAX_NAME || !NAME.test(name)) {
    return `From 2 to ${MAX_NAME} letters, digits and _, then perhaps .NUMBER and :NUMBER.`;
  }
  if (kind === "alias" && !name.includes(":")) return "An alias is called NAME:NUMBER.";
  return undefined;
}

function address(isAddress: (text: string) => boolean, bits: number, example: string): Check {
  return (text) => {
    const [host = "", prefix = "", more] = text.split("/");
    const good = isAddress(host) && /^\d{1,3}$/.test(prefix) && Number(prefix) <= bits && more === undefined;
    return good ? undefined : `An address with its prefix, such as ${example}.`;
  };
}

function words(pattern: RegExp, what: string): Check {
  return (text) => (text.split(/[\s,;]+/).every((word) => pattern.test(word)) ? undefined : what);
}

const CHECKS: Partial<Record<TextKey, Check>> = {
  cidr: address(isIPv4, 32, "192.0.2.10/24"),
  cidr6: address(isIPv6, 128, "2001:db8::10/64"),
  gateway: (text) => (isIPv4(text) ? undefined : "An IPv4 address."),
  gateway6: (text) => (isIPv6(text) ? undefined : "An IPv6 address."),
  bridge_ports: words(PART, "Names of interfaces, separated by spaces."),
  slaves: words(PART, "Names of interfaces, separated by spaces."),
  bridge_vids: words(VIDS, "Numbers and ranges such as 2-4094, separated by spaces."),
  "bond-primary": (text) => (PART.test(text) ? undefined : "The name of an interface."),
  "vlan-raw-device": (text) => (PART.test(text) ? undefined : "The name of an interface."),
  "vlan-id": integer(1, 4094),
  mtu: integer(1280, 65520),
};
