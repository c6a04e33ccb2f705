/* The rules of the link editor: numbers 0 to 7, every number and address once (pvecm 9.1). */

import type { NetworkInterface } from "../api/model";
import { isAddressOrName } from "./validation";

export const MAX_LINKS = 8;
export const DUPLICATE_NUMBER = "Duplicate link number not allowed.";
export const DUPLICATE_ADDRESS = "Duplicate link address not allowed.";

export interface Link {
  number: number;
  address: string;
}

export type LinkParameters = Partial<Record<`link${0 | 1 | 2 | 3 | 4 | 5 | 6 | 7}`, string>>;

export interface LinkFault {
  number?: string;
  address?: string;
}

export interface OwnAddress {
  address: string;
  iface: string;
}

/** Addresses that this node has, by interface name. */
export function ownAddresses(interfaces: readonly Pick<NetworkInterface, "iface" | "address" | "address6">[]): OwnAddress[] {
  return [...interfaces]
    .sort((one, other) => one.iface.localeCompare(other.iface, undefined, { numeric: true }))
    .flatMap(({ iface, address, address6 }) =>
      [address, address6].filter((text) => text !== undefined && text !== "").map((text) => ({ address: text ?? "", iface })),
    );
}

/** The address of the node's host name first: it is the default of link 0 (pvecm 1.4). Not when the name leads to
 * the node itself alone, as Debian's installer writes it. */
export function preferring(addresses: readonly OwnAddress[], hostAddress: string | undefined): OwnAddress[] {
  if (!hostAddress || /^(127\.|::1$|0\.0\.0\.0$|::$)/.test(hostAddress)) return [...addresses];
  const named = addresses.find(({ address }) => address === hostAddress) ?? { address: hostAddress, iface: "host name" };
  return [named, ...addresses.filter((other) => other !== named)];
}

/** One more row: the lowest free number, the first address that is not used. The same rows when full. */
export function addLink(links: readonly Link[], addresses: readonly string[]): Link[] {
  if (links.length >= MAX_LINKS) return [...links];
  const numbers = new Set(links.map((link) => link.number));
  let number = 0;
  while (numbers.has(number)) number += 1;
  const used = new Set(links.map((link) => link.address));
  return [...links, { number, address: addresses.find((address) => !used.has(address)) ?? "" }];
}

/** Without the row at `index`; the last one stays. */
export function removeLink(links: readonly Link[], index: number): Link[] {
  return links.length <= 1 ? [...links] : links.filter((_, place) => place !== index);
}

/** One entry per row, empty where all is well. */
export function checkLinks(links: readonly Link[], mayBeEmpty = false): LinkFault[] {
  return links.map((link, index) => {
    const others = links.filter((_, place) => place !== index);
    const fault: LinkFault = {};
    if (others.some((other) => other.number === link.number)) fault.number = DUPLICATE_NUMBER;
    const address = link.address.trim();
    if (address === "") {
      if (!mayBeEmpty) fault.address = "An address is needed.";
    } else if (!isAddressOrName(address)) {
      fault.address = "Neither an IP address nor a host name.";
    } else if (others.some((other) => other.address.trim() === address)) {
      fault.address = DUPLICATE_ADDRESS;
    }
    return fault;
  });
}

export function isFaultless(faults: readonly LinkFault[]): boolean {
  return faults.every((fault) => fault.number === undefined && fault.address === undefined);
}

/** `linkN=ADDRESS` of all rows that have one. */
export function linkParameters(links: readonly Link[]): LinkParameters {
  return Object.fromEntries(
    links
      .filter((link) => link.address.trim() !== "")
      .map((link) => [`link${link.number}`, link.address.trim()]),
  ) as LinkParameters;
}
