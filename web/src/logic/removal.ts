/* What removing a member would do, and what stands against it (pvecm 4.1). */

import type { ClusterEntry, NodeEntry, Resource } from "../api/model";

export interface RemovalFacts {
  cluster?: ClusterEntry;
  members: readonly NodeEntry[];
  resources: readonly Resource[];
}

export interface RemovalView {
  /** With one of these nothing can be sent. */
  obstacles: string[];
  warnings: string[];
  removed: string[];
  kept: string[];
}

export function removalView(node: string, facts: RemovalFacts): RemovalView {
  const member = facts.members.find((entry) => entry.name === node);
  const guests = facts.resources.filter((entry) => entry.vmid !== undefined && entry.node === node);
  const obstacles: string[] = [];
  if (member?.local) {
    obstacles.push(`${node} is the node that serves this page: a node cannot remove itself. Open the page of another member.`);
  }
  if (member?.online) {
    obstacles.push(`${node} is online. Power it off first, and never let it come back with its present configuration.`);
  }
  if (facts.cluster && !facts.cluster.quorate) {
    obstacles.push("The cluster has no quorum; changes are stopped.");
  }
  const warnings: string[] = [];
  if (guests.length > 0) {
    const ids = guests.slice(0, 10).map((guest) => guest.vmid).join(", ");
    const more = guests.length > 10 ? " and others" : "";
    const what = guests.length === 1 ? "guest, whose configuration becomes" : "guests, whose configurations become";
    warnings.push(`${node} has ${guests.length} ${what} orphaned: ${ids}${more}. Move them first.`);
  }
  return {
    obstacles,
    warnings,
    removed: [
      `The entry of ${node} in corosync.conf with its vote; the other members go on without it.`,
      `The expected votes fall from ${facts.members.length} to ${Math.max(0, facts.members.length - 1)} (with one vote per node).`,
    ],
    kept: [
      `The directory /etc/pve/nodes/${node} with the configurations of its guests.`,
      `The SSH key and the known-hosts entries of ${node}.`,
      `Everything on the disks of ${node} itself. It must not come back before it was installed anew.`,
    ],
  };
}
