/* The facts for quorum in words: Corosync's own count, else members with one vote each. */

import { usePolled } from "../api/hooks";
import type { Live } from "../api/live";
import type { QuorumData } from "../api/model";
import { may } from "../api/session";
import { quorumWords, type QuorumFacts, type QuorumWords } from "../logic/quorum";

/** Also while changes are told: of votes and the QDevice Corosync alone knows. */
const SECONDS = 5;

/** Undefined outside a cluster, and until the state is known. */
export function useQuorum(live: Live): QuorumWords | undefined {
  const isMember = live.cluster !== undefined && may("dc", "Sys.Audit");
  const quorum = usePolled(isMember ? "/cluster/quorum" : null, {}, SECONDS, ["status"], SECONDS);
  if (!live.cluster) return undefined;
  return quorumWords(quorum.data?.clustered ? factsOf(quorum.data) : factsOfMembers(live));
}

function factsOf(data: QuorumData): QuorumFacts {
  const facts: QuorumFacts = {
    quorate: data.quorate === 1,
    voters: data.nodes.map(({ name, votes, state }) => ({ name, votes, online: state === "member" })),
    expected: data.expected,
    needed: data.needed,
  };
  const device = data.qdevice;
  if (!device) return facts;
  const gives = device.alive && device.votes_for_us;
  return { ...facts, device: { votes: device.votes, given: gives ? device.votes : 0 } };
}

function factsOfMembers(live: Live): QuorumFacts {
  return {
    quorate: live.cluster?.quorate === 1,
    voters: live.members.map((member) => ({ name: member.name, votes: 1, online: member.online === 1 })),
  };
}
