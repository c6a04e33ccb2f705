/* Keeps a failure of one part of the page to that part: what failed, why, and "Try again". */

import { ActionGroup, Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { Component, type ReactElement, type ReactNode } from "react";

import { forgetFailures, LoadFailure } from "./lazy";

interface Props {
  /** E.g. "The tab Network". */
  what: string;
  children: ReactNode;
  /** Where the page is: a failure is forgotten when it is somewhere else. */
  place?: string | undefined;
  /** For a dialog: how it is closed. */
  onClose?: () => void;
}

interface State {
  failure?: Error;
  isBusy: boolean;
  /** The node was asked, and gave no answer. */
  isAlone: boolean;
}

const CALM: State = { isBusy: false, isAlone: false };

export class Boundary extends Component<Props, State> {
  override state: State = CALM;
  private isRetry = false;

  static getDerivedStateFromError(error: unknown): Partial<State> {
    return { failure: error instanceof Error ? error : new Error(String(error)), isBusy: false };
  }

  override componentDidCatch(error: unknown): void {
    // Browsers may remember that a file could not be had as long as the page lives
    if (this.isRetry && error instanceof LoadFailure) location.reload();
    this.isRetry = false;
  }

  override componentDidUpdate(before: Props): void {
    if (before.place !== this.props.place && this.state.failure) this.forget();
  }

  override render(): ReactNode {
    const { failure, isBusy, isAlone } = this.state;
    if (!failure) return this.props.children;
    const { what, onClose } = this.props;
    const isLoad = failure instanceof LoadFailure;
    const title = isLoad ? `${what} could not be loaded` : `${what} has failed`;
    const again = (
      <Button variant="secondary" onClick={() => void this.tryAgain(isLoad)} isDisabled={isBusy} isLoading={isBusy}>
        Try again
      </Button>
    );
    const text = <Words failure={failure} isLoad={isLoad} isAlone={isAlone} />;
    if (!onClose) {
      return (
        <Alert isInline variant="danger" component="p" title={title} role="alert" className="q-failure">
          {text}
          <ActionGroup>{again}</ActionGroup>
        </Alert>
      );
    }
    return (
      <Modal isOpen variant="small" onClose={onClose} aria-label={title}>
        <ModalHeader title={title} titleIconVariant="danger" />
        <ModalBody>{text}</ModalBody>
        <ModalFooter>
          {again}
          <Button variant="link" onClick={onClose}>
            Close
          </Button>
        </ModalFooter>
      </Modal>
    );
  }

  private async tryAgain(isLoad: boolean): Promise<void> {
    this.setState({ isBusy: true });
    if (isLoad && !(await nodeAnswers())) return this.setState({ isBusy: false, isAlone: true });
    this.isRetry = true;
    this.forget();
  }

  private forget(): void {
    forgetFailures();
    this.setState({ ...CALM, failure: undefined });
  }
}

function Words({ failure, isLoad, isAlone }: { failure: Error; isLoad: boolean; isAlone: boolean }): ReactElement {
  return (
    <>
      <p className="q-message">{failure.message}</p>
      {isLoad && !isAlone && (
        <p>
          The node does not answer, or its programs were upgraded since this page was opened. If need be the whole page is
          loaded anew.
        </p>
      )}
      {isAlone && <p>The node still does not answer. Meanwhile you can open the page of another node.</p>}
    </>
  );
}

const PATIENCE_MS = 10_000;

async function nodeAnswers(): Promise<boolean> {
  try {
    return (await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) })).ok;
  } catch {
    return false;
  }
}
