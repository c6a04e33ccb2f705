/* Join Cluster: assisted by pasting, or every field by hand; then the join's progress (pvecm 9.1). */

import { Alert } from "@patternfly/react-core";
import { useMemo, useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import { decodeJoinInformation, INVALID, type JoinInformation } from "../logic/joinInformation";
import { refusedField, type JoinField } from "../logic/joinRefusal";
import { addLink, checkLinks, isFaultless, linkParameters, ownAddresses, preferring, type Link } from "../logic/links";
import { fingerprint as checkFingerprint, peerAddress } from "../logic/validation";
import { Failure } from "../shared/Failure";
import { AreaField, CheckField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";
import { JoinProgress } from "./JoinProgress";
import { LinkEditor } from "./LinkEditor";

const LABELS = ["hostname", "fingerprint", "password"];

interface Props {
  /** Where the node's host name leads to. */
  hostAddress: string | undefined;
  onClose: () => void;
}

/** How the last try ended, and what was typed into the field that it is about. */
interface Refusal {
  reason: string;
  field: JoinField | undefined;
  value: string;
}

export function JoinDialog({ hostAddress, onClose }: Props): ReactElement {
  const network = usePolled("/nodes/{node}/network", { node: "localhost" });
  const addresses = useMemo(() => preferring(ownAddresses(network.data ?? []), hostAddress), [network.data, hostAddress]);
  const [isAssisted, setAssisted] = useState(true);
  const [encoded, setEncoded] = useState("");
  const [address, setAddress] = useState("");
  const [password, setPassword] = useState("");
  const [fingerprint, setFingerprint] = useState("");
  const [manualLinks, setManualLinks] = useState<Link[]>();
  const [assistedLinks, setAssistedLinks] = useState<Link[]>([]);
  const [upid, setUpid] = useState<string>();
  const [refusal, setRefusal] = useState<Refusal>();

  const information = useMemo(() => decodeJoinInformation(encoded), [encoded]);
  const paste = (text: string): void => {
    setEncoded(text);
    const found = decodeJoinInformation(text);
    if (found) setAssistedLinks(found.links.map(({ number }) => ({ number, address: "" })));
  };
  const peer = isAssisted ? (information?.address ?? "") : address;
  const print = isAssisted ? (information?.fingerprint ?? "") : fingerprint;
  const links = isAssisted
    ? assistedLinks
    : (manualLinks ?? addLink([], addresses.map(({ address: own }) => own)));
  const mayBeEmpty = isAssisted && (information?.mayLeaveEmpty ?? false);
  const faults = checkLinks(links, mayBeEmpty);
  const isComplete =
    (!isAssisted || information !== undefined) &&
    peerAddress(peer) === undefined &&
    checkFingerprint(print) === undefined &&
    password !== "" &&
    isFaultless(faults);
  const showFields = !isAssisted || information !== undefined;
  const clusterName = isAssisted ? information?.clusterName : undefined;

  const typed: Record<JoinField, string> = { hostname: peer, password, fingerprint: print };
  /** Until the field is changed. */
  const refused = (field: JoinField): string | undefined =>
    refusal?.field === field && refusal.value === typed[field] ? refusal.reason : undefined;
  /** Where it is to be mended. What was pasted is not mended in the fields that it fills. */
  const isFirst = (field: JoinField): boolean => refusal?.field === field && (field === "password" || !isAssisted);
  const tryAgain = (reason: string): void => {
    const field = refusedField(reason);
    setRefusal({ reason, field, value: field ? typed[field] : "" });
    setUpid(undefined);
  };

  if (upid !== undefined) {
    return <JoinProgress upid={upid} clusterName={clusterName} onBack={tryAgain} onClose={onClose} />;
  }
  return (
    <FormDialog
      title="Cluster Join"
      submitLabel={clusterName ? `Join '${clusterName}'` : "Join"}
      size="medium"
      canSubmit={isComplete}
      onSubmit={async () => {
        const parameters = { hostname: peer.trim(), fingerprint: print.trim(), password, ...linkParameters(links) };
        const started = await change("POST", "/cluster/config/join", parameters);
        setUpid(started);
        return "stay"; // goes on as a view of the task
      }}
      onClose={onClose}
      fields={[...LABELS, ...links.map((link) => `link${link.number}`)]}
    >
      {(errors) => (
        <>
          {refusal && !refusal.field && (
            <Alert isInline variant="danger" component="p" title="The join failed" className="q-failure">
              <p className="q-message">{refusal.reason}</p>
            </Alert>
          )}
          <CheckField
            label="Assisted join: Paste encoded cluster join information and enter password."
            value={isAssisted}
            onChange={setAssisted}
          />
          {isAssisted && (
            <AreaField
              label="Information"
              value={encoded}
              onChange={paste}
              placeholder="Paste encoded Cluster Information here"
              isRequired
              autoFocus={!isFirst("password")}
              fault={encoded !== "" && !information ? INVALID : undefined}
            />
          )}
          {showFields && (
            <>
              <TextField
                label="Peer Address"
                autoFocus={isFirst("hostname")}
                value={peer}
                onChange={setAddress}
                isReadOnly={isAssisted}
                isRequired
                fault={errors["hostname"] ?? refused("hostname") ?? (peer === "" ? undefined : peerAddress(peer))}
              />
              <TextField
                label="Password"
                autoFocus={isFirst("password")}
                type="password"
                value={password}
                onChange={setPassword}
                isRequired
                placeholder="Peer's root password"
                autoComplete="off"
                hint="The root password of the peer."
                fault={errors["password"] ?? refused("password")}
              />
              <TextField
                label="Fingerprint"
                autoFocus={isFirst("fingerprint")}
                value={print}
                onChange={setFingerprint}
                isReadOnly={isAssisted}
                isRequired
                fault={errors["fingerprint"] ?? refused("fingerprint") ?? (print === "" ? undefined : checkFingerprint(print))}
              />
              <Failure failure={network.failure} title="This node's addresses could not be read; type them" />
              <LinkEditor
                links={links}
                faults={links.map((link, index) => {
                  const told = errors[`link${link.number}`];
                  const fault = link.address === "" ? { ...faults[index], address: undefined } : faults[index];
                  return { ...fault, ...(told ? { address: told } : {}) };
                })}
                onChange={isAssisted ? setAssistedLinks : setManualLinks}
                addresses={addresses}
                fixed={isAssisted ? information?.links.map((link) => ({ number: link.number, hint: hintOf(link.peer, mayBeEmpty) })) : undefined}
              />
            </>
          )}
        </>
      )}
    </FormDialog>
  );
}

function hintOf(peer: string | undefined, mayBeEmpty: JoinInformation["mayLeaveEmpty"]): string {
  const own = mayBeEmpty ? "Empty: the IP resolved by this node's host name. " : "";
  return `${own}${peer ? `Peer's link address: ${peer}` : ""}`.trim();
}
