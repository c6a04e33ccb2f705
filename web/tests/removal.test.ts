import { describe, expect, it } from "vitest";

import type { ConfigNode, NodeEntry, QuorumData, Resource } from "../src/api/model";
import { removalView, type RemovalFacts } from "../src/logic/removal";

const member = (name: string, more: Partial<NodeEntry> = {}): NodeEntry => ({
  type: "node", id: `node/${name}`, name, nodeid: 1, local: 0, online: 1, ...more,
});
const guest = (vmid: number, node: string): Resource => ({ id: `lxc/${vmid}`, type: "lxc", vmid, node, status: "running" });
const entry = (name: string, votes?: string): ConfigNode => ({
  name, node: name, nodeid: "1", ring0_addr: name, ...(votes === undefined ? {} : { quorum_votes: votes }),
});
const cluster = { type: "cluster", id: "cluster", name: "c", version: 1, nodes: 3, quorate: 1 } as const;
const facts: RemovalFacts = {
  cluster,
  members: [member("n1", { local: 1 }), member("n2"), member("n3", { online: 0 })],
  resources: [],
  config: [entry("n1", "1"), entry("n2", "1"), entry("n3", "1")],
};
const device = { name: "Qdevice", votes: 1, registered: 1, alive: 1, votes_for_us: 1, master_wins: 0 } as const;
const numbers: QuorumData = {
  clustered: 1, quorate: 1, votes: 3, expected: 4, highest_expected: 4, needed: 3, spare: 0, flags: [], nodes: [],
};

describe("removing a node", () => {
  it("is refused for itself and for what runs", () => {
    expect(removalView("n1", facts).obstacles).toHaveLength(2);
    expect(removalView("n2", facts).obstacles[0]).toContain("is online");
    expect(removalView("n3", facts).obstacles).toEqual([]);
  });

  it("without quorum needs lower expected votes first, and names the command", () => {
    const members = [member("n1", { local: 1 }), member("n2", { online: 0 }), member("n3", { online: 0 })];
    const config = [entry("n1", "2"), entry("n2", "3"), entry("n3", "3")];
    const { obstacles } = removalView("n3", { ...facts, cluster: { ...cluster, quorate: 0 }, members, config });
    expect(obstacles).toHaveLength(1);
    expect(obstacles[0]).toContain("no quorum: 2 of 8 votes present, 5 needed");
    expect(obstacles[0]).toContain("'pvecm expected 2'");
  });

  it("counts the votes that the nodes have", () => {
    const config = [entry("n1", "2"), entry("n2", "3"), entry("n3", "4")];
    const view = removalView("n3", { ...facts, config });
    expect(view.removed[0]).toContain("its 4 votes");
    expect(view.after).toEqual({
      votes: "5 of 5 votes present, 3 needed", meaning: "Losing one more node stops changes.", status: "warning",
    });
  });

  it("says that afterwards changes stop, where nodes are missing", () => {
    const members = [member("n1", { local: 1 }), member("n2", { online: 0 }), member("n3", { online: 0 })];
    const config = [entry("n1"), entry("n2"), entry("n3", "0")];
    const view = removalView("n3", { ...facts, members, config });
    expect(view.removed[0]).toContain("which has no vote");
    expect(view.after).toMatchObject({ votes: "1 of 2 votes present, 2 needed", status: "danger" });
    expect(view.warnings[0]).toContain("Without n3 the cluster has no quorum");
  });

  it("asks to take a quorum device away first, and may be told that the node is lost", () => {
    const view = removalView("n3", { ...facts, quorum: { ...numbers, qdevice: device } });
    expect(view.obstacles).toEqual([]);
    expect(view.conditions).toHaveLength(1);
    expect(view.conditions[0]?.text).toContain("'pvecm qdevice remove'");
    expect(view.conditions[0]?.consent).toBe("n3 is lost for good: remove it although a quorum device is configured");
    expect(view.after?.votes).toBe("3 of 3 votes present, 2 needed"); // the device stays
  });

  it("takes the votes of a device that has as many as all nodes but one", () => {
    const members = [...facts.members, member("n4"), member("n5")];
    const config = members.map(({ name }) => entry(name, "1"));
    const view = removalView("n3", { ...facts, members, config, quorum: { ...numbers, qdevice: { ...device, votes: 4 } } });
    expect(view.after?.votes).toBe("7 of 7 votes present, 4 needed");
  });

  it("names the guests that would be orphaned", () => {
    const view = removalView("n3", { ...facts, resources: [guest(100, "n3"), guest(101, "n1")] });
    expect(view.obstacles).toEqual([]);
    expect(view.warnings).toEqual(["n3 has 1 guest, whose configuration becomes orphaned: 100. Move them first."]);
  });
});
