import { describe, expect, it } from "vitest";

import { changeOf, checkFields, fieldValues, OPTION_ROWS, showOption, unaskedChanges, type OptionRow } from "../src/logic/options";

function row(key: string): OptionRow {
  const found = OPTION_ROWS.find((entry) => entry.key === key);
  if (!found) throw new Error(`no row ${key}`);
  return found;
}

describe("datacenter options", () => {
  it("shows defaults in words and nested values as property strings", () => {
    expect(showOption(row("http_proxy"), undefined)).toBe("none");
    expect(showOption(row("console"), "vv")).toBe("SPICE (remote-viewer)");
    expect(showOption(row("next-id"), { lower: "100", upper: "200" })).toBe("lower=100,upper=200");
    expect(showOption(row("registered-tags"), ["a", "b"])).toBe("a;b");
  });

  it("edits what it shows", () => {
    expect(fieldValues(row("migration"), { type: "secure", network: "10.0.0.0/24" })).toEqual({ network: "10.0.0.0/24" });
    expect(fieldValues(row("bwlimit"), "default=5,clone=7")).toMatchObject({ default: "5", clone: "7", move: "" });
    expect(fieldValues(row("max_workers"), 8)).toEqual({ "": "8" });
  });

  it("sends property strings, and deletes what is empty", () => {
    const change = (key: string, values: Record<string, string>, before?: unknown) => changeOf(row(key), values, before);
    expect(change("next-id", { lower: "100000", upper: "200000" })).toEqual({ set: "lower=100000,upper=200000" });
    expect(change("next-id", { lower: "", upper: "" })).toEqual({ delete: true });
    expect(change("http_proxy", { "": " " })).toEqual({ delete: true });
    expect(change("migration", { network: "10.0.0.0/24" })).toEqual({ set: "network=10.0.0.0/24,type=secure" });
    expect(change("migration", { network: "" })).toEqual({ set: "type=secure" });
  });

  it("tells what saving would change that nobody typed", () => {
    const insecure = [{ from: "type=insecure", to: "type=secure" }];
    for (const key of ["migration", "replication"]) {
      expect(unaskedChanges(row(key), { type: "insecure", network: "10.0.0.0/24" })).toEqual(insecure);
      expect(unaskedChanges(row(key), { type: "secure" })).toEqual([]);
      expect(unaskedChanges(row(key), { network: "10.0.0.0/24" })).toEqual([]);
      expect(unaskedChanges(row(key), undefined)).toEqual([]);
    }
    expect(unaskedChanges(row("crs"), { ha: "static" })).toEqual([]);
  });

  it("keeps sub-keys that it does not know", () => {
    const before = { ha: "static", "of-tomorrow": "1" };
    expect(changeOf(row("crs"), { ha: "basic", "ha-rebalance-on-start": "" }, before)).toEqual({
      set: "ha=basic,of-tomorrow=1",
    });
  });

  it("edits how guests are balanced", () => {
    const before = { ha: "static", "ha-auto-rebalance": 1, "ha-auto-rebalance-threshold": "0.3" };
    const values = fieldValues(row("crs"), before);
    expect(values).toMatchObject({ "ha-auto-rebalance": "1", "ha-auto-rebalance-threshold": "0.3" });
    const wanted = { ...values, "ha-auto-rebalance-margin": "0.1", "ha-auto-rebalance-hold-duration": "3" };
    expect(checkFields(row("crs"), wanted)).toEqual({});
    expect(changeOf(row("crs"), wanted, before)).toEqual({
      set: "ha=static,ha-auto-rebalance=1,ha-auto-rebalance-threshold=0.3,ha-auto-rebalance-hold-duration=3,ha-auto-rebalance-margin=0.1",
    });
    const faults = checkFields(row("crs"), { ...wanted, "ha-auto-rebalance-margin": "-1", "ha-auto-rebalance-hold-duration": "x" });
    expect(Object.keys(faults)).toEqual(["ha-auto-rebalance-hold-duration", "ha-auto-rebalance-margin"]);
  });

  it("packs the consent text and shows it again", () => {
    const sent = changeOf(row("consent-text"), { "": "Grüße" }, undefined);
    expect(sent).toEqual({ set: "R3LDvMOfZQ==" });
    expect(fieldValues(row("consent-text"), "R3LDvMOfZQ==")).toEqual({ "": "Grüße" });
  });

  it("checks fields before they are sent", () => {
    expect(checkFields(row("next-id"), { lower: "300", upper: "200" })).toHaveProperty("upper");
    expect(checkFields(row("next-id"), { lower: "", upper: "50" })).toHaveProperty("upper");
    expect(checkFields(row("next-id"), { lower: "200", upper: "" })).toEqual({});
    expect(checkFields(row("migration"), { network: "10.0.0.0/33" })).toHaveProperty("network");
    expect(checkFields(row("mac_prefix"), { "": "01:00" })).toHaveProperty([""]);
    expect(checkFields(row("location"), { name: "", latitude: "91", longitude: "0" })).toHaveProperty("latitude");
  });
});
