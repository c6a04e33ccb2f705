/* Every link from every node's view: state, latency, priority. Only nodes that are online are asked. */

import { Alert, Card, CardBody, CardTitle, Label } from "@patternfly/react-core";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import type { ReactElement } from "react";

import type { ConfigNode, NodeEntry } from "../api/model";
import { useNodeViews } from "../api/nodeViews";
import { milliseconds } from "../logic/format";
import { linkMatrices, type Cell, type Matrix } from "../logic/linkMatrix";
import { Failure } from "../shared/Failure";

interface Props {
  members: readonly NodeEntry[];
  config: readonly ConfigNode[];
}

export function LinkMatrix({ members, config }: Props): ReactElement {
  const online = members.filter((member) => member.online).map((member) => member.name);
  const views = useNodeViews("/nodes/{node}/corosync/links", online);
  return (
    <Card isCompact>
      <CardTitle component="h2">Links</CardTitle>
      <CardBody className="q-tab">
        {Object.entries(views).map(([node, { failure }]) => (
          <Failure key={node} failure={failure} title={`The links of ${node} could not be read`} />
        ))}
        {members.length < 2 && <p className="q-subtle">There is no link to another node yet.</p>}
        {members.length > 1 &&
          linkMatrices(members, config, views).map((matrix) => <LinkTable key={matrix.number} matrix={matrix} />)}
      </CardBody>
    </Card>
  );
}

function LinkTable({ matrix }: { matrix: Matrix }): ReactElement {
  const { number, rows, addresses, disagreement } = matrix;
  return (
    <div className="q-matrix">
      {disagreement !== undefined && (
        <Alert
          isInline
          variant="warning"
          component="p"
          title={`The nodes do not agree on the priority of link ${number}: ${disagreement}. They may send over different links.`}
        />
      )}
      <Table aria-label={`Link ${number}`} variant="compact" gridBreakPoint="">
        <caption>
          Link {number}
          {matrix.priority !== undefined && `, priority ${matrix.priority}`}: {addresses.join(", ")}
        </caption>
        <Thead>
          <Tr>
            <Th>Seen by</Th>
            <Th>Priority</Th>
            {rows.map((row) => (
              <Th key={row.from}>to {row.from}</Th>
            ))}
          </Tr>
        </Thead>
        <Tbody>
          {rows.map((row) => (
            <Tr key={row.from}>
              <Th scope="row">{row.from}</Th>
              <Td>{row.priority ?? "–"}</Td>
              {row.cells.map((cell, index) => (
                <Td key={rows[index]?.from}>
                  <CellLabel cell={cell} />
                </Td>
              ))}
            </Tr>
          ))}
        </Tbody>
      </Table>
    </div>
  );
}

const WORDS = { self: "–", offline: "node is off", waiting: "asking …", silent: "no answer", none: "none", off: "not in use" };

function CellLabel({ cell }: { cell: Cell }): ReactElement {
  if (cell.kind === "up") {
    return <Label isCompact status="success" icon={<CheckCircleIcon />}>up {milliseconds(cell.latency)}</Label>;
  }
  if (cell.kind === "down") return <Label isCompact status="danger" icon={<ExclamationCircleIcon />}>down</Label>;
  return <span className="q-subtle">{WORDS[cell.kind]}</span>;
}
