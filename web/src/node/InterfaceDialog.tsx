/* Adding or editing a network interface. What is sent waits on the node until it is applied. */

import { Bullseye, Spinner } from "@patternfly/react-core";
import { useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { NetworkInterface } from "../api/model";
import type { ParametersOf } from "../api/operations";
import {
  additionOf,
  BOND_MODES,
  changeOf,
  faultsOf,
  fieldsOf,
  freeName,
  HASH_POLICIES,
  valuesOf,
  type Kind,
  type TextKey,
} from "../logic/interfaceForm";
import { Failure } from "../shared/Failure";
import { AreaField, CheckField, ChoiceField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

type Fields = Omit<ParametersOf<"POST", "/nodes/{node}/network">, "node" | "iface" | "type">;

const LABELS: Readonly<Record<TextKey, string>> = {
  cidr: "IPv4/CIDR",
  gateway: "Gateway (IPv4)",
  cidr6: "IPv6/CIDR",
  gateway6: "Gateway (IPv6)",
  bridge_ports: "Bridge ports",
  bridge_vids: "VLANs",
  slaves: "Slaves",
  bond_mode: "Mode",
  "bond-primary": "Primary slave",
  bond_xmit_hash_policy: "Hash policy",
  "vlan-raw-device": "VLAN raw device",
  "vlan-id": "VLAN tag",
  mtu: "MTU",
  comments: "Comment",
};
const HINTS: Partial<Record<TextKey, string>> = {
  cidr: "Such as 192.0.2.10/24; none for an interface without an address.",
  bridge_ports: "Names of interfaces, separated by spaces.",
  slaves: "Names of interfaces, separated by spaces.",
  bridge_vids: "Such as 2-4094; all when it is empty.",
  "vlan-raw-device": "Not needed when the name says it: eth0.5",
  "vlan-id": "Not needed when the name says it: eth0.5 or vlan5",
};
const PLACEHOLDERS: Partial<Record<TextKey, string>> = { mtu: "1500" };
const SHOWN = ["iface", ...Object.keys(LABELS)];

interface AddProps {
  node: string;
  kind: Kind;
  taken: readonly string[];
  onClose: () => void;
}

export function AddInterface({ node, kind, taken, onClose }: AddProps): ReactElement {
  return (
    <InterfaceForm
      title={`Add ${kind}`}
      submitLabel="Add"
      kind={kind}
      name={freeName(kind, taken)}
      onClose={onClose}
      onSend={(iface, set) => change("POST", "/nodes/{node}/network", { node, iface, type: kind, ...set })}
    />
  );
}

interface EditProps {
  node: string;
  kind: Kind;
  iface: string;
  onClose: () => void;
}

/** Reads the interface first, with the digest that tells when somebody else changes the configuration meanwhile. */
export function EditInterface({ node, kind, iface, onClose }: EditProps): ReactElement {
  const found = usePolled("/nodes/{node}/network/{iface}", { node, iface });
  const title = `Edit ${iface}`;
  const before = found.data;
  if (!before) {
    return (
      <FormDialog title={title} submitLabel="OK" canSubmit={false} onSubmit={() => Promise.resolve(undefined)} onClose={onClose}>
        {() => (
          <>
            <Failure failure={found.failure} title="The interface could not be read" />
            {!found.failure && (
              <Bullseye>
                <Spinner size="lg" aria-label="Reading the interface" />
              </Bullseye>
            )}
          </>
        )}
      </FormDialog>
    );
  }
  return (
    <InterfaceForm
      title={title}
      submitLabel="OK"
      kind={kind}
      before={before}
      name={iface}
      onClose={onClose}
      onSend={(_, set, remove) =>
        change("PUT", "/nodes/{node}/network/{iface}", {
          node,
          iface,
          type: kind,
          digest: before.digest,
          ...set,
          delete: remove.length > 0 ? remove.join(",") : undefined,
        })
      }
    />
  );
}

interface FormProps {
  title: string;
  submitLabel: string;
  kind: Kind;
  name: string;
  before?: NetworkInterface;
  onSend: (name: string, set: Fields, remove: readonly string[]) => Promise<unknown>;
  onClose: () => void;
}

function InterfaceForm({ title, submitLabel, kind, name: first, before, onSend, onClose }: FormProps): ReactElement {
  const [name, setName] = useState(first);
  const [values, setValues] = useState(() => valuesOf(kind, before));
  const [isTried, setTried] = useState(false);
  const faults = isTried ? faultsOf(kind, name.trim(), values) : {};
  const set = (key: TextKey, text: string): void =>
    setValues((old) => ({ ...old, texts: { ...old.texts, [key]: text } }));
  const send = async (): Promise<"stay" | undefined> => {
    setTried(true);
    if (Object.keys(faultsOf(kind, name.trim(), values)).length > 0) return "stay";
    if (before) {
      const { set: changed, remove } = changeOf(kind, before, values);
      if (Object.keys(changed).length === 0 && remove.length === 0) return undefined;
      await onSend(name, changed as Fields, remove);
    } else {
      await onSend(name.trim(), additionOf(kind, values) as Fields, []);
    }
    return undefined;
  };
  return (
    <FormDialog
      title={title}
      description="The change waits on the node until it is applied."
      submitLabel={submitLabel}
      size="medium"
      onSubmit={send}
      onClose={onClose}
      fields={SHOWN}
    >
      {(errors) => {
        const fault = (key: string): string | undefined => faults[key] ?? errors[key];
        return (
          <>
            {!before && (
              <TextField
                label="Name"
                value={name}
                onChange={setName}
                isRequired
                autoFocus
                placeholder={kind === "vlan" ? "eth0.5" : kind === "alias" ? "eth0:1" : undefined}
                fault={fault("iface")}
              />
            )}
            <CheckField
              label="Autostart"
              hint="Bring it up at boot."
              value={values.flags.autostart}
              onChange={(autostart) => setValues((old) => ({ ...old, flags: { ...old.flags, autostart } }))}
            />
            {kind === "bridge" && (
              <CheckField
                label="VLAN aware"
                value={values.flags.bridge_vlan_aware}
                onChange={(bridge_vlan_aware) => setValues((old) => ({ ...old, flags: { ...old.flags, bridge_vlan_aware } }))}
              />
            )}
            {fieldsOf(kind, values).map((key) => (
              <Field key={key} name={key} value={values.texts[key] ?? ""} onChange={(text) => set(key, text)} fault={fault(key)} />
            ))}
          </>
        );
      }}
    </FormDialog>
  );
}

interface FieldProps {
  name: TextKey;
  value: string;
  onChange: (text: string) => void;
  fault: string | undefined;
}

function Field({ name, value, onChange, fault }: FieldProps): ReactElement {
  const label = LABELS[name];
  if (name === "bond_mode") return <ChoiceField label={label} value={value} onChange={onChange} choices={MODES} fault={fault} />;
  if (name === "bond_xmit_hash_policy") {
    return <ChoiceField label={label} value={value} onChange={onChange} choices={POLICIES} fault={fault} />;
  }
  if (name === "comments") return <AreaField label={label} value={value} onChange={onChange} rows={2} fault={fault} />;
  return (
    <TextField label={label} value={value} onChange={onChange} hint={HINTS[name]} placeholder={PLACEHOLDERS[name]} fault={fault} />
  );
}

const MODES: [string, string][] = [["", "Default (balance-rr)"], ...BOND_MODES.map((mode): [string, string] => [mode, mode])];
const POLICIES: [string, string][] = [["", "Default (layer2)"], ...HASH_POLICIES.map((policy): [string, string] => [policy, policy])];
