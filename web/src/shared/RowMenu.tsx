/* What can be done with a row: a button for one action, a menu for several. */

import { Button, Dropdown, DropdownItem, DropdownList, MenuToggle } from "@patternfly/react-core";
import EllipsisIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import { useState, type PointerEvent, type ReactElement } from "react";

export interface RowAction {
  title: string;
  onClick: () => void;
  isDisabled?: boolean;
}

interface Props {
  /** Of which row, e.g. "pvestatd": what a screen reader says beside the action. */
  row: string;
  actions: readonly RowAction[];
}

export function RowMenu({ row, actions }: Props): ReactElement | null {
  const [isOpen, setOpen] = useState(false);
  const [only, ...others] = actions;
  if (!only) return null;
  if (others.length === 0) {
    return (
      <Button
        variant="secondary"
        size="sm"
        aria-label={`${only.title}: ${row}`}
        isDisabled={only.isDisabled ?? false}
        onPointerDown={holdPointer}
        onClick={only.onClick}
      >
        {only.title}
      </Button>
    );
  }
  return (
    <Dropdown
      isOpen={isOpen}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      // What has the focus when a dialog opens gets it back when the dialog closes; the item is gone by then
      shouldFocusToggleOnSelect
      popperProps={{ position: "end" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plain"
          icon={<EllipsisIcon />}
          aria-label={`Actions: ${row}`}
          isExpanded={isOpen}
          onPointerDown={holdPointer}
          onClick={() => setOpen((open) => !open)}
        />
      )}
    >
      <DropdownList>
        {actions.map(({ title, onClick, isDisabled = false }) => (
          <DropdownItem key={title} isDisabled={isDisabled} onClick={onClick}>
            {title}
          </DropdownItem>
        ))}
      </DropdownList>
    </Dropdown>
  );
}

/** Rows move when newer data come. Without this a button that moves away between press and release is not clicked:
 * the browser gives the click to what both have in common, the table. */
function holdPointer(event: PointerEvent<HTMLElement>): void {
  event.currentTarget.setPointerCapture(event.pointerId);
}
