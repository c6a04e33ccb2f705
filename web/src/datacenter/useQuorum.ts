/* The facts for quorum in words: members from the live state, votes from Corosync's configuration. */

import { usePolled } from "../api/hooks";
import type { Live } from "../api/live";
import type { ConfigNode } from "../api/model";
import { may } from "../api/session";
import { quorumWords, type QuorumWords } from "../logic/quorum";

const SECONDS = 15;

/** Undefined outside a cluster, and until the state is known. */
export function useQuorum(live: Live): QuorumWords | undefined {
  const isMember = live.cluster !== undefined && may("dc", "Sys.Audit");
  const config = usePolled<ConfigNode[]>(isMember ? "/cluster/config/nodes" : null, SECONDS);
  const device = usePolled<Record<string, string>>(isMember ? "/cluster/config/qdevice" : null, SECONDS);
  if (!live.cluster) return undefined;
  const votes = new Map((config.data ?? []).map((node) => [node.name, Number(node["quorum_votes"] ?? 1)]));
  const given = deviceVotes(device.data, live.members.length);
  return quorumWords({
    quorate: live.cluster.quorate === 1,
    voters: live.members.map((member) => ({
      name: member.name,
      votes: votes.get(member.name) ?? 1,
      online: member.online === 1,
    })),
    ...(given ? { device: given } : {}),
  });
}

/** Its votes follow from its algorithm; it gives them while it is connected. */
function deviceVotes(
  device: Record<string, string> | undefined,
  members: number,
): { votes: number; given: number } | undefined {
  const state = device?.["State"];
  if (!device || state === undefined) return undefined;
  const votes = device["Algorithm"] === "LMS" ? Math.max(1, members - 1) : 1;
  return { votes, given: state === "Connected" ? votes : 0 };
}
