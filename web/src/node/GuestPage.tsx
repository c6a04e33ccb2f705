/* One guest: its state and figures. Managing guests is another program's business. */

import { Card, CardBody, DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm, Title } from "@patternfly/react-core";
import type { ReactElement } from "react";

import type { Live } from "../api/live";
import { bytes, duration, percent } from "../logic/format";
import { GuestState } from "../shared/Status";

export default function GuestPage({ id, live }: { id: string; live: Live }): ReactElement {
  const guest = live.resources.find((resource) => resource.id === id);
  if (!guest) return <p>{live.ready ? `There is no guest ${id}, or you may not see it.` : "Loading …"}</p>;
  const rows: [string, string][] = [
    ["Node", guest.node ?? "–"],
    ["CPU", `${percent(guest.cpu)} of ${guest.maxcpu ?? "?"}`],
    ["Memory", `${bytes(guest.mem)} of ${bytes(guest.maxmem)}`],
    ["Disk", bytes(guest.maxdisk)],
    ["Uptime", duration(guest.uptime || undefined)],
    ["Lock", guest.lock ?? "none"],
    ["Tags", guest.tags?.replaceAll(";", ", ") || "none"],
  ];
  return (
    <>
      <div className="q-heading">
        <Title headingLevel="h1" size="xl">
          {guest.type === "lxc" ? "Container" : "Virtual machine"} {guest.vmid} {guest.name && `(${guest.name})`}
        </Title>
        <GuestState status={guest.status} />
      </div>
      <div className="q-tab">
        <Card isCompact>
          <CardBody>
            <DescriptionList isHorizontal isCompact isFluid>
              {rows.map(([term, value]) => (
                <DescriptionListGroup key={term}>
                  <DescriptionListTerm>{term}</DescriptionListTerm>
                  <DescriptionListDescription>{value}</DescriptionListDescription>
                </DescriptionListGroup>
              ))}
            </DescriptionList>
          </CardBody>
        </Card>
      </div>
    </>
  );
}
