import { describe, expect, it } from "vitest";

import { Greeting, loginLine, resized, socketAddress, typed, typedBytes } from "../src/logic/console";

const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("what a console is told", () => {
  it("is who is there, and how large the window is", () => {
    expect(text(loginLine("root@pam", "PVEVNC:1::x"))).toBe("root@pam:PVEVNC:1::x\n");
    expect(text(resized(132, 43))).toBe("1:132:43:");
  });

  it("is input counted in bytes, not in characters", () => {
    expect(typed("ls\n").map(text)).toEqual(["0:3:ls\n"]);
    expect(typed("ä€").map(text)).toEqual(["0:5:ä€"]);
    expect(typed("")).toEqual([]);
    expect(typedBytes("\xff\x01")).toEqual([new Uint8Array([48, 58, 50, 58, 255, 1])]);
  });

  it("is a long text in pieces that fit into a frame", () => {
    const messages = typed("€".repeat(50_000));
    expect(messages.map((message) => message.length <= 128 * 1024)).toEqual(messages.map(() => true));
    const data = messages.map((message) => message.subarray(message.indexOf(58, 2) + 1));
    expect(text(Uint8Array.from(data.flatMap((piece) => [...piece])))).toBe("€".repeat(50_000));
  });
});

describe("the way to a console", () => {
  it("is a WebSocket of the node that serves the page", () => {
    expect(socketAddress("https://10.0.0.1:8006", "n2", 5900, "PVEVNC:A::b+/=")).toBe(
      "wss://10.0.0.1:8006/api2/json/nodes/n2/vncwebsocket?port=5900&vncticket=PVEVNC%3AA%3A%3Ab%2B%2F%3D",
    );
  });
});

describe("the server's answer to the first line", () => {
  it("may come alone, in pieces, or with the terminal's first words", () => {
    const greeting = new Greeting();
    expect(text(greeting.feed(bytes("O")))).toBe("");
    expect(greeting.isOver).toBe(false);
    expect(text(greeting.feed(bytes("K$ ")))).toBe("$ ");
    expect(greeting.isOver).toBe(true);
    expect(text(greeting.feed(bytes("OK")))).toBe("OK");
  });

  it("is a failure where it is another one", () => {
    expect(() => new Greeting().feed(bytes("No"))).toThrow("The server does not speak as a console.");
  });
});
