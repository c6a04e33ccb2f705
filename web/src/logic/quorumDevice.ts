/* The QDevice from every node's view, in words. A node whose daemon does not run has no vote of it. */

import type { DeviceView, NodeEntry } from "../api/model";
import type { NodeViews } from "../api/nodeViews";

export interface DeviceRow {
  node: string;
  /** What is well, what is not, and what is not known. */
  status: "success" | "danger" | "unknown";
  daemon: string;
  server: string;
  vote: string;
  tieBreaker: string;
  lastPoll: string;
}

export interface DeviceWords {
  /** Undefined: nobody has answered yet. */
  isConfigured: boolean | undefined;
  /** E.g. "Server 10.0.0.9, ffsplit, 1 vote". */
  summary: string;
  rows: DeviceRow[];
}

export function deviceWords(
  members: readonly Pick<NodeEntry, "name" | "online">[],
  views: NodeViews<DeviceView>,
): DeviceWords {
  const heard = Object.values(views).flatMap(({ data }) => (data ? [data] : []));
  const device = heard.find((view) => view.configured);
  return {
    isConfigured: heard.length === 0 ? undefined : device !== undefined,
    summary: device ? summaryOf(device) : "",
    rows: device ? members.map(({ name, online }) => rowOf(name, online === 1, views)) : [],
  };
}

function summaryOf({ host, algorithm, votes }: DeviceView): string {
  const parts = [`Server ${host ?? "unknown"}`, algorithm];
  if (votes) parts.push(`${votes} ${votes === 1 ? "vote" : "votes"}`);
  return parts.filter((part) => part !== undefined).join(", ");
}

function rowOf(node: string, online: boolean, views: NodeViews<DeviceView>): DeviceRow {
  const blank = { node, status: "unknown", server: "–", vote: "–", tieBreaker: "–", lastPoll: "–" } as const;
  const view = views[node];
  if (!online) return { ...blank, daemon: "node is off" };
  if (view?.failure) return { ...blank, daemon: "no answer" };
  if (!view?.data) return { ...blank, daemon: "asking …" };
  const { daemon = {}, ...data } = view.data;
  if (!data.configured) return { ...blank, daemon: "not configured there yet" };
  const said = Object.keys(daemon).length > 0;
  const running = said || data.registered;
  if (!running) {
    return { ...blank, status: "danger", daemon: "does not run (systemctl status corosync-qdevice)" };
  }
  const state = daemon["State"];
  const isWell = data.alive === 1 && (state === undefined || state === "Connected");
  return {
    node,
    status: isWell ? "success" : "danger",
    daemon: data.registered ? "runs" : "runs, not registered at Corosync",
    server: state ?? (data.alive ? "answers" : "does not answer"),
    vote: data.votes_for_us ? "cast for this node" : "not cast for this node",
    tieBreaker: daemon["Tie-breaker"] ?? "–",
    lastPoll: daemon["Last poll call"] ?? "–",
  };
}
