/* The certificates that a node has, as it shows them to browsers and to other nodes. */

import { Card, CardBody, CardTitle, DescriptionList, DescriptionListDescription, DescriptionListGroup, DescriptionListTerm } from "@patternfly/react-core";
import type { ReactElement } from "react";

import { usePolled } from "../api/hooks";
import type { Certificate } from "../api/model";
import { time } from "../logic/format";
import { Failure } from "../shared/Failure";

export default function Certificates({ node }: { node: string }): ReactElement {
  const certificates = usePolled("/nodes/{node}/certificates/info", { node }, 60);
  return (
    <>
      <Failure failure={certificates.failure} title="The certificates could not be read" />
      {certificates.data?.map((certificate) => (
        <Card key={certificate.filename} isCompact>
          <CardTitle component="h2">{certificate.filename}</CardTitle>
          <CardBody>
            <DescriptionList isHorizontal isCompact isFluid>
              {rowsOf(certificate).map(([term, value]) => (
                <DescriptionListGroup key={term}>
                  <DescriptionListTerm>{term}</DescriptionListTerm>
                  <DescriptionListDescription className="q-mono">{value}</DescriptionListDescription>
                </DescriptionListGroup>
              ))}
            </DescriptionList>
          </CardBody>
        </Card>
      ))}
    </>
  );
}

function rowsOf(certificate: Certificate): [string, string][] {
  const key = certificate["public-key-type"];
  const bits = certificate["public-key-bits"];
  return [
    ["Subject", certificate.subject],
    ["Issuer", certificate.issuer],
    ["Names", certificate.san.join(", ")],
    ["Valid from", time(certificate.notbefore)],
    ["Valid until", time(certificate.notafter)],
    ["Key", key ? `${key}${bits ? ` ${bits}` : ""}` : "–"],
    ["Fingerprint", certificate.fingerprint],
  ];
}
