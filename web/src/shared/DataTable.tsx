/* A table of rows with their actions; on a narrow screen every row becomes a block with labels. */

import { Bullseye, Button, EmptyState, EmptyStateBody, Spinner } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState, type ReactElement, type ReactNode } from "react";

import { RowMenu, type RowAction } from "./RowMenu";

export interface Column<T> {
  label: string;
  show: (row: T) => ReactNode;
  /** What to sort by; no sorting without it. */
  by?: (row: T) => string | number;
  /** Long text that may be broken anywhere. */
  isLong?: boolean;
}

/** So many rows are shown at first: a thousand take a browser seconds, each time one of them changes. */
const STEP = 100;

interface Props<T> {
  label: string;
  columns: readonly Column<T>[];
  /** Undefined until they are there. */
  rows: readonly T[] | undefined;
  /** They could not be read, which is told elsewhere: nothing is waited for, and nothing is said to be empty. */
  hasFailed?: boolean;
  rowKey: (row: T) => string;
  empty: string;
  actions?: (row: T) => RowAction[];
  /** What a screen reader calls a row; its key unless given. */
  rowName?: (row: T) => string;
  onOpen?: (row: T) => void;
  openLabel?: (row: T) => string;
  /** A short cut for what the row offers by a button as well. */
  onDoubleClick?: ((row: T) => void) | undefined;
}

export function DataTable<T>(props: Props<T>): ReactElement | null {
  const [sort, setSort] = useState<{ index: number; direction: "asc" | "desc" }>();
  const [limit, setLimit] = useState(STEP);
  if (props.rows === undefined) {
    if (props.hasFailed) return null;
    return (
      <Bullseye className="q-waiting">
        <Spinner size="lg" aria-label={`Loading ${props.label}`} />
      </Bullseye>
    );
  }
  if (props.rows.length === 0) {
    return (
      <EmptyState variant="xs">
        <EmptyStateBody>{props.empty}</EmptyStateBody>
      </EmptyState>
    );
  }
  const rows = sorted(props.rows, sort && props.columns[sort.index]?.by, sort?.direction);
  return (
    <>
      <Table aria-label={props.label} variant="compact" gridBreakPoint="grid-md">
        <Thead>
          <Tr>
            {props.columns.map((column, index) => (
              <Th
                key={column.label}
                modifier="nowrap"
                sort={
                  column.by && {
                    columnIndex: index,
                    sortBy: sort ?? {},
                    onSort: (_, __, direction) => setSort({ index, direction }),
                  }
                }
              >
                {column.label}
              </Th>
            ))}
            {props.actions && <Th screenReaderText="Actions" />}
          </Tr>
        </Thead>
        <Tbody>
          {rows.slice(0, limit).map((row) => {
            const open = props.onOpen;
            const name = (props.rowName ?? props.rowKey)(row);
            return (
              <Tr
                key={props.rowKey(row)}
                isClickable={open !== undefined}
                onRowClick={open ? () => open(row) : undefined}
                onDoubleClick={() => props.onDoubleClick?.(row)}
                aria-label={open ? props.openLabel?.(row) : undefined}
              >
                {props.columns.map((column) => (
                  <Td key={column.label} dataLabel={column.label} modifier={column.isLong ? "breakWord" : undefined}>
                    {column.show(row)}
                  </Td>
                ))}
                {props.actions && (
                  <Td isActionCell>
                    <RowMenu row={name} actions={props.actions(row)} />
                  </Td>
                )}
              </Tr>
            );
          })}
        </Tbody>
      </Table>
      {rows.length > limit && (
        <p>
          <span aria-live="polite">
            The first {limit} of {rows.length} are shown.
          </span>{" "}
          <Button variant="link" isInline onClick={() => setLimit(limit + STEP)}>
            Show more
          </Button>
        </p>
      )}
    </>
  );
}

function sorted<T>(
  rows: readonly T[],
  by: ((row: T) => string | number) | undefined,
  direction: "asc" | "desc" = "asc",
): readonly T[] {
  if (!by) return rows;
  const sign = direction === "asc" ? 1 : -1;
  return [...rows].sort((one, other) => sign * compare(by(one), by(other)));
}

function compare(one: string | number, other: string | number): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), undefined, { numeric: true });
}
