/* The quorum device as this node sees it. */

import {
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
} from "@patternfly/react-core";
import type { ReactElement } from "react";

import { usePolled } from "../api/hooks";
import { Failure } from "../shared/Failure";

export function QuorumDevice(): ReactElement {
  const device = usePolled("/cluster/config/qdevice", {}, 15);
  const entries = Object.entries(device.data ?? {});
  return (
    <Card isCompact>
      <CardTitle component="h2">Quorum Device</CardTitle>
      <CardBody>
        <Failure failure={device.failure} title="The quorum device's state could not be read" />
        {device.data && entries.length === 0 && <p className="q-subtle">No quorum device is set up on this node.</p>}
        <DescriptionList isHorizontal isCompact isFluid>
          {entries.map(([term, value]) => (
            <DescriptionListGroup key={term}>
              <DescriptionListTerm>{term}</DescriptionListTerm>
              <DescriptionListDescription>{value}</DescriptionListDescription>
            </DescriptionListGroup>
          ))}
        </DescriptionList>
      </CardBody>
    </Card>
  );
}
