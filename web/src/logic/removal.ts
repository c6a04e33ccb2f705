/* What removing a member would do, and what stands against it (pvecm 4.1). */

import type { ClusterEntry, ConfigNode, NodeEntry, QuorumData, Resource } from "../api/model";
import { quorumWords, type QuorumFacts, type QuorumWords } from "./quorum";

export interface RemovalFacts {
  cluster?: ClusterEntry;
  members: readonly NodeEntry[];
  resources: readonly Resource[];
  /** corosync.conf's entries: the votes stand there. */
  config: readonly ConfigNode[];
  /** Corosync's own count, where it is known. */
  quorum?: QuorumData | undefined;
}

export interface Condition {
  text: string;
  /** What the person confirms to go on in spite of it. */
  consent: string;
}

export interface RemovalView {
  /** With one of these nothing can be sent. */
  obstacles: string[];
  /** Each needs a consent of its own. */
  conditions: Condition[];
  warnings: string[];
  removed: string[];
  kept: string[];
  /** Quorum without the node; undefined where the node list is not known. */
  after: QuorumWords | undefined;
}

export function removalView(node: string, facts: RemovalFacts): RemovalView {
  const after = wordsWithout(node, facts);
  const own = facts.config.find((entry) => entry.name === node);
  return {
    obstacles: obstaclesOf(node, facts),
    conditions: conditionsOf(node, facts),
    warnings: warningsOf(node, facts, after),
    removed: [`The entry of ${node} in corosync.conf, ${inWords(own ? votesOf(own) : 1)}; the other members go on without it.`],
    kept: [
      `The directory /etc/pve/nodes/${node} with the configurations of its guests.`,
      `The SSH key and the known-hosts entries of ${node}.`,
      `Everything on the disks of ${node} itself. It must not come back before it was installed anew.`,
    ],
    after,
  };
}

function obstaclesOf(node: string, facts: RemovalFacts): string[] {
  const member = facts.members.find((entry) => entry.name === node);
  const found: string[] = [];
  if (member?.local) {
    found.push(`${node} is the node that serves this page: a node cannot remove itself. Open the page of another member.`);
  }
  if (member?.online) {
    found.push(`${node} is online. Power it off first, and never let it come back with its present configuration.`);
  }
  if (facts.cluster && !facts.cluster.quorate) {
    const { expected, needed } = facts.quorum ?? {};
    const now = factsOf(facts, () => true);
    const { votes } = quorumWords({ ...now, expected, needed, quorate: false });
    const present = sum(now.voters.filter((voter) => voter.online)) + (now.device?.given ?? 0);
    found.push(
      `The cluster has no quorum: ${votes}. Start the nodes that are missing. Only if they are off for good, and certainly` +
        ` not running apart from this one: 'pvecm expected ${Math.max(1, present)}' on this node makes changes possible.`,
    );
  }
  return found;
}

function conditionsOf(node: string, facts: RemovalFacts): Condition[] {
  if (!facts.quorum?.qdevice) return [];
  return [
    {
      text:
        "A quorum device is configured. Remove it first, with 'pvecm qdevice remove' while all nodes are online, and set it" +
        " up again afterwards if the number of nodes is even.",
      consent: `${node} is lost for good: remove it although a quorum device is configured`,
    },
  ];
}

function warningsOf(node: string, facts: RemovalFacts, after: QuorumWords | undefined): string[] {
  const found: string[] = [];
  if (after?.status === "danger" && facts.cluster?.quorate) {
    found.push(`Without ${node} the cluster has no quorum until other nodes come back: ${after.votes}.`);
  }
  const guests = facts.resources.filter((entry) => entry.vmid !== undefined && entry.node === node);
  if (guests.length > 0) {
    const ids = guests.slice(0, 10).map((guest) => guest.vmid).join(", ");
    const more = guests.length > 10 ? " and others" : "";
    const what = guests.length === 1 ? "guest, whose configuration becomes" : "guests, whose configurations become";
    found.push(`${node} has ${guests.length} ${what} orphaned: ${ids}${more}. Move them first.`);
  }
  return found;
}

function wordsWithout(node: string, facts: RemovalFacts): QuorumWords | undefined {
  if (facts.config.length === 0) return undefined;
  const then = factsOf(facts, (name) => name !== node);
  const device = then.device ?? { votes: 0, given: 0 };
  const total = sum(then.voters) + device.votes;
  const present = sum(then.voters.filter((voter) => voter.online)) + device.given;
  return quorumWords({ ...then, quorate: present > total / 2 });
}

/** Those nodes that `stays` names, with the device's votes for so many. */
function factsOf(facts: RemovalFacts, stays: (name: string) => boolean): Omit<QuorumFacts, "quorate"> {
  const voters = votersOf(facts).filter((voter) => stays(voter.name));
  const device = facts.quorum?.qdevice;
  if (!device) return { voters };
  // One vote (ffsplit), or as many as all nodes but one have (lms)
  const votes = device.votes > 1 ? voters.length - 1 : device.votes;
  return { voters, device: { votes, given: device.alive && device.votes_for_us ? votes : 0 } };
}

function votersOf(facts: RemovalFacts): { name: string; votes: number; online: boolean }[] {
  const online = new Set(facts.members.filter((member) => member.online).map((member) => member.name));
  return facts.config.map((entry) => ({ name: entry.name, votes: votesOf(entry), online: online.has(entry.name) }));
}

/** corosync.conf writes texts; without one a node has one vote. */
export function votesOf(entry: ConfigNode): number {
  return Number(entry.quorum_votes ?? "1");
}

function sum(voters: readonly { votes: number }[]): number {
  return voters.reduce((total, voter) => total + voter.votes, 0);
}

function inWords(votes: number): string {
  if (votes === 0) return "which has no vote";
  return votes === 1 ? "with its vote" : `with its ${votes} votes`;
}
