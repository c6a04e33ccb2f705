import { describe, expect, it } from "vitest";

import { addLink, checkLinks, DUPLICATE_ADDRESS, DUPLICATE_NUMBER, isFaultless, linkParameters, ownAddresses, preferring, removeLink } from "../src/logic/links";

describe("the link editor", () => {
  it("gives a new row the lowest free number and the first unused address", () => {
    const links = [
      { number: 0, address: "10.0.0.1" },
      { number: 2, address: "10.2.0.1" },
    ];
    expect(addLink(links, ["10.0.0.1", "10.1.0.1"]).at(-1)).toEqual({ number: 1, address: "10.1.0.1" });
  });

  it("has at most eight rows and at least one", () => {
    let links = addLink([], []);
    expect(removeLink(links, 0)).toHaveLength(1);
    for (let round = 0; round < 10; round += 1) links = addLink(links, []);
    expect(links.map((link) => link.number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(removeLink(links, 3).map((link) => link.number)).toEqual([0, 1, 2, 4, 5, 6, 7]);
  });

  it("refuses a number or an address twice", () => {
    const faults = checkLinks([
      { number: 1, address: "10.0.0.1" },
      { number: 1, address: " 10.0.0.1" },
    ]);
    expect(faults).toEqual(Array(2).fill({ number: DUPLICATE_NUMBER, address: DUPLICATE_ADDRESS }));
  });

  it("takes names and both kinds of address, and nothing else", () => {
    const check = (address: string) => isFaultless(checkLinks([{ number: 0, address }]));
    expect(["10.0.0.1", "fd00::1", "node-1.example.org"].map(check)).toEqual([true, true, true]);
    expect(["10.0.0", "10.0.0.256", "-x", "a b", "fd00::zz", ""].map(check)).toEqual(Array(6).fill(false));
  });

  it("lets the only link be empty where the cluster allows it", () => {
    const links = [{ number: 0, address: "" }];
    expect(isFaultless(checkLinks(links, true))).toBe(true);
    expect(linkParameters(links)).toEqual({});
    expect(linkParameters([{ number: 3, address: " 10.0.0.1 " }])).toEqual({ link3: "10.0.0.1" });
  });

  it("offers this node's addresses by interface name", () => {
    const interfaces = [
      { iface: "eth10", type: "eth", address: "10.1.0.1" },
      { iface: "eth2", type: "eth", address: "10.0.0.1", address6: "fd00::1" },
    ];
    expect(ownAddresses(interfaces).map(({ address }) => address)).toEqual(["10.0.0.1", "fd00::1", "10.1.0.1"]);
  });

  it("begins with the address of the node's host name, whatever its interface is called", () => {
    const own = [
      { address: "10.9.0.1", iface: "ens1" },
      { address: "10.0.0.1", iface: "vmbr0" },
    ];
    const first = (ip: string | undefined) => addLink([], preferring(own, ip).map(({ address }) => address))[0]?.address;
    expect(first("10.0.0.1")).toBe("10.0.0.1");
    expect(first("192.0.2.1")).toBe("192.0.2.1"); // not listed, as in a container
    expect(["127.0.1.1", "::1", "0.0.0.0", undefined, ""].map(first)).toEqual(Array(5).fill("10.9.0.1"));
    expect(preferring(own, "10.0.0.1")).toHaveLength(2);
  });
});
