/* Every link from every node's view: state and latency. Only nodes that are online are asked. */

import { Card, CardBody, CardTitle, Label } from "@patternfly/react-core";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useEffect, useState, type ReactElement } from "react";

import { get } from "../api/client";
import { asFailure, type ApiFailure } from "../api/failure";
import type { ConfigNode, LinkState, NodeEntry } from "../api/model";
import { milliseconds } from "../logic/format";
import { Failure } from "../shared/Failure";

const PERIOD_MS = 5000;

interface Views {
  links: Readonly<Record<string, readonly LinkState[]>>;
  failures: Readonly<Record<string, ApiFailure>>;
}

interface Props {
  members: readonly NodeEntry[];
  config: readonly ConfigNode[];
}

export function LinkMatrix({ members, config }: Props): ReactElement {
  const online = members.filter((member) => member.online).map((member) => member.name);
  const views = useViews(online.join(" "));
  const numbers = [...new Set(Object.values(views.links).flatMap((links) => links.map((link) => link.link)))].sort();
  const names = members.map((member) => member.name);
  return (
    <Card isCompact>
      <CardTitle component="h2">Links</CardTitle>
      <CardBody className="q-tab">
        {Object.entries(views.failures).map(([node, failure]) => (
          <Failure key={node} failure={failure} title={`The links of ${node} could not be read`} />
        ))}
        {numbers.length === 0 && <p className="q-subtle">There is no link to another node yet.</p>}
        {numbers.map((number) => (
          <div key={number} className="q-matrix">
            <Table aria-label={`Link ${number}`} variant="compact" gridBreakPoint="">
              <caption>
                Link {number}, priority {priorityOf(views, number)}: {addresses(config, number)}
              </caption>
              <Thead>
                <Tr>
                  <Th>Seen by</Th>
                  {names.map((name) => (
                    <Th key={name}>to {name}</Th>
                  ))}
                </Tr>
              </Thead>
              <Tbody>
                {names.map((from) => (
                  <Tr key={from}>
                    <Th>{from}</Th>
                    {names.map((to) => (
                      <Td key={to}>
                        <Cell from={from} to={to} number={number} views={views} />
                      </Td>
                    ))}
                  </Tr>
                ))}
              </Tbody>
            </Table>
          </div>
        ))}
      </CardBody>
    </Card>
  );
}

interface CellProps {
  from: string;
  to: string;
  number: number;
  views: Views;
}

function Cell({ from, to, number, views }: CellProps): ReactElement {
  if (from === to) return <span className="q-subtle">–</span>;
  const seen = views.links[from];
  if (!seen) return <span className="q-subtle">not asked</span>;
  const link = seen.find((entry) => entry.node === to && entry.link === number);
  if (!link) return <span className="q-subtle">none</span>;
  if (!link.connected) {
    return <Label isCompact status="danger" icon={<ExclamationCircleIcon />}>down</Label>;
  }
  return <Label isCompact status="success" icon={<CheckCircleIcon />}>up {milliseconds(link.latency)}</Label>;
}

function priorityOf(views: Views, number: number): string {
  const found = Object.values(views.links).flat().find((link) => link.link === number);
  return found ? String(found.priority) : "–";
}

function addresses(config: readonly ConfigNode[], number: number): string {
  return config.map((node) => `${node.name} ${node[`ring${number}_addr`] ?? "–"}`).join(", ");
}

/** Asked one by one: a node that hangs holds up its own row alone. */
function useViews(online: string): Views {
  const [views, setViews] = useState<Views>({ links: {}, failures: {} });
  useEffect(() => {
    const abort = new AbortController();
    const names = online === "" ? [] : online.split(" ");
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = async (): Promise<void> => {
      const links: Record<string, LinkState[]> = {};
      const failures: Record<string, ApiFailure> = {};
      await Promise.all(
        names.map(async (name) => {
          try {
            links[name] = await get("/nodes/{node}/corosync/links", { node: name }, { signal: abort.signal });
          } catch (error) {
            failures[name] = asFailure(error);
          }
        }),
      );
      if (abort.signal.aborted) return;
      setViews({ links, failures });
      timer = setTimeout(() => void read(), PERIOD_MS);
    };
    void read();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [online]);
  return views;
}
