/* The text that one copies on a member and pastes on the node that joins (pvecm 3.8). */

import type { JoinAnswer } from "../api/model";

export const INVALID = "Does not seem like a valid encoded Cluster Information!";
/** Far more than eight links and a totem section need. */
const MAX_LENGTH = 64 * 1024;

export interface JoinInformation {
  address: string;
  fingerprint: string;
  clusterName: string;
  links: PeerLink[];
  /** The cluster's only link is the peer's own address: the joiner's may be left to its host name. */
  mayLeaveEmpty: boolean;
}

export interface PeerLink {
  number: number;
  peer?: string;
}

/** The encoded text for the preferred node of `GET /cluster/config/join`. */
export function encodeJoinInformation(answer: JoinAnswer): string {
  const node = answer.nodelist.find((entry) => entry.name === answer.preferred_node);
  if (!node) throw new Error(`the member ${answer.preferred_node} is not in the answer's node list`);
  const peerLinks: Record<string, string> = {};
  const addresses: string[] = [];
  for (const [key, value] of Object.entries(node)) {
    const number = /^ring(\d+)_addr$/.exec(key)?.[1];
    if (number === undefined) continue;
    peerLinks[number] = value;
    addresses.push(value);
  }
  const text = JSON.stringify({
    ipAddress: node.pve_addr,
    fingerprint: node.pve_fp,
    peerLinks,
    ring_addr: addresses,
    totem: answer.totem,
  });
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Undefined for what is none. White space is ignored: terminals and mails break long lines. */
export function decodeJoinInformation(encoded: string): JoinInformation | undefined {
  const compact = encoded.replace(/\s+/g, "");
  if (compact === "" || compact.length > MAX_LENGTH) return undefined;
  let found: unknown;
  try {
    const bytes = Uint8Array.from(atob(compact), (letter) => letter.charCodeAt(0));
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (!isRecord(found) || !isRecord(found["totem"])) return undefined;
  const { totem } = found;
  const peers = isRecord(found["peerLinks"]) ? found["peerLinks"] : {};
  const interfaces = isRecord(totem["interface"]) ? Object.values(totem["interface"]) : [];
  const links = interfaces
    .filter(isRecord)
    .map((entry): PeerLink => {
      const number = Number(entry["linknumber"] ?? 0);
      return { number, peer: textOf(peers[String(number)]) || undefined };
    })
    .filter((link) => Number.isInteger(link.number) && link.number >= 0 && link.number <= 7)
    .sort((one, other) => one.number - other.number);
  const addresses: unknown[] = Array.isArray(found["ring_addr"]) ? found["ring_addr"] : [];
  const address = textOf(found["ipAddress"]);
  return {
    address,
    fingerprint: textOf(found["fingerprint"]),
    clusterName: textOf(totem["cluster_name"]),
    links: links.length > 0 ? links : [{ number: 0, peer: textOf(addresses[0]) || undefined }],
    mayLeaveEmpty: links.length <= 1 && address !== "" && addresses[0] === address,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
