import { describe, expect, it } from "vitest";

import { ApiFailure } from "../src/api/failure";
import type { ConfigNode, LinkState } from "../src/api/model";
import { linkMatrices } from "../src/logic/linkMatrix";

const members = ["n1", "n2", "n3"].map((name) => ({ name, online: 1 as 0 | 1 }));
const config = members.map(({ name }, index): ConfigNode => ({
  name, node: name, nodeid: String(index + 1), ring0_addr: `10.0.0.${index + 1}`, ring1_addr: `10.1.0.${index + 1}`,
}));
const link = (node: string, number: number, more: Partial<LinkState> = {}): LinkState => ({
  node, nodeid: 1, link: number, priority: number === 0 ? 10 : 5, enabled: 1, connected: 1, latency: 200 + number, ...more,
});
const view = (...others: string[]) => ({ data: others.flatMap((name) => [link(name, 0), link(name, 1)]) });

describe("the matrix of links", () => {
  it("has a table per link, a row per node, and each row's own priority", () => {
    const found = linkMatrices(members, config, { n1: view("n2", "n3"), n2: view("n1", "n3"), n3: view("n1", "n2") });
    expect(found.map(({ number, priority, disagreement }) => [number, priority, disagreement])).toEqual([
      [0, 10, undefined],
      [1, 5, undefined],
    ]);
    expect(found[1]?.addresses[0]).toBe("n1 10.1.0.1");
    expect(found[1]?.rows[0]).toEqual({
      from: "n1", priority: 5, cells: [{ kind: "self" }, { kind: "up", latency: 201 }, { kind: "up", latency: 201 }],
    });
  });

  it("tells down from off, and from a link that the node does not know", () => {
    const n1 = { data: [link("n2", 0, { connected: 0 }), link("n3", 0, { enabled: 0, connected: 0 })] };
    const found = linkMatrices(members, config, { n1, n2: view("n1", "n3") });
    expect(found[0]?.rows[0]?.cells.map(({ kind }) => kind)).toEqual(["self", "down", "off"]);
    expect(found[1]?.rows[0]?.cells.map(({ kind }) => kind)).toEqual(["self", "none", "none"]);
    expect(found[0]?.rows[1]?.cells.map(({ kind }) => kind)).toEqual(["up", "self", "up"]); // one way only
  });

  it("says who has which priority when they differ", () => {
    const n2 = { data: [link("n1", 0, { priority: 3 }), link("n3", 0, { priority: 3 })] };
    const found = linkMatrices(members, config, { n1: view("n2", "n3"), n2 });
    expect(found[0]).toMatchObject({ priority: undefined, disagreement: "n1 10, n2 3" });
    expect(found[0]?.rows.map((row) => row.priority)).toEqual([10, 3, undefined]);
  });

  it("does not show what a node said before it fell silent", () => {
    const silent = { ...view("n1", "n3"), failure: new ApiFailure(0, "no answer") };
    const some = members.map((member) => (member.name === "n3" ? { ...member, online: 0 as const } : member));
    const found = linkMatrices(some, config, { n2: silent });
    expect(found[0]?.rows.map((row) => row.cells.find(({ kind }) => kind !== "self")?.kind)).toEqual([
      "waiting", "silent", "offline",
    ]);
    expect(found[0]?.priority).toBeUndefined();
  });

  it("lists the links of the configuration before any node has answered", () => {
    expect(linkMatrices(members, config, {}).map(({ number }) => number)).toEqual([0, 1]);
    expect(linkMatrices([], [], {})).toEqual([]);
  });
});
