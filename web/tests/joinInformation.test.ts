import { describe, expect, it } from "vitest";

import type { JoinAnswer } from "../src/api/model";
import { decodeJoinInformation, encodeJoinInformation } from "../src/logic/joinInformation";

const ANSWER: JoinAnswer = {
  nodelist: [
    { name: "n1", nodeid: "1", quorum_votes: "1", ring0_addr: "10.0.0.1", ring1_addr: "10.1.0.1", pve_addr: "10.0.0.1", pve_fp: "AA:BB" },
    { name: "n2", nodeid: "2", quorum_votes: "1", ring0_addr: "10.0.0.2", ring1_addr: "10.1.0.2", pve_addr: "10.0.0.2", pve_fp: "CC:DD" },
  ],
  preferred_node: "n2",
  totem: { cluster_name: "höhle", interface: { "1": { linknumber: "1" }, "0": { linknumber: "0" } } },
  config_digest: "d",
};

const packed = (value: unknown): string => btoa(JSON.stringify(value));

describe("join information", () => {
  it("comes back as it went, also with letters beyond ASCII", () => {
    expect(decodeJoinInformation(encodeJoinInformation(ANSWER))).toEqual({
      address: "10.0.0.2",
      fingerprint: "CC:DD",
      clusterName: "höhle",
      links: [
        { number: 0, peer: "10.0.0.2" },
        { number: 1, peer: "10.1.0.2" },
      ],
      mayLeaveEmpty: false,
    });
  });

  it("has its keys in the order of the original", () => {
    const bytes = Uint8Array.from(atob(encodeJoinInformation(ANSWER)), (letter) => letter.charCodeAt(0));
    const keys = Object.keys(JSON.parse(new TextDecoder().decode(bytes)) as object);
    expect(keys).toEqual(["ipAddress", "fingerprint", "peerLinks", "ring_addr", "totem"]);
  });

  it("survives the line breaks of terminals and mails", () => {
    const text = encodeJoinInformation(ANSWER).replace(/(.{40})/g, "$1\n  ");
    expect(decodeJoinInformation(text)?.address).toBe("10.0.0.2");
  });

  it("takes old texts without peerLinks, and ignores unknown fields", () => {
    const old = { ipAddress: "10.0.0.1", ring_addr: ["10.0.0.1"], totem: { interface: { "0": { linknumber: "0" } } }, new: 1 };
    expect(decodeJoinInformation(packed(old))).toMatchObject({ links: [{ number: 0, peer: undefined }], mayLeaveEmpty: true });
  });

  it("needs an address where the link is not the peer's own address", () => {
    const other = { ipAddress: "10.0.0.1", ring_addr: ["10.9.0.1"], totem: { interface: { "0": { linknumber: "0" } } } };
    expect(decodeJoinInformation(packed(other))?.mayLeaveEmpty).toBe(false);
  });

  it.each(["", "nonsense!", packed([]), packed(null), packed({ ipAddress: "x" }), packed({ totem: [] }), "A".repeat(70_000)])(
    "refuses what is none",
    (text) => {
      expect(decodeJoinInformation(text)).toBeUndefined();
    },
  );
});
