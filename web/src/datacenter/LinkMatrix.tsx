/* Every link from every node's view. */

import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import type { ReactElement } from "react";

import type { ConfigNode, NodeEntry } from "../api/model";

export function LinkMatrix(_props: { members: readonly NodeEntry[]; config: readonly ConfigNode[] }): ReactElement {
  return (
    <Card isCompact>
      <CardTitle component="h2">Links</CardTitle>
      <CardBody />
    </Card>
  );
}
