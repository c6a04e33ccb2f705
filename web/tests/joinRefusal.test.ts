import { describe, expect, it } from "vitest";

import { refusedField } from "../src/logic/joinRefusal";

describe("a join that failed", () => {
  it("is about the field that the reason names", () => {
    expect(refusedField("fingerprint 'AA:BB' not verified, abort!")).toBe("fingerprint");
    expect(refusedField("401 authentication failure")).toBe("password");
    expect(refusedField("Can't connect to 10.0.0.9:8006 (Connection refused)")).toBe("hostname");
    expect(refusedField("'nowhere.example' is not a host name")).toBe("hostname");
  });

  it("is about none of them when this node or the cluster stands against it", () => {
    expect(refusedField("Check if node may join a cluster failed!")).toBeUndefined();
  });
});
