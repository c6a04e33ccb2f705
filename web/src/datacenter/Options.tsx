/* Datacenter -> Options: datacenter.cfg as rows, each with its editor (pvecm 9.2). */

import { Alert, Button } from "@patternfly/react-core";
import PencilAltIcon from "@patternfly/react-icons/dist/esm/icons/pencil-alt-icon";
import { useMemo, useState, type ReactElement } from "react";

import { change } from "../api/client";
import { usePolled } from "../api/hooks";
import type { NetworkInterface } from "../api/model";
import type { ParametersOf } from "../api/operations";
import { may } from "../api/session";
import {
  changeOf,
  checkFields,
  fieldValues,
  OPTION_ROWS,
  showOption,
  unaskedChanges,
  type OptionField,
  type OptionRow,
} from "../logic/options";
import { DataTable } from "../shared/DataTable";
import { Failure } from "../shared/Failure";
import { AreaField, ChoiceField, TextField } from "../shared/fields";
import { FormDialog } from "../shared/FormDialog";

type Wanted = ParametersOf<"PUT", "/cluster/options">;

export default function Options(): ReactElement {
  const [editing, setEditing] = useState<OptionRow>();
  const options = usePolled("/cluster/options", {}, editing ? 0 : 5, ["config"]);
  const canEdit = may("dc", "Sys.Modify");
  const close = (): void => {
    setEditing(undefined);
    options.reload();
  };
  return (
    <>
      <Failure failure={options.failure} title="The options could not be read" />
      <DataTable
        label="Options"
        rows={options.data && OPTION_ROWS}
        hasFailed={options.failure !== undefined}
        rowKey={(row) => row.key}
        empty=""
        onDoubleClick={canEdit ? setEditing : undefined}
        columns={[
          { label: "Option", show: (row) => row.label },
          { label: "Value", show: (row) => showOption(row, options.data?.[row.key]), isLong: true },
          {
            label: "Edit",
            show: (row) => (
              <Button
                variant="plain"
                size="sm"
                icon={<PencilAltIcon />}
                aria-label={`Edit ${row.label}`}
                isDisabled={!canEdit}
                onClick={() => setEditing(row)}
              />
            ),
          },
        ]}
      />
      {editing && <OptionDialog row={editing} value={options.data?.[editing.key]} onClose={close} />}
    </>
  );
}

function OptionDialog({ row, value, onClose }: { row: OptionRow; value: unknown; onClose: () => void }): ReactElement {
  const [values, setValues] = useState(() => fieldValues(row, value));
  const faults = checkFields(row, values);
  const hasNetwork = row.fields.some((field) => field.kind === "network");
  const network = usePolled(hasNetwork ? "/nodes/{node}/network" : null, { node: "localhost" });
  const networks = useMemo(() => localNetworks(network.data ?? []), [network.data]);
  return (
    <FormDialog
      title={`Edit: ${row.label}`}
      submitLabel="OK"
      canSubmit={Object.keys(faults).length === 0}
      onSubmit={async () => {
        const wanted = changeOf(row, values, value);
        // The rows hold texts; the server checks them
        const parameters: Wanted = "set" in wanted ? { [row.key]: wanted.set } : { delete: row.key };
        await change("PUT", "/cluster/options", parameters);
        return undefined;
      }}
      onClose={onClose}
      fields={row.fields.length === 1 ? [row.key] : []}
    >
      {(errors) => (
        <>
          {unaskedChanges(row, value).map(({ from, to }) => (
            <Alert
              key={to}
              isInline
              variant="warning"
              component="p"
              title={`datacenter.cfg says ${from}. OK makes it ${to}, Cancel leaves it as it is.`}
            />
          ))}
          {row.fixed?.["type"] !== undefined && (
            <TextField label="Type" value={row.fixed["type"]} onChange={() => undefined} isReadOnly />
          )}
          {row.fields.map((field, index) => (
            <Editor
              key={field.key}
              field={field}
              value={values[field.key] ?? ""}
              onChange={(text) => setValues((before) => ({ ...before, [field.key]: text }))}
              fault={faults[field.key] ?? (row.fields.length === 1 ? errors[row.key] : undefined)}
              networks={networks}
              isFirst={index === 0}
            />
          ))}
        </>
      )}
    </FormDialog>
  );
}

interface EditorProps {
  field: OptionField;
  value: string;
  onChange: (value: string) => void;
  fault: string | undefined;
  networks: readonly { value: string; label: string }[];
  isFirst: boolean;
}

function Editor({ field, value, onChange, fault, networks, isFirst }: EditorProps): ReactElement {
  const common = { label: field.label, value, onChange, fault, hint: field.help };
  if (field.kind === "choice" || field.kind === "flag") return <ChoiceField {...common} choices={field.choices ?? []} />;
  if (field.kind === "area") return <AreaField {...common} autoFocus={isFirst} />;
  return (
    <TextField
      {...common}
      placeholder={field.placeholder}
      autoFocus={isFirst}
      {...(field.kind === "network" ? { suggestions: networks } : {})}
    />
  );
}

/** The networks of this node's interfaces, to choose from. */
function localNetworks(interfaces: readonly NetworkInterface[]): { value: string; label: string }[] {
  return interfaces.flatMap(({ iface, cidr, cidr6 }) =>
    [cidr, cidr6].filter((text) => text !== undefined).map((text) => ({ value: text, label: iface })),
  );
}
