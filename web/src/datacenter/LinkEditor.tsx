/* Rows of link number and address, as Create and Join ask for them (pvecm 9.1). */

import { Button } from "@patternfly/react-core";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import type { ReactElement } from "react";

import { addLink, MAX_LINKS, removeLink, type Link, type LinkFault } from "../logic/links";
import { ChoiceField, TextField } from "../shared/fields";

interface Props {
  links: readonly Link[];
  faults: readonly LinkFault[];
  onChange: (links: Link[]) => void;
  addresses: readonly { address: string; iface: string }[];
  /** Exactly these links, with a remark each: the cluster decides. */
  fixed?: readonly { number: number; hint: string }[] | undefined;
}

const NUMBERS = Array.from({ length: MAX_LINKS }, (_, number) => [String(number), String(number)] as const);

export function LinkEditor({ links, faults, onChange, addresses, fixed }: Props): ReactElement {
  const suggestions = addresses.map(({ address, iface }) => ({ value: address, label: iface }));
  const edit = (index: number, change: Partial<Link>): void => {
    onChange(links.map((link, place) => (place === index ? { ...link, ...change } : link)));
  };
  return (
    <fieldset className="q-links">
      <legend>Cluster Network</legend>
      {links.map((link, index) => (
        <div key={index} className="q-link">
          {fixed ? (
            <TextField label="Link" value={String(link.number)} onChange={() => undefined} isReadOnly />
          ) : (
            <ChoiceField
              label="Link"
              value={String(link.number)}
              onChange={(value) => edit(index, { number: Number(value) })}
              choices={NUMBERS}
              fault={faults[index]?.number}
            />
          )}
          <TextField
            label={`Address of link ${link.number}`}
            value={link.address}
            onChange={(address) => edit(index, { address })}
            suggestions={suggestions}
            placeholder="Address or host name"
            fault={faults[index]?.address}
            hint={fixed?.[index]?.hint}
          />
          {!fixed && (
            <Button
              variant="plain"
              className="q-link-remove"
              icon={<TrashIcon />}
              aria-label={`Remove link ${link.number}`}
              isDisabled={links.length <= 1}
              onClick={() => onChange(removeLink(links, index))}
            />
          )}
        </div>
      ))}
      {!fixed && (
        <div>
          <Button
            variant="secondary"
            size="sm"
            icon={<PlusIcon />}
            isDisabled={links.length >= MAX_LINKS}
            onClick={() => onChange(addLink(links, addresses.map(({ address }) => address)))}
          >
            Add link
          </Button>
        </div>
      )}
    </fieldset>
  );
}
