/* Names for what the API answers, as these pages use it. The types themselves are the server's declarations. */

import type { ResultOf } from "./operations";

type Row<T> = T extends readonly (infer R)[] ? R : never;
/** With `K` there: the document cannot say on what it depends that they are. */
type With<T, K extends keyof T> = T & { [P in K]-?: Exclude<T[P], undefined> };

export type LoginData = With<ResultOf<"POST", "/access/ticket">, "ticket">;
/** Per area the privileges that the user has somewhere in it. */
export type Capabilities = NonNullable<LoginData["cap"]>;
export type Realm = Row<ResultOf<"GET", "/access/domains">>;

/** A row is one of the two, by its type. */
export type StatusEntry = Row<ResultOf<"GET", "/cluster/status">>;
export type ClusterEntry = With<StatusEntry, "version" | "nodes" | "quorate"> & { type: "cluster" };
export type NodeEntry = With<StatusEntry, "nodeid" | "local" | "online"> & { type: "node" };

export type Resource = Row<ResultOf<"GET", "/cluster/resources">>;
export type Task = Row<ResultOf<"GET", "/cluster/tasks">> | NodeTask;
export type NodeTask = Row<ResultOf<"GET", "/nodes/{node}/tasks">>;
export type JournalEntry = Row<ResultOf<"GET", "/nodes/{node}/journal">>;
export type ClusterLogEntry = Row<ResultOf<"GET", "/cluster/log">>;

/** A node section of corosync.conf: all values are strings. */
export type ConfigNode = Row<ResultOf<"GET", "/cluster/config/nodes">>;
export type JoinAnswer = ResultOf<"GET", "/cluster/config/join">;
export type JoinNode = Row<JoinAnswer["nodelist"]>;
export type QuorumData = ResultOf<"GET", "/cluster/quorum">;
/** One link from the asked node to another; latencies are microseconds there and back. */
export type LinkState = Row<ResultOf<"GET", "/nodes/{node}/corosync/links">>;
export type ClusterOptions = ResultOf<"GET", "/cluster/options">;

export type NodeStatus = ResultOf<"GET", "/nodes/{node}/status">;
export type NetworkInterface = Row<ResultOf<"GET", "/nodes/{node}/network">>;
export type Service = Row<ResultOf<"GET", "/nodes/{node}/services">>;
export type Certificate = Row<ResultOf<"GET", "/nodes/{node}/certificates/info">>;

export type User = Row<ResultOf<"GET", "/access/users">>;
export type Token = Row<NonNullable<User["tokens"]>>;
export type Group = Row<ResultOf<"GET", "/access/groups">>;
export type Role = Row<ResultOf<"GET", "/access/roles">>;
export type AclEntry = Row<ResultOf<"GET", "/access/acl">>;
/** The QDevice as one node sees it. */
export type DeviceView = ResultOf<"GET", "/nodes/{node}/corosync/qdevice">;
export type TaskStep = Row<NonNullable<ResultOf<"GET", "/nodes/{node}/tasks/{upid}/status">["steps"]>>;
