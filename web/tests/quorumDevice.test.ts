import { describe, expect, it } from "vitest";

import { ApiFailure } from "../src/api/failure";
import type { DeviceView } from "../src/api/model";
import { deviceWords } from "../src/logic/quorumDevice";

const members = ["n1", "n2"].map((name) => ({ name, online: 1 as 0 | 1 }));
const none: DeviceView = { configured: 0 };
const configured: DeviceView = { configured: 1, model: "net", host: "10.0.0.9", algorithm: "ffsplit", votes: 1 };
const works: DeviceView = {
  ...configured,
  registered: 1,
  alive: 1,
  votes_for_us: 1,
  daemon: { State: "Connected", "Tie-breaker": "Node with lowest node ID", "Last poll call": "2026-01-01T00:00:00 (cast vote)" },
};
const idle: DeviceView = { ...configured, registered: 0, alive: 0, votes_for_us: 0, daemon: {} };

describe("the quorum device", () => {
  it("is not there when no node is configured for it, and unknown until one has answered", () => {
    expect(deviceWords(members, {}).isConfigured).toBeUndefined();
    expect(deviceWords(members, { n1: { data: none } })).toMatchObject({ isConfigured: false, rows: [] });
  });

  it("is there where its daemon does not run, which is said of the node that lacks it", () => {
    const words = deviceWords(members, { n1: { data: works }, n2: { data: idle } });
    expect(words).toMatchObject({ isConfigured: true, summary: "Server 10.0.0.9, ffsplit, 1 vote" });
    expect(words.rows.map(({ status, daemon, vote }) => [status, daemon, vote])).toEqual([
      ["success", "runs", "cast for this node"],
      ["danger", "does not run (systemctl status corosync-qdevice)", "–"],
    ]);
  });

  it("is in trouble where the server is not reached", () => {
    const alone = { ...works, alive: 0, votes_for_us: 0, daemon: { State: "Connect failed" } } as const;
    expect(deviceWords(members, { n1: { data: alone } }).rows[0]).toMatchObject({
      status: "danger", daemon: "runs", server: "Connect failed", vote: "not cast for this node",
    });
  });

  it("is not known from nodes that are off or silent", () => {
    const some = [...members, { name: "n3", online: 0 as const }];
    const views = { n1: { data: works }, n2: { failure: new ApiFailure(0, "no answer") } };
    expect(deviceWords(some, views).rows.map(({ daemon, status }) => [daemon, status])).toEqual([
      ["runs", "success"],
      ["no answer", "unknown"],
      ["node is off", "unknown"],
    ]);
  });
});
