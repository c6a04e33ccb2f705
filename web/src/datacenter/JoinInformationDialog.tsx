/* Join Information: what one copies here and pastes on the node that shall join. */

import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import type { ReactElement } from "react";

import type { JoinAnswer } from "../api/model";
import { encodeJoinInformation } from "../logic/joinInformation";
import { CopyButton } from "../shared/Copy";
import { AreaField, TextField } from "../shared/fields";

export function JoinInformationDialog({ answer, onClose }: { answer: JoinAnswer; onClose: () => void }): ReactElement {
  const node = answer.nodelist.find((entry) => entry.name === answer.preferred_node);
  const text = encodeJoinInformation(answer);
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="join-information">
      <ModalHeader
        title="Cluster Join Information"
        labelId="join-information"
        description="Copy the Join Information here and use it on the node you want to add."
      />
      <ModalBody>
        <Form onSubmit={(event) => event.preventDefault()}>
          <TextField label="IP Address" value={node?.pve_addr ?? ""} onChange={() => undefined} isReadOnly />
          <TextField label="Fingerprint" value={node?.pve_fp ?? ""} onChange={() => undefined} isReadOnly />
          <AreaField label="Join Information" value={text} onChange={() => undefined} isReadOnly rows={7} />
        </Form>
      </ModalBody>
      <ModalFooter>
        <CopyButton text={text} label="Copy Information" />
        <Button variant="link" onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}
