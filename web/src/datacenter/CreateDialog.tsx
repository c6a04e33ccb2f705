/* Create Cluster: a name and this node's links. */

import { useEffect, useMemo, useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import { useTasks } from "../app/tasksContext";
import { addLink, checkLinks, isFaultless, linkParameters, ownAddresses, preferring, type Link } from "../logic/links";
import { clusterName } from "../logic/validation";
import { FormDialog } from "../shared/FormDialog";
import { Failure } from "../shared/Failure";
import { TextField } from "../shared/fields";
import { LinkEditor } from "./LinkEditor";

interface Props {
  /** Where the node's host name leads to. */
  hostAddress: string | undefined;
  onClose: () => void;
}

export function CreateDialog({ hostAddress, onClose }: Props): ReactElement {
  const tasks = useTasks();
  const network = usePolled("/nodes/{node}/network", { node: "localhost" });
  const addresses = useMemo(() => preferring(ownAddresses(network.data ?? []), hostAddress), [network.data, hostAddress]);
  const [name, setName] = useState("");
  const [links, setLinks] = useState<Link[]>();
  useEffect(() => {
    // The first address, until somebody has typed
    if (network.data) setLinks((before) => before ?? addLink([], addresses.map(({ address }) => address)));
  }, [network.data, addresses]);
  const rows = links ?? [{ number: 0, address: "" }];
  const faults = checkLinks(rows);
  const nameFault = clusterName(name);
  return (
    <FormDialog
      title="Create Cluster"
      description="This node becomes the first member. Its present configuration is kept."
      submitLabel="Create"
      size="medium"
      canSubmit={nameFault === undefined && isFaultless(faults)}
      onSubmit={async () => {
        const upid = await change("POST", "/cluster/config", { clustername: name, ...linkParameters(rows) });
        tasks.open(upid);
        return undefined;
      }}
      onClose={onClose}
      fields={["clustername", ...rows.map((link) => `link${link.number}`)]}
    >
      {(errors) => (
        <>
          <TextField
            label="Cluster Name"
            value={name}
            onChange={setName}
            isRequired
            autoFocus
            fault={name === "" ? errors["clustername"] : (nameFault ?? errors["clustername"])}
            hint="At most 15 letters, digits and hyphens. It cannot be changed later."
          />
          <Failure failure={network.failure} title="This node's addresses could not be read; type them" />
          <LinkEditor
            links={rows}
            faults={rows.map((link, index) => ({
              ...(links ? faults[index] : {}),
              ...(errors[`link${link.number}`] ? { address: errors[`link${link.number}`] } : {}),
            }))}
            onChange={setLinks}
            addresses={addresses}
          />
          <p className="q-subtle">
            Multiple links are used as fail-over, lower numbers have higher priority.
          </p>
        </>
      )}
    </FormDialog>
  );
}
