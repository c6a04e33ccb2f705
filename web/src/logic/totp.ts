/* A secret for time-based one-time passwords, and the address that authenticator apps read. */

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** 160 bits, as RFC 4226 recommends. */
export const SECRET_BYTES = 20;

export function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    while (bits >= 5) {
      text += ALPHABET.charAt((value >> (bits - 5)) & 31);
      bits -= 5;
    }
  }
  return bits > 0 ? text + ALPHABET.charAt((value << (5 - bits)) & 31) : text;
}

export function otpauthAddress(user: string, issuer: string, secret: string): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(user)}`;
  const query = new URLSearchParams({ secret, issuer, period: "30", algorithm: "SHA1", digits: "6" });
  return `otpauth://totp/${label}?${query.toString().replaceAll("+", "%20")}`;
}
