/* The frame around every page: head, tree, content, tasks at the bottom. */

import { Alert, Page, PageSidebar, PageSidebarBody, Spinner } from "@patternfly/react-core";
import { Suspense, useCallback, useEffect, useMemo, useState, type ReactElement } from "react";

import { localNode, useLive } from "../api/live";
import type { Session } from "../api/session";
import { formatRoute } from "../logic/route";
import { DatacenterPage } from "../datacenter/DatacenterPage";
import { Boundary } from "../shared/Boundary";
import { lazy, loadAllParts } from "../shared/lazy";
import { Head } from "./Head";
import { TasksContext } from "./tasksContext";
import { Tree } from "./Tree";
import { useRoute } from "./useRoute";

const NodePage = lazy(() => import("../node/NodePage"));
const GuestPage = lazy(() => import("../node/GuestPage"));
const TaskViewer = lazy(() => import("../tasks/TaskViewer"));
const BottomPanel = lazy(() => import("../tasks/BottomPanel"));

/** Below this the tree lies over the page and closes after a choice. */
const NARROW = 1200;

export function Shell({ session }: { session: Session }): ReactElement {
  const route = useRoute();
  const live = useLive();
  const [upid, setUpid] = useState<string>();
  const [isTreeOpen, setTreeOpen] = useState(() => innerWidth >= NARROW);
  const tasks = useMemo(() => ({ open: setUpid }), []);
  const chosen = useCallback(() => {
    if (innerWidth < NARROW) setTreeOpen(false);
  }, []);
  const closeTask = useCallback(() => setUpid(undefined), []);
  useEffect(() => {
    if (live.ready) void loadAllParts();
  }, [live.ready]);
  const title = live.cluster?.name ?? localNode(live);
  useEffect(() => {
    document.title = title ? `${title} - quorate` : "quorate";
  }, [title]);

  return (
    <TasksContext value={tasks}>
      <Page
        masthead={
          <Head
            session={session}
            cluster={live.cluster?.name}
            node={localNode(live)}
            onToggle={() => setTreeOpen((open) => !open)}
            isTreeOpen={isTreeOpen}
          />
        }
        sidebar={
          <PageSidebar isSidebarOpen={isTreeOpen} id="tree">
            <PageSidebarBody>
              {isTreeOpen && <Tree live={live} route={route} onChoose={chosen} />}
            </PageSidebarBody>
          </PageSidebar>
        }
        mainContainerId="content"
        className="q-page"
      >
        <div className="q-content">
          {live.failure && (
            <Alert
              isInline
              variant="warning"
              component="p"
              title={live.failure.isUnreachable ? "The node does not answer; what you see may be old." : "The state could not be read."}
              className="q-failure"
            >
              {live.failure.message}
            </Alert>
          )}
          <Boundary place={formatRoute(route)} what="The page">
            <Suspense fallback={<Spinner className="q-waiting" aria-label="Loading the page" />}>
              {route.place === "datacenter" && <DatacenterPage tab={route.tab} live={live} />}
              {route.place === "node" && <NodePage key={route.node} node={route.node} tab={route.tab} live={live} />}
              {route.place === "guest" && <GuestPage id={route.id} live={live} />}
            </Suspense>
          </Boundary>
        </div>
        <Boundary what="The list of tasks">
          <Suspense fallback={null}>{live.ready && <BottomPanel tasks={live.tasks} />}</Suspense>
        </Boundary>
        {upid !== undefined && (
          <Boundary key={upid} what="The task's log" onClose={closeTask}>
            <Suspense fallback={null}>
              <TaskViewer upid={upid} onClose={closeTask} />
            </Suspense>
          </Boundary>
        )}
      </Page>
    </TasksContext>
  );
}
