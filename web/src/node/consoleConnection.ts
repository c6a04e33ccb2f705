/* One console: opened by the API, then spoken to through a WebSocket until either side ends. */

import { change } from "../api/client";
import { ALIVE, ALIVE_MS, Greeting, loginLine, resized, socketAddress, typed, typedBytes } from "../logic/console";

export interface Listener {
  onReady: () => void;
  onData: (data: Uint8Array) => void;
  /** Once, at the end; `reason` where it is not that the shell has ended or `close` was called. */
  onEnd: (reason?: string) => void;
}

export class ConsoleConnection {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private ready = false;
  private over = false;
  private readonly greeting = new Greeting();

  constructor(private readonly listener: Listener) {}

  /** Throws ApiFailure when the console is refused; later failures are told to the listener. */
  async open(node: string): Promise<void> {
    const { user, ticket, port } = await change("POST", "/nodes/{node}/termproxy", { node });
    if (this.over) return;
    const socket = new WebSocket(socketAddress(location.origin, node, port, ticket), "binary");
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(loginLine(user, ticket));
    socket.onmessage = (event: MessageEvent<ArrayBuffer>) => this.receive(new Uint8Array(event.data));
    socket.onclose = (event) => this.end(reasonOf(event, this.ready));
    this.timer = setInterval(() => this.send(new TextEncoder().encode(ALIVE)), ALIVE_MS);
  }

  type(text: string): void {
    for (const message of typed(text)) this.send(message);
  }

  typeBytes(binary: string): void {
    for (const message of typedBytes(binary)) this.send(message);
  }

  resize(columns: number, rows: number): void {
    this.send(resized(columns, rows));
  }

  /** Nothing is told any more, not even the end. */
  close(): void {
    this.over = true;
    clearInterval(this.timer);
    this.socket?.close(1000);
  }

  /** Nothing before the console has taken the login: it would be part of that line. */
  private send(message: Uint8Array): void {
    if (!this.ready) return;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(message);
  }

  private receive(data: Uint8Array): void {
    if (this.over) return;
    try {
      const rest = this.greeting.feed(data);
      if (!this.ready && this.greeting.isOver) {
        this.ready = true;
        this.listener.onReady();
      }
      if (rest.length > 0) this.listener.onData(rest);
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
      this.socket?.close();
    }
  }

  private end(reason?: string): void {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    this.listener.onEnd(reason);
  }
}

function reasonOf(event: CloseEvent, wasReady: boolean): string | undefined {
  if (event.reason !== "") return event.reason;
  if (!wasReady) return "The node did not let the connection through.";
  return event.code === 1000 ? undefined : "The connection was lost.";
}
