/* The tabs of the datacenter. Those that need more rights than the user has are not there. */

import { Spinner, Tab, Tabs, TabTitleText, Title } from "@patternfly/react-core";
import { Suspense, type ReactElement } from "react";

import type { Live } from "../api/live";
import { may } from "../api/session";
import { go } from "../app/useRoute";
import { Boundary } from "../shared/Boundary";
import { lazy } from "../shared/lazy";
import { useTabInView } from "../shared/useTabInView";
import { Summary } from "./Summary";

const Cluster = lazy(() => import("./Cluster"));
const Options = lazy(() => import("./Options"));
const Users = lazy(() => import("../access/Users"));
const Tokens = lazy(() => import("../access/Tokens"));
const Groups = lazy(() => import("../access/Groups"));
const Roles = lazy(() => import("../access/Roles"));
const Permissions = lazy(() => import("../access/Permissions"));
const TaskList = lazy(() => import("../tasks/TaskList"));
const ClusterLog = lazy(() => import("../tasks/ClusterLog"));

export function DatacenterPage({ tab, live }: { tab: string; live: Live }): ReactElement {
  const audit = may("dc", "Sys.Audit");
  const tabs: [key: string, label: string, show: () => ReactElement][] = [["summary", "Summary", () => <Summary live={live} />]];
  if (audit) {
    tabs.push(["cluster", "Cluster", () => <Cluster live={live} />]);
    tabs.push(["options", "Options", () => <Options />]);
  }
  tabs.push(["tasks", "Tasks", () => <TaskList tasks={live.tasks} />]);
  tabs.push(["log", "Cluster log", () => <ClusterLog />]);
  tabs.push(["users", "Users", () => <Users />]);
  tabs.push(["tokens", "API Tokens", () => <Tokens />]);
  tabs.push(["groups", "Groups", () => <Groups />]);
  tabs.push(["roles", "Roles", () => <Roles />]);
  tabs.push(["permissions", "Permissions", () => <Permissions />]);
  const present = tabs.find(([key]) => key === tab) ?? tabs[0];
  useTabInView(present?.[0]);
  return (
    <>
      <Title headingLevel="h1" size="xl">
        Datacenter{live.cluster && ` (${live.cluster.name})`}
      </Title>
      <Tabs
        activeKey={present?.[0]}
        onSelect={(_, key) => go({ place: "datacenter", tab: String(key) })}
        aria-label="Datacenter"
        component="nav"
      >
        {tabs.map(([key, label]) => (
          <Tab key={key} eventKey={key} tabContentId="tab-content" href={`#/datacenter/${key}`} title={<TabTitleText>{label}</TabTitleText>} />
        ))}
      </Tabs>
      <div className="q-tab" id="tab-content">
        <Boundary place={present?.[0]} what={`The tab ${present?.[1]}`}>
          <Suspense fallback={<Spinner className="q-waiting" aria-label="Loading the tab" />}>{present?.[2]()}</Suspense>
        </Boundary>
      </div>
    </>
  );
}
