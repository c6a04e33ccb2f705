import { describe, expect, it } from "vitest";

import type { NetworkInterface } from "../src/api/model";
import {
  additionOf,
  changeOf,
  faultsOf,
  fieldsOf,
  freeName,
  kindOf,
  valuesOf,
  type Kind,
  type TextKey,
  type Values,
} from "../src/logic/interfaceForm";

const row = (iface: string, type: string, more: Partial<NetworkInterface> = {}): NetworkInterface => ({
  iface, type, families: ["inet"], priority: 3, method: "static", ...more,
});
const filled = (kind: Kind, texts: Partial<Record<TextKey, string>>, flags: Partial<Values["flags"]> = {}): Values => {
  const empty = valuesOf(kind);
  return { texts: { ...empty.texts, ...texts }, flags: { ...empty.flags, ...flags } };
};
const bridge = row("vmbr0", "bridge", {
  autostart: 1, cidr: "10.0.0.1/24", gateway: "10.0.0.254", bridge_ports: "eno1", comments: "to the world\n", bridge_stp: "off",
});

describe("the form of an interface", () => {
  it("has fields by kind, and by what stands in others", () => {
    expect(fieldsOf("eth", valuesOf("eth"))).toEqual(["cidr", "gateway", "cidr6", "gateway6", "mtu", "comments"]);
    expect(fieldsOf("bridge", valuesOf("bridge"))).not.toContain("bridge_vids");
    expect(fieldsOf("bridge", filled("bridge", {}, { bridge_vlan_aware: true }))).toContain("bridge_vids");
    const bond = (bond_mode: string) =>
      fieldsOf("bond", filled("bond", { bond_mode })).filter((key) => key === "bond-primary" || key.endsWith("policy"));
    expect(["balance-rr", "active-backup", "802.3ad"].map(bond)).toEqual([[], ["bond-primary"], ["bond_xmit_hash_policy"]]);
  });

  it("is for the kinds that the server changes", () => {
    expect(["bridge", "eth", "unknown", "OVSBridge"].map((type) => kindOf({ type }))).toEqual([
      "bridge", "eth", "unknown", undefined,
    ]);
  });

  it("proposes a name that is free", () => {
    expect(freeName("bridge", [])).toBe("vmbr0");
    expect(freeName("bridge", ["vmbr0", "vmbr2", "vmbr1"])).toBe("vmbr3");
    expect([freeName("bond", ["vmbr0"]), freeName("vlan", [])]).toEqual(["bond0", ""]);
  });

  it("shows what is configured", () => {
    const { texts, flags } = valuesOf("bridge", bridge);
    expect([texts.cidr, texts.bridge_ports, texts.comments, texts.mtu]).toEqual(["10.0.0.1/24", "eno1", "to the world", ""]);
    expect(flags).toEqual({ autostart: true, bridge_vlan_aware: false });
    expect(valuesOf("bridge", row("vmbr1", "bridge", { bridge_ports: "none" })).texts.bridge_ports).toBe("");
  });
});

describe("what is sent", () => {
  it("for a new interface is what was filled in and is shown", () => {
    const values = filled("bond", { slaves: " eno1 eno2 ", bond_mode: "802.3ad", "bond-primary": "eno1", mtu: "9000" });
    expect(additionOf("bond", values)).toEqual({ autostart: true, slaves: "eno1 eno2", bond_mode: "802.3ad", mtu: "9000" });
    expect(additionOf("bridge", filled("bridge", {}, { autostart: false, bridge_vlan_aware: true }))).toEqual({
      autostart: false, bridge_vlan_aware: true,
    });
  });

  it("for a change is nothing but what has changed", () => {
    const before = valuesOf("bridge", bridge);
    expect(changeOf("bridge", bridge, before)).toEqual({ set: {}, remove: [] });
    const after: Values = {
      texts: { ...before.texts, gateway: "", mtu: "9000", comments: "to the world\nand back" },
      flags: { autostart: false, bridge_vlan_aware: true },
    };
    expect(changeOf("bridge", bridge, after)).toEqual({
      set: { mtu: "9000", comments: "to the world\nand back", autostart: false, bridge_vlan_aware: true },
      remove: ["gateway"],
    });
  });

  it("removes what belongs to a mode that is no longer chosen", () => {
    const bond = row("bond0", "bond", { slaves: "eno1 eno2", bond_mode: "active-backup", "bond-primary": "eno1" });
    const before = valuesOf("bond", bond);
    const after = { ...before, texts: { ...before.texts, bond_mode: "balance-rr" } };
    expect(changeOf("bond", bond, after)).toEqual({ set: { bond_mode: "balance-rr" }, remove: ["bond-primary"] });
  });
});

describe("what is wrong", () => {
  const faulty = (kind: Kind, name: string, texts: Partial<Record<TextKey, string>> = {}): string[] =>
    Object.keys(faultsOf(kind, name, filled(kind, texts)));

  it("with a name", () => {
    expect(["vmbr0", "eth0.5", "a1"].map((name) => faulty("bridge", name))).toEqual([[], [], []]);
    for (const name of ["", "0br", "br-0", "a", "x".repeat(21)]) expect(faulty("bridge", name)).toEqual(["iface"]);
    expect([faulty("alias", "eth0"), faulty("alias", "eth0:1")]).toEqual([["iface"], []]);
  });

  it("with a VLAN whose name does not say all", () => {
    expect(faulty("vlan", "eth0.5")).toEqual([]);
    expect(faulty("vlan", "vlan5")).toEqual(["vlan-raw-device"]);
    expect(faulty("vlan", "office")).toEqual(["vlan-raw-device", "vlan-id"]);
    expect(faulty("vlan", "office", { "vlan-raw-device": "eno1", "vlan-id": "5" })).toEqual([]);
    expect(faulty("vlan", "office", { "vlan-raw-device": "eno1", "vlan-id": "4095" })).toEqual(["vlan-id"]);
  });

  it("with addresses, gateways and numbers", () => {
    expect(faulty("eth", "eno1", { cidr: "10.0.0.1/24", gateway: "10.0.0.254", cidr6: "fe80::1/64", mtu: "1500" })).toEqual([]);
    for (const cidr of ["10.0.0.1", "10.0.0.1/33", "10.0.0/24", "10.0.0.1/24/8", "fe80::1/64"]) {
      expect(faulty("eth", "eno1", { cidr })).toEqual(["cidr"]);
    }
    expect(faulty("eth", "eno1", { gateway: "10.0.0.254" })).toEqual(["gateway"]);
    expect(faulty("eth", "eno1", { mtu: "1279" })).toEqual(["mtu"]);
  });

  it("with lists, and not in fields that are not shown", () => {
    expect(faulty("bridge", "vmbr0", { bridge_ports: "eno1, eno2 eno3.4" })).toEqual([]);
    expect(faulty("bridge", "vmbr0", { bridge_ports: "eno1 -x" })).toEqual(["bridge_ports"]);
    expect(faulty("bridge", "vmbr0", { bridge_vids: "?" })).toEqual([]);
    expect(faulty("bond", "bond0", { slaves: "eno1/x" })).toEqual(["slaves"]);
  });
});
