/* What the API answers, as far as these pages read it. The server's declarations are the authority. */

/** Booleans are 0 and 1 on the wire. */
export type Flag = 0 | 1;

export interface LoginData {
  username: string;
  ticket: string;
  CSRFPreventionToken: string;
  cap?: Capabilities;
  clustername?: string;
  NeedTFA?: Flag;
}

/** Per area the privileges that the user has somewhere in it. */
export type Capabilities = Partial<Record<string, Partial<Record<string, Flag>>>>;

export interface Realm {
  realm: string;
  type: string;
  comment?: string;
  default?: Flag;
}

export interface ClusterEntry {
  type: "cluster";
  id: string;
  name: string;
  version: number;
  nodes: number;
  quorate: Flag;
}

export interface NodeEntry {
  type: "node";
  id: string;
  name: string;
  nodeid: number;
  ip?: string;
  local: Flag;
  online: Flag;
}

export type StatusEntry = ClusterEntry | NodeEntry;

export interface Resource {
  id: string;
  type: string;
  node?: string;
  name?: string;
  vmid?: number;
  status?: string;
  template?: Flag;
  cpu?: number;
  maxcpu?: number;
  mem?: number;
  maxmem?: number;
  disk?: number;
  maxdisk?: number;
  uptime?: number;
  tags?: string;
  lock?: string;
}

export interface Task {
  upid: string;
  node: string;
  type: string;
  id: string;
  user: string;
  tokenid?: string;
  starttime: number;
  endtime?: number;
  status?: string;
}

export interface TaskStatus {
  upid: string;
  node: string;
  type: string;
  id: string;
  user: string;
  starttime: number;
  status: "running" | "stopped";
  exitstatus?: string;
}

export interface LogLine {
  n: number;
  t: string;
}

export interface ClusterLogEntry {
  id: string;
  uid: number;
  time: number;
  pri: number;
  tag: string;
  pid: number;
  node: string;
  user: string;
  msg: string;
}

/** A node section of corosync.conf: all values are strings. */
export type ConfigNode = Record<string, string> & { node: string; name: string; nodeid: string };

export interface Totem {
  cluster_name?: string;
  config_version?: string;
  interface?: Record<string, { linknumber?: string }>;
  [key: string]: unknown;
}

export interface JoinNode {
  name: string;
  nodeid: string;
  pve_addr: string;
  pve_fp: string;
  [key: string]: string;
}

export interface JoinAnswer {
  nodelist: JoinNode[];
  preferred_node: string;
  totem: Totem;
  config_digest: string;
}

export interface NetworkInterface {
  iface: string;
  type: string;
  method?: string;
  method6?: string;
  address?: string;
  cidr?: string;
  gateway?: string;
  address6?: string;
  cidr6?: string;
  gateway6?: string;
  active?: Flag;
  autostart?: Flag;
  bridge_ports?: string;
  slaves?: string;
  comments?: string;
}

export interface NodeStatus {
  uptime: number;
  loadavg?: string[];
  kversion?: string;
  cpu?: number;
  wait?: number;
  cpuinfo?: { model?: string; sockets?: number; cores?: number; cpus?: number };
  memory?: { total: number; used: number; free: number };
  swap?: { total: number; used: number; free: number };
  rootfs?: { total: number; used: number; avail: number };
  pveversion?: string;
}

export interface Service {
  service: string;
  name: string;
  desc: string;
  state: string;
  "active-state"?: string;
  "unit-state"?: string;
}

export interface Certificate {
  filename?: string;
  fingerprint?: string;
  subject?: string;
  issuer?: string;
  san?: string[];
  notbefore?: number;
  notafter?: number;
  "public-key-type"?: string;
  "public-key-bits"?: number;
}

export interface User {
  userid: string;
  enable?: Flag;
  expire?: number;
  firstname?: string;
  lastname?: string;
  email?: string;
  comment?: string;
  groups?: string;
  "realm-type"?: string;
  tokens?: Token[];
}

export interface Token {
  tokenid: string;
  privsep?: Flag;
  expire?: number;
  comment?: string;
}

export interface Group {
  groupid: string;
  comment?: string;
  users?: string;
}

export interface Role {
  roleid: string;
  privs?: string;
  special?: Flag;
}

export interface AclEntry {
  path: string;
  type: "user" | "group" | "token";
  ugid: string;
  roleid: string;
  propagate?: Flag;
}

export interface SecondFactor {
  id: string;
  type: string;
  description?: string;
  created?: number;
  enable?: Flag;
}

/** `GET /cluster/quorum`: the votes as Corosync counts them. */
export interface QuorumData {
  clustered: Flag;
  quorate: Flag;
  votes: number;
  expected: number;
  needed: number;
  flags: string[];
  nodes: { name: string; nodeid: number; votes: number; state: string }[];
  qdevice?: { name: string; votes: number; alive: Flag; votes_for_us: Flag };
}

/** `GET /nodes/{node}/corosync/links`: one link from that node to another. */
export interface LinkState {
  node: string;
  nodeid: number;
  link: number;
  address?: string;
  local_address?: string;
  priority: number;
  enabled: Flag;
  connected: Flag;
  /** Microseconds there and back. */
  latency?: number;
  up_count?: number;
  down_count?: number;
}
