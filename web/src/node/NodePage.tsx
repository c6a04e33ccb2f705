/* The tabs of one node. Any node's page serves them: requests go on to the node that is meant. */

import { Spinner, Tab, Tabs, TabTitleText, Title } from "@patternfly/react-core";
import { Suspense, type ReactElement } from "react";

import type { Live } from "../api/live";
import { may } from "../api/session";
import { go } from "../app/useRoute";
import { Boundary } from "../shared/Boundary";
import { lazy } from "../shared/lazy";
import { NodeState } from "../shared/Status";
import { useTabInView } from "../shared/useTabInView";
import Summary from "./NodeSummary";

const Network = lazy(() => import("./Network"));
const Services = lazy(() => import("./Services"));
const History = lazy(() => import("./TaskHistory"));
const SystemLog = lazy(() => import("./SystemLog"));
const Shell = lazy(() => import("./Shell"), true);
const Certificates = lazy(() => import("./Certificates"));

export default function NodePage({ node, tab, live }: { node: string; tab: string; live: Live }): ReactElement {
  const member = live.members.find((entry) => entry.name === node);
  const tabs: [key: string, label: string, show: () => ReactElement][] = [
    ["summary", "Summary", () => <Summary node={node} />],
    ["network", "Network", () => <Network node={node} />],
    ["services", "Services", () => <Services node={node} />],
    ["tasks", "Task History", () => <History node={node} />],
    ["syslog", "System Log", () => <SystemLog node={node} />],
    ["certificates", "Certificates", () => <Certificates node={node} />],
  ];
  if (may("nodes", "Sys.Console")) tabs.splice(1, 0, ["shell", "Shell", () => <Shell node={node} />]);
  const present = tabs.find(([key]) => key === tab) ?? tabs[0];
  useTabInView(present?.[0]);
  return (
    <>
      <div className="q-heading">
        <Title headingLevel="h1" size="xl">
          Node {node}
        </Title>
        {member && <NodeState status={member.online ? "online" : "offline"} />}
      </div>
      <Tabs
        activeKey={present?.[0]}
        onSelect={(_, key) => go({ place: "node", node, tab: String(key) })}
        aria-label={`Node ${node}`}
        component="nav"
      >
        {tabs.map(([key, label]) => (
          <Tab key={key} eventKey={key} tabContentId="tab-content" href={`#/node/${encodeURIComponent(node)}/${key}`} title={<TabTitleText>{label}</TabTitleText>} />
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
