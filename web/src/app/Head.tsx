/* The bar at the top: where one is, who one is, dark or light. */

import {
  Dropdown,
  DropdownGroup,
  DropdownItem,
  DropdownList,
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadMain,
  MastheadToggle,
  MenuToggle,
  PageToggleButton,
  SkipToContent,
} from "@patternfly/react-core";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import { Suspense, useState, type ReactElement } from "react";

import { logOut, type Session } from "../api/session";
import { Boundary } from "../shared/Boundary";
import { lazy } from "../shared/lazy";
import { chooseTheme, readTheme, type Theme } from "./theme";

const PasswordDialog = lazy(() => import("../access/PasswordDialog"));
const SecondFactorDialog = lazy(() => import("../access/SecondFactorDialog"));

interface Props {
  session: Session;
  cluster: string | undefined;
  node: string | undefined;
  isTreeOpen: boolean;
  onToggle: () => void;
}

const THEMES: readonly (readonly [Theme, string])[] = [
  ["system", "As the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function Head({ session, cluster, node, isTreeOpen, onToggle }: Props): ReactElement {
  const [isOpen, setOpen] = useState(false);
  const [theme, setTheme] = useState(readTheme);
  const [dialog, setDialog] = useState<"password" | "factor">();
  const close = (): void => setDialog(undefined);
  const choose = (next: Theme): void => {
    chooseTheme(next);
    setTheme(next);
  };
  return (
    <>
      <SkipToContent
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to content
      </SkipToContent>
      <Masthead>
        <MastheadMain>
          <MastheadToggle>
            <PageToggleButton
              isHamburgerButton
              aria-label="Tree"
              isSidebarOpen={isTreeOpen}
              onSidebarToggle={onToggle}
              id="tree-toggle"
            />
          </MastheadToggle>
          <MastheadBrand>
            <a href="#/datacenter/summary" className="q-brand" aria-label="quorate, datacenter">
              <img src="/icon.svg" alt="" width={28} height={28} />
              <span>quorate</span>
            </a>
          </MastheadBrand>
        </MastheadMain>
        <MastheadContent>
          <span className="q-where">
            {cluster !== undefined && (
              <span>
                Cluster <strong>{cluster}</strong>
              </span>
            )}
            {node !== undefined && (
              <span className="q-where-node">
                Node <strong>{node}</strong>
              </span>
            )}
          </span>
          <Dropdown
            isOpen={isOpen}
            onOpenChange={setOpen}
            onSelect={() => setOpen(false)}
            popperProps={{ position: "right" }}
            toggle={(ref) => (
              <MenuToggle
                ref={ref}
                variant="plainText"
                icon={<UserIcon />}
                isExpanded={isOpen}
                onClick={() => setOpen((open) => !open)}
                className="q-user"
              >
                {session.username}
              </MenuToggle>
            )}
          >
            <DropdownGroup label="Appearance">
              <DropdownList>
                {THEMES.map(([value, label]) => (
                  <DropdownItem key={value} isSelected={theme === value} onClick={() => choose(value)}>
                    {label}
                  </DropdownItem>
                ))}
              </DropdownList>
            </DropdownGroup>
            <DropdownGroup label="Account">
              <DropdownList>
                <DropdownItem onClick={() => setDialog("password")}>Change password</DropdownItem>
                <DropdownItem onClick={() => setDialog("factor")}>Second factor</DropdownItem>
                <DropdownItem onClick={() => logOut()}>Log out</DropdownItem>
              </DropdownList>
            </DropdownGroup>
          </Dropdown>
        </MastheadContent>
      </Masthead>
      {dialog !== undefined && (
        <Boundary what="The dialog" onClose={close}>
          <Suspense fallback={null}>
            {dialog === "password" && <PasswordDialog userid={session.username} onClose={close} />}
            {dialog === "factor" && <SecondFactorDialog userid={session.username} onClose={close} />}
          </Suspense>
        </Boundary>
      )}
    </>
  );
}
