/* The form of a user: what it shows, and what is sent of it. */

import type { User } from "../api/model";
import { changed, changedGroups } from "./changed";
import { dateOf, epochOf } from "./dates";

export interface UserValues {
  firstname: string;
  lastname: string;
  email: string;
  comment: string;
  /** Names with commas between. */
  groups: string;
  /** A day; empty: never. */
  expire: string;
  enable: boolean;
}

/** Of a new user unless one is given. */
export function valuesOf(user?: User): UserValues {
  return {
    firstname: user?.firstname ?? "",
    lastname: user?.lastname ?? "",
    email: user?.email ?? "",
    comment: user?.comment ?? "",
    groups: user?.groups ?? "",
    expire: dateOf(user?.expire),
    enable: user?.enable !== 0,
  };
}

interface UserChange extends Partial<Omit<UserValues, "expire">> {
  expire?: number;
  append?: true;
}

/** Of a new user: what is filled in. */
export function additionOf(values: UserValues): UserChange {
  const { expire, ...others } = values;
  const given = Object.entries(others).filter(([, value]) => value !== "");
  return { ...(Object.fromEntries(given) as Partial<typeof others>), expire: epochOf(expire) ?? 0 };
}

/** Of a user whom the form found as `former`: what was changed in it, emptied fields as such. */
export function changeOf(former: UserValues, values: UserValues): UserChange {
  const { expire, ...others } = changed({ ...former, groups: "" }, { ...values, groups: "" });
  const day = expire === undefined ? undefined : epochOf(expire);
  return { ...others, ...(day === undefined ? {} : { expire: day }), ...changedGroups(former.groups, values.groups) };
}
