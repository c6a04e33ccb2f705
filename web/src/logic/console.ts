/* What a console is told: who is there, what is typed, how large the window is (guests 9.3). */

/** The server answers the first line with these bytes; what follows is the terminal's. */
export const ACCEPTED = "OK";
/** A sign of life, and how often the server wants one. */
export const ALIVE = "2";
export const ALIVE_MS = 30_000;

/** Bytes of one message; a frame may have 128 KiB. */
const PIECE = 32 * 1024;

const encoder = new TextEncoder();

export function loginLine(user: string, ticket: string): Uint8Array {
  return encoder.encode(`${user}:${ticket}\n`);
}

/** Input as messages of bounded length, each counted in bytes. */
export function typed(text: string): Uint8Array[] {
  return inPieces(encoder.encode(text));
}

/** The same for input that is bytes: each character is one (answers to some questions of old programs). */
export function typedBytes(binary: string): Uint8Array[] {
  return inPieces(Uint8Array.from(binary, (character) => character.charCodeAt(0) & 0xff));
}

export function resized(columns: number, rows: number): Uint8Array {
  return encoder.encode(`1:${columns}:${rows}:`);
}

/** The address of a console's WebSocket; `origin` is the page's. */
export function socketAddress(origin: string, node: string, port: number, ticket: string): string {
  const query = new URLSearchParams({ port: String(port), vncticket: ticket });
  return `${origin.replace(/^http/, "ws")}/api2/json/nodes/${encodeURIComponent(node)}/vncwebsocket?${query}`;
}

/** Takes the answer to the first line off what the server sends. Throws when it is another one. */
export class Greeting {
  private missing = ACCEPTED;

  get isOver(): boolean {
    return this.missing === "";
  }

  /** What of the bytes is the terminal's. */
  feed(data: Uint8Array): Uint8Array {
    let place = 0;
    while (this.missing !== "" && place < data.length) {
      if (data[place] !== this.missing.charCodeAt(0)) throw new Error("The server does not speak as a console.");
      this.missing = this.missing.slice(1);
      place += 1;
    }
    return data.subarray(place);
  }
}

function inPieces(data: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let start = 0; start < data.length; start += PIECE) {
    const piece = data.subarray(start, start + PIECE);
    const head = encoder.encode(`0:${piece.length}:`);
    const message = new Uint8Array(head.length + piece.length);
    message.set(head);
    message.set(piece, head.length);
    messages.push(message);
  }
  return messages;
}
