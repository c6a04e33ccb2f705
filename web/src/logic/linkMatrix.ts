/* Every link from every node's view, as tables: who reaches whom, and with which priority. */

import type { ConfigNode, LinkState, NodeEntry } from "../api/model";
import type { NodeViews } from "../api/nodeViews";

export type Cell =
  | { kind: "self" }
  /** The row's node is off, was not heard yet, or does not answer. */
  | { kind: "offline" | "waiting" | "silent" }
  /** The row's node knows no such link. */
  | { kind: "none" }
  | { kind: "off" | "down" }
  | { kind: "up"; latency: number | undefined };

export interface Row {
  from: string;
  /** Of the link, as this node has it. */
  priority: number | undefined;
  cells: Cell[];
}

export interface Matrix {
  number: number;
  /** The node's addresses on the link, in the nodes' order. */
  addresses: string[];
  /** The priority that all have who were heard. */
  priority: number | undefined;
  /** What is said of it when they differ: the nodes use different links for the same way then. */
  disagreement: string | undefined;
  rows: Row[];
}

export function linkMatrices(
  members: readonly Pick<NodeEntry, "name" | "online">[],
  config: readonly ConfigNode[],
  views: NodeViews<readonly LinkState[]>,
): Matrix[] {
  const configured = config.flatMap((node) => Object.keys(node).map((key) => /^ring(\d+)_addr$/.exec(key)?.[1]));
  const seen = Object.values(views).flatMap((view) => (view.data ?? []).map((link) => link.link));
  const numbers = new Set([...configured.filter((text) => text !== undefined).map(Number), ...seen]);
  return [...numbers].sort((one, other) => one - other).map((number) => matrixOf(number, members, config, views));
}

function matrixOf(
  number: number,
  members: readonly Pick<NodeEntry, "name" | "online">[],
  config: readonly ConfigNode[],
  views: NodeViews<readonly LinkState[]>,
): Matrix {
  const rows = members.map(({ name: from, online }): Row => {
    const view = views[from];
    const links = view?.data?.filter((link) => link.link === number) ?? [];
    const blind = !online ? "offline" : view?.failure ? "silent" : view?.data ? undefined : "waiting";
    return {
      from,
      priority: blind ? undefined : links[0]?.priority,
      cells: members.map(({ name: to }) => {
        if (from === to) return { kind: "self" };
        return blind ? { kind: blind } : cellOf(links.find((link) => link.node === to));
      }),
    };
  });
  const heard = rows.filter((row) => row.priority !== undefined);
  const differ = new Set(heard.map((row) => row.priority)).size > 1;
  return {
    number,
    addresses: config.map((node) => `${node.name} ${node[`ring${number}_addr`] ?? "–"}`),
    priority: differ ? undefined : heard[0]?.priority,
    disagreement: differ ? heard.map((row) => `${row.from} ${row.priority}`).join(", ") : undefined,
    rows,
  };
}

function cellOf(link: LinkState | undefined): Cell {
  if (!link) return { kind: "none" };
  if (!link.enabled) return { kind: "off" };
  return link.connected ? { kind: "up", latency: link.latency } : { kind: "down" };
}
