/* What the compiler must refuse: calls that the API does not declare. Only type-checked, never run. */

import { change, get } from "../src/api/client";

export async function refused(): Promise<void> {
  // @ts-expect-error there is no such path
  await get("/nodes/{node}/stat", { node: "n1" });
  // @ts-expect-error a parameter of the path is missing
  await get("/nodes/{node}/status", {});
  // @ts-expect-error a parameter that is not declared
  await get("/cluster/log", { most: 5 });
  // @ts-expect-error a value that is not declared
  await get("/nodes/{node}/rrddata", { node: "n1", timeframe: "minute" });
  // @ts-expect-error the path has no such method
  await change("DELETE", "/cluster/options", {});
  // @ts-expect-error a required parameter of the body is missing
  await change("POST", "/cluster/config/join", { hostname: "10.0.0.1", fingerprint: "AA" });
  // @ts-expect-error the result has no such property
  void (await get("/cluster/quorum", {})).quorum;
}

/** And what it must take: booleans for flags, optional parameters that are undefined. */
export async function taken(): Promise<string> {
  await change("PUT", "/access/acl", { path: "/", roles: "NoAccess", users: undefined, propagate: true, delete: 0 });
  return await change("POST", "/cluster/config", { clustername: "c", link0: "10.0.0.1" });
}
