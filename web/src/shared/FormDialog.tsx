/* A dialog with a form: Enter sends, Escape asks nothing that was not changed, failures stay in view. */

import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useEffect, useId, useRef, type ReactElement, type ReactNode } from "react";

import { hasExpired } from "../api/session";
import { Failure } from "./Failure";
import { useFocusBack } from "./useFocusBack";
import { useSubmit } from "./useSubmit";

interface Props {
  title: string;
  description?: ReactNode;
  submitLabel: string;
  /** Fails by throwing; the dialog closes when it returns, unless it says "stay". */
  onSubmit: () => Promise<"stay" | undefined>;
  onClose: () => void;
  canSubmit?: boolean;
  isDanger?: boolean;
  size?: "small" | "medium" | "large";
  /** Parameters whose texts the fields show themselves, from `fieldFaults`. */
  children: (fields: Readonly<Record<string, string>>) => ReactNode;
  /** Parameters that have a field, so that their texts are not shown twice. */
  fields?: readonly string[];
}

export function FormDialog(props: Props): ReactElement {
  const id = useId();
  useFocusBack();
  const submit = useSubmit();
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    // The field may lie outside of what one sees of a long form
    if (submit.failure) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [submit.failure]);
  const can = (props.canSubmit ?? true) && !submit.busy;
  const close = (): void => {
    // Escape reaches all dialogs, also this one below the login that a session's end asks for
    if (!submit.busy && !hasExpired()) props.onClose();
  };
  const send = async (): Promise<void> => {
    if (!can) return;
    let next: "stay" | undefined;
    const done = await submit.run(async () => {
      next = await props.onSubmit();
    });
    if (done && next !== "stay") props.onClose();
  };
  return (
    <Modal
      isOpen
      variant={props.size ?? "small"}
      onClose={close}
      aria-labelledby={`${id}-title`}
      aria-describedby={props.description ? `${id}-text` : undefined}
    >
      <ModalHeader
        title={props.title}
        labelId={`${id}-title`}
        description={props.description}
        descriptorId={`${id}-text`}
        titleIconVariant={props.isDanger ? "warning" : undefined}
      />
      <ModalBody>
        <Form
          id={`${id}-form`}
          ref={form}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          <Failure failure={submit.failure} title={`${props.submitLabel} failed`} shown={props.fields ?? []} />
          {props.children(submit.failure?.fields ?? {})}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          type="submit"
          form={`${id}-form`}
          variant={props.isDanger ? "danger" : "primary"}
          isDisabled={!can}
          isLoading={submit.busy}
        >
          {props.submitLabel}
        </Button>
        <Button variant="link" onClick={close} isDisabled={submit.busy}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
