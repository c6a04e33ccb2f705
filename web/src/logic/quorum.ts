/* Quorum in words a person understands: what is there, what is needed, what happens next. */

export interface Voter {
  name: string;
  votes: number;
  online: boolean;
}

export interface QuorumFacts {
  quorate: boolean;
  voters: readonly Voter[];
  /** Votes of a quorum device, with those that it gives at present. */
  device?: { votes: number; given: number };
  /** What Corosync says, where it differs from counting (e.g. after `pvecm expected`). */
  expected?: number;
  needed?: number;
}

export interface QuorumWords {
  status: "success" | "warning" | "danger";
  /** E.g. "3 of 4 votes present, 3 needed". */
  votes: string;
  /** What follows from it. */
  meaning: string;
}

export function quorumWords(facts: QuorumFacts): QuorumWords {
  const device = facts.device ?? { votes: 0, given: 0 };
  const total = facts.expected ?? sum(facts.voters.map((voter) => voter.votes)) + device.votes;
  const needed = facts.needed ?? Math.floor(total / 2) + 1;
  const online = facts.voters.filter((voter) => voter.online);
  const present = sum(online.map((voter) => voter.votes)) + device.given;
  const votes = `${present} of ${total} ${total === 1 ? "vote" : "votes"} present, ${needed} needed`;
  const missing = facts.voters.filter((voter) => !voter.online).map((voter) => voter.name);

  if (!facts.quorate) {
    const lack = needed - present;
    const help =
      lack > 0
        ? `until ${count(lack, "more vote")} ${lack === 1 ? "is" : "are"} there.`
        : "until the members have agreed; this should take seconds.";
    const who = missing.length > 0 ? ` Not connected: ${missing.join(", ")}.` : "";
    return { status: "danger", votes, meaning: `Changes are stopped ${help}${who}` };
  }
  const losses = lossesToStop(online, present, needed);
  const who = missing.length > 0 ? ` Not connected: ${missing.join(", ")}.` : "";
  if (losses === undefined) return { status: "success", votes, meaning: `Changes are possible.${who}` };
  if (losses === 1) {
    const only = facts.voters.length === 1 && total === 1;
    const text = only ? "This is the only node." : "Losing one more node stops changes.";
    return { status: missing.length > 0 || !only ? "warning" : "success", votes, meaning: text + who };
  }
  const spare = losses - 1;
  const text = `${capital(inWords(spare))} more ${spare === 1 ? "node" : "nodes"} may fail; losing ${inWords(losses)} stops changes.`;
  return { status: missing.length > 0 ? "warning" : "success", votes, meaning: text + who };
}

/** How many nodes at least must fail until fewer votes than needed are left; those with most votes first. */
export function lossesToStop(online: readonly Voter[], present: number, needed: number): number | undefined {
  let left = present;
  const votes = online.map((voter) => voter.votes).sort((one, other) => other - one);
  for (const [index, value] of votes.entries()) {
    left -= value;
    if (left < needed) return index + 1;
  }
  return undefined;
}

const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

function inWords(value: number): string {
  return WORDS[value] ?? String(value);
}

function count(value: number, what: string): string {
  return `${inWords(value)} ${what}${value === 1 ? "" : "s"}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
