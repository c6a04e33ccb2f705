/* What forms send of what is there already. */

import { describe, expect, it } from "vitest";

import type { User } from "../src/api/model";
import { changed, changedGroups } from "../src/logic/changed";
import { additionOf, changeOf, valuesOf } from "../src/logic/userForm";

describe("a changed form", () => {
  const before = { firstname: "Carol", comment: "old", expire: "2030-01-01", enable: true };

  it("sends what was changed, and an emptied field as such", () => {
    expect(changed(before, { ...before, comment: "", enable: false })).toEqual({ comment: "", enable: false });
  });

  it("sends nothing when nothing was", () => {
    expect(changed(before, { ...before })).toEqual({});
  });
});

describe("changed groups", () => {
  it("are not sent when they are the same, however they are written", () => {
    expect(changedGroups("a,b", " b; a,b ")).toEqual({});
    expect(changedGroups("", "")).toEqual({});
  });

  it("are added to those that the user is in by now", () => {
    expect(changedGroups("a", "a, b c")).toEqual({ groups: "b,c", append: true });
  });

  it("are all that remain when one was taken away", () => {
    expect(changedGroups("a,b", "b")).toEqual({ groups: "b" });
    expect(changedGroups("a,b", "b,c")).toEqual({ groups: "b,c" });
    expect(changedGroups("a", "")).toEqual({ groups: "" });
  });
});

describe("the form of a user", () => {
  // Noon of a day, of which the form shows the day alone
  const user: User = { userid: "carol@pve", enable: 1, expire: 1_893_499_200, comment: "old", groups: "a,b", "realm-type": "pve" };
  const former = valuesOf(user);

  it("sends the comment alone when that was changed", () => {
    expect(changeOf(former, { ...former, comment: "new" })).toEqual({ comment: "new" });
    expect(changeOf(former, { ...former, comment: "" })).toEqual({ comment: "" });
  });

  it("sends nothing that was not changed", () => {
    expect(changeOf(former, { ...former, groups: "b, a" })).toEqual({});
  });

  it("sends an end that was taken away, groups, and whether one may log in", () => {
    const values = { ...former, expire: "", groups: "a,b,c", enable: false };
    expect(changeOf(former, values)).toEqual({ expire: 0, groups: "c", append: true, enable: false });
  });

  it("sends of a new user what is filled in", () => {
    expect(additionOf({ ...valuesOf(), firstname: "Carol" })).toEqual({ firstname: "Carol", expire: 0, enable: true });
  });
});
