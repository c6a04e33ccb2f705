import { describe, expect, it } from "vitest";

import { ApiFailure } from "../src/api/failure";
import { nextConsent, UNKNOWN, type ConsentEvent } from "../src/logic/consent";

const after = (...events: ConsentEvent[]) => events.reduce(nextConsent, UNKNOWN);
const failure = new ApiFailure(0, "The node does not answer.");

describe("the consent text", () => {
  it("keeps the login form away until it is known and agreed to", () => {
    expect(after().kind).toBe("unknown");
    expect(after("agree").kind).toBe("unknown");
    expect(after({ failure }, "agree")).toEqual({ kind: "unknown", failure });
    expect(after({ text: "For <us>\nonly" })).toEqual({ kind: "wanted", text: "For <us>\nonly" });
    expect(after({ text: "Us" }, "agree").kind).toBe("given");
  });

  it("asks nothing where none is set, also after failures", () => {
    expect(after({ text: "" }).kind).toBe("given");
    expect(after({ text: " \n" }).kind).toBe("given");
    expect(after({ failure }, { failure }, { text: "" }).kind).toBe("given");
  });

  it("does not change any more once it is shown", () => {
    expect(after({ text: "one" }, { text: "" })).toEqual({ kind: "wanted", text: "one" });
    expect(after({ text: "one" }, { failure })).toEqual({ kind: "wanted", text: "one" });
    expect(after({ text: "" }, { text: "two" }).kind).toBe("given");
  });
});
