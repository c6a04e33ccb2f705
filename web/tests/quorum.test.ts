import { describe, expect, it } from "vitest";

import { lossesToStop, quorumWords, type Voter } from "../src/logic/quorum";

function voters(online: number, all: number, votes = 1): Voter[] {
  return Array.from({ length: all }, (_, index) => ({ name: `n${index + 1}`, votes, online: index < online }));
}

describe("quorum in words", () => {
  it("says how many votes are there and that one more loss stops changes", () => {
    const words = quorumWords({ quorate: true, voters: voters(3, 4) });
    expect(words.votes).toBe("3 of 4 votes present, 3 needed");
    expect(words.meaning).toBe("Losing one more node stops changes. Not connected: n4.");
    expect(words.status).toBe("warning");
  });

  it.each([
    [3, "One more node may fail; losing two stops changes."],
    [5, "Two more nodes may fail; losing three stops changes."],
    [7, "Three more nodes may fail; losing four stops changes."],
  ])("counts what a whole cluster of %i bears", (count, meaning) => {
    expect(quorumWords({ quorate: true, voters: voters(count, count) })).toMatchObject({ status: "success", meaning });
  });

  it("says who is missing and how much when changes are stopped", () => {
    const words = quorumWords({ quorate: false, voters: voters(1, 4) });
    expect(words.votes).toBe("1 of 4 votes present, 3 needed");
    expect(words.meaning).toBe("Changes are stopped until two more votes are there. Not connected: n2, n3, n4.");
    expect(words.status).toBe("danger");
  });

  it("does not speak of missing votes while the members have not agreed yet", () => {
    expect(quorumWords({ quorate: false, voters: voters(3, 3) }).meaning).toContain("have agreed");
  });

  it("counts a quorum device, and what it gives", () => {
    const two = voters(2, 2);
    expect(quorumWords({ quorate: true, voters: two, device: { votes: 1, given: 1 } }).votes).toBe(
      "3 of 3 votes present, 2 needed",
    );
    expect(quorumWords({ quorate: true, voters: two, device: { votes: 1, given: 0 } }).votes).toBe(
      "2 of 3 votes present, 2 needed",
    );
  });

  it("takes what Corosync expects and needs where it says so", () => {
    const words = quorumWords({ quorate: true, voters: voters(1, 2), expected: 1, needed: 1 });
    expect(words.votes).toBe("1 of 1 vote present, 1 needed");
  });

  it("lets the node with most votes fail first", () => {
    const online = [
      { name: "a", votes: 3, online: true },
      { name: "b", votes: 1, online: true },
      { name: "c", votes: 1, online: true },
    ];
    expect(lossesToStop(online, 5, 3)).toBe(1);
    expect(lossesToStop(voters(2, 2), 5, 2)).toBeUndefined();
  });
});
