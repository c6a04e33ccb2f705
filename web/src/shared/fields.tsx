/* Form fields: label, input, hint or fault below it. */

import {
  Checkbox,
  FormGroup,
  FormHelperText,
  FormSelect,
  FormSelectOption,
  HelperText,
  HelperTextItem,
  TextArea,
  TextInput,
} from "@patternfly/react-core";
import { useId, type ReactElement, type ReactNode } from "react";

interface Common {
  label: string;
  hint?: ReactNode;
  /** Why the value is refused. */
  fault?: string | undefined;
  isRequired?: boolean;
  isDisabled?: boolean;
}

interface TextProps extends Common {
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "password" | "number" | "email" | "search";
  placeholder?: string | undefined;
  autoComplete?: string;
  inputMode?: "numeric" | "text";
  isReadOnly?: boolean;
  /** Values to choose from; free text stays possible. */
  suggestions?: readonly { value: string; label?: string }[];
  autoFocus?: boolean;
  onBlur?: () => void;
}

export function TextField(props: TextProps): ReactElement {
  const id = useId();
  const list = props.suggestions && props.suggestions.length > 0 ? `${id}-list` : undefined;
  return (
    <FormGroup label={props.label} fieldId={id} isRequired={props.isRequired ?? false}>
      <TextInput
        id={id}
        value={props.value}
        onChange={(_, value) => props.onChange(value)}
        type={props.type ?? "text"}
        placeholder={props.placeholder ?? ""}
        autoComplete={props.autoComplete ?? "off"}
        inputMode={props.inputMode}
        readOnlyVariant={props.isReadOnly ? "default" : undefined}
        isDisabled={props.isDisabled ?? false}
        validated={props.fault ? "error" : "default"}
        aria-describedby={`${id}-hint`}
        aria-invalid={props.fault !== undefined}
        list={list}
        autoFocus={props.autoFocus}
        onBlur={props.onBlur}
        isRequired={props.isRequired ?? false}
      />
      {list && (
        <datalist id={list}>
          {props.suggestions?.map(({ value, label }) => (
            <option key={value} value={value} label={label} />
          ))}
        </datalist>
      )}
      <Below id={`${id}-hint`} hint={props.hint} fault={props.fault} />
    </FormGroup>
  );
}

export function AreaField(props: TextProps & { rows?: number }): ReactElement {
  const id = useId();
  return (
    <FormGroup label={props.label} fieldId={id} isRequired={props.isRequired ?? false}>
      <TextArea
        id={id}
        value={props.value}
        onChange={(_, value) => props.onChange(value)}
        placeholder={props.placeholder ?? ""}
        rows={props.rows ?? 4}
        resizeOrientation="vertical"
        validated={props.fault ? "error" : "default"}
        aria-describedby={`${id}-hint`}
        readOnlyVariant={props.isReadOnly ? "default" : undefined}
        autoFocus={props.autoFocus}
      />
      <Below id={`${id}-hint`} hint={props.hint} fault={props.fault} />
    </FormGroup>
  );
}

interface ChoiceProps<V extends string> extends Common {
  value: V;
  onChange: (value: V) => void;
  choices: readonly (readonly [value: V, label: string])[];
}

export function ChoiceField<V extends string>(props: ChoiceProps<V>): ReactElement {
  const id = useId();
  const known = props.choices.some(([value]) => value === props.value);
  return (
    <FormGroup label={props.label} fieldId={id} isRequired={props.isRequired ?? false}>
      <FormSelect
        id={id}
        value={props.value}
        onChange={(_, value) => props.onChange(value as V)}
        isDisabled={props.isDisabled ?? false}
        validated={props.fault ? "error" : "default"}
        aria-describedby={`${id}-hint`}
      >
        {!known && <FormSelectOption value={props.value} label={props.value} />}
        {props.choices.map(([value, label]) => (
          <FormSelectOption key={value} value={value} label={label} />
        ))}
      </FormSelect>
      <Below id={`${id}-hint`} hint={props.hint} fault={props.fault} />
    </FormGroup>
  );
}

export function CheckField(props: {
  label: string;
  value: boolean;
  onChange: (value: boolean) => void;
  hint?: string;
}): ReactElement {
  const id = useId();
  return (
    <Checkbox
      id={id}
      label={props.label}
      isChecked={props.value}
      onChange={(_, value) => props.onChange(value)}
      description={props.hint}
    />
  );
}

function Below({ id, hint, fault }: { id: string; hint: ReactNode; fault: string | undefined }): ReactElement {
  return (
    <FormHelperText id={id}>
      {(fault ?? hint) !== undefined && (
        <HelperText>
          <HelperTextItem variant={fault ? "error" : "default"}>{fault ?? hint}</HelperTextItem>
        </HelperText>
      )}
    </FormHelperText>
  );
}
