/* The tree's rows: what stands below what, in which state. */

import type { NodeEntry, Resource } from "../api/model";
import type { Route } from "./route";

export interface TreeItem {
  id: string;
  /** 1 datacenter, 2 node, 3 guest. */
  level: number;
  label: string;
  state: "good" | "bad" | "off" | "unknown";
  /** The state in a word; empty for the datacenter. */
  word: string;
  /** Undefined: nothing below it. */
  isOpen?: boolean;
  route: Route;
}

/** Nodes with more guests start closed. */
const OPEN_BELOW = 60;

/** All rows in order; nodes carry `isOpen` as they start. */
export function treeItems(members: readonly NodeEntry[], resources: readonly Resource[]): TreeItem[] {
  const guests = new Map<string, Resource[]>();
  const nodes = new Map<string, string>();
  for (const resource of resources) {
    if (resource.type === "node" && resource.node) nodes.set(resource.node, resource.status ?? "unknown");
    if (resource.vmid === undefined || !resource.node) continue;
    const list = guests.get(resource.node);
    if (list) list.push(resource);
    else guests.set(resource.node, [resource]);
  }
  // The membership is newer than the figures: a node whose figures have not come yet is online all the same
  for (const member of members) nodes.set(member.name, member.online ? "online" : "offline");
  const open = resources.length < OPEN_BELOW * 2;
  const items: TreeItem[] = [
    { id: "datacenter", level: 1, label: "Datacenter", state: datacenterState(nodes), word: "", isOpen: true, route: { place: "datacenter", tab: "summary" } },
  ];
  for (const name of [...nodes.keys()].sort(byNumber)) {
    const own = guests.get(name) ?? [];
    const status = nodes.get(name) ?? "unknown";
    const item: TreeItem = {
      id: `node/${name}`,
      level: 2,
      label: name,
      state: status === "online" ? "good" : status === "offline" ? "bad" : "unknown",
      word: status,
      route: { place: "node", node: name, tab: "summary" },
    };
    if (own.length > 0) item.isOpen = open && own.length <= OPEN_BELOW;
    items.push(item);
    own.sort((one, other) => (one.vmid ?? 0) - (other.vmid ?? 0));
    for (const guest of own) items.push(guestItem(guest));
  }
  return items;
}

/** The rows that are shown: `toggled` ones are the other way than they start; a filter opens everything. */
export function visibleItems(items: readonly TreeItem[], toggled: ReadonlySet<string>, filter: string): TreeItem[] {
  const wanted = filter.trim().toLowerCase();
  const shown: TreeItem[] = [];
  let isOpen = true;
  for (const item of items) {
    const next = item.isOpen === undefined || item.level === 1 ? item : { ...item, isOpen: wanted !== "" || item.isOpen !== toggled.has(item.id) };
    if (item.level === 2) isOpen = next.isOpen ?? false;
    if (item.level === 3 && !isOpen) continue;
    if (wanted !== "" && item.level === 3 && !item.label.toLowerCase().includes(wanted)) continue;
    shown.push(next);
  }
  return shown;
}

function guestItem(guest: Resource): TreeItem {
  const name = guest.name ? ` (${guest.name})` : "";
  const state = guest.status === "running" ? "good" : guest.status === "stopped" ? "off" : "unknown";
  return {
    id: guest.id,
    level: 3,
    label: `${guest.vmid ?? ""}${name}`,
    state,
    word: guest.template ? "template" : (guest.status ?? "unknown"),
    route: { place: "guest", id: guest.id, tab: "summary" },
  };
}

function datacenterState(nodes: ReadonlyMap<string, string>): TreeItem["state"] {
  const states = [...nodes.values()];
  if (states.length === 0) return "unknown";
  return states.includes("offline") ? "bad" : "good";
}

function byNumber(one: string, other: string): number {
  return one.localeCompare(other, undefined, { numeric: true });
}
