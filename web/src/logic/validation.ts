/* Checks of single fields before anything is sent. The server checks all of it again. */

const NAME = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;
const FINGERPRINT = /^([0-9a-f]{2}:){31}[0-9a-f]{2}$/i;
export const MAX_CLUSTER_NAME = 15;

export type Check = (text: string) => string | undefined;

export function required(what: string): Check {
  return (text) => (text.trim() === "" ? `${what} is needed.` : undefined);
}

export const clusterName: Check = (text) => {
  if (text === "") return "A cluster name is needed.";
  if (text.length > MAX_CLUSTER_NAME) return `At most ${MAX_CLUSTER_NAME} characters.`;
  return NAME.test(text) && !text.includes(".") ? undefined : "Only letters, digits and hyphens, not at the ends.";
};

export const fingerprint: Check = (text) => {
  if (text.trim() === "") return "A fingerprint is needed.";
  return FINGERPRINT.test(text.trim()) ? undefined : "A SHA-256 fingerprint has 32 pairs of hex digits with colons between.";
};

export const peerAddress: Check = (text) => {
  if (text.trim() === "") return "The peer's address is needed.";
  return isAddressOrName(text.trim()) ? undefined : "Neither an IP address nor a host name.";
};

export function isAddressOrName(text: string): boolean {
  if (isIPv4(text) || isIPv6(text)) return true;
  return text.length <= 253 && NAME.test(text) && !/^[\d.]+$/.test(text);
}

export function isIPv4(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

export function isIPv6(text: string): boolean {
  if (!text.includes(":")) return false;
  try {
    return new URL(`http://[${text}]/`).hostname !== "";
  } catch {
    return false;
  }
}

export const cidr: Check = (text) => {
  if (text.trim() === "") return undefined;
  const [address = "", bits = ""] = text.trim().split("/");
  const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
  return /^\d+$/.test(bits) && Number(bits) <= most ? undefined : "A network such as 10.0.0.0/24.";
};

export function integer(least: number, most: number): Check {
  return (text) => {
    if (text.trim() === "") return undefined;
    const value = Number(text);
    const good = Number.isInteger(value) && value >= least && value <= most;
    return good ? undefined : `A whole number from ${least} to ${most}.`;
  };
}
