/* Datacenter, nodes and guests with their live state; arrows, Home and End move, Enter opens. */

import { SearchInput } from "@patternfly/react-core";
import AngleDownIcon from "@patternfly/react-icons/dist/esm/icons/angle-down-icon";
import AngleRightIcon from "@patternfly/react-icons/dist/esm/icons/angle-right-icon";
import { useRef, useState, type KeyboardEvent, type ReactElement } from "react";

import type { Live } from "../api/live";
import type { Route } from "../logic/route";
import { formatRoute } from "../logic/route";
import { treeItems, visibleItems, type TreeItem } from "../logic/tree";

interface Props {
  live: Live;
  route: Route;
  onChoose: () => void;
}

export function Tree({ live, route, onChoose }: Props): ReactElement {
  const [filter, setFilter] = useState("");
  const [toggled, setToggled] = useState<ReadonlySet<string>>(new Set());
  const [focus, setFocus] = useState<string>();
  const list = useRef<HTMLUListElement>(null);

  const items = treeItems(live.members, live.resources);
  const visible = visibleItems(items, toggled, filter);
  const present = placeOf(route);
  const stop = [focus, present].find((id) => visible.some((item) => item.id === id)) ?? visible[0]?.id;

  const toggle = (id: string): void => {
    setToggled((before) => {
      const next = new Set(before);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  };
  const moveTo = (item: TreeItem | undefined): void => {
    if (!item) return;
    setFocus(item.id);
    list.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(item.id)}"]`)?.focus();
  };
  const onKey = (event: KeyboardEvent, item: TreeItem): void => {
    const at = visible.indexOf(item);
    const closer = [...visible.slice(0, at)].reverse().find((other) => other.level < item.level);
    switch (event.key) {
      case "ArrowDown":
        moveTo(visible[at + 1]);
        break;
      case "ArrowUp":
        moveTo(visible[at - 1]);
        break;
      case "Home":
        moveTo(visible[0]);
        break;
      case "End":
        moveTo(visible.at(-1));
        break;
      case "ArrowRight":
        if (item.isOpen === false) toggle(item.id);
        else if (item.isOpen) moveTo(visible[at + 1]);
        break;
      case "ArrowLeft":
        if (item.isOpen && item.level > 1) toggle(item.id);
        else moveTo(closer);
        break;
      default:
        return;
    }
    event.preventDefault();
  };

  return (
    <nav aria-label="Datacenter tree" className="q-tree">
      {live.resources.length > 12 && (
        <SearchInput
          aria-label="Find in the tree"
          placeholder="Find"
          value={filter}
          onChange={(_, value) => setFilter(value)}
          onClear={() => setFilter("")}
        />
      )}
      <ul role="tree" aria-label="Resources" ref={list}>
        {visible.map((item) => (
          <li key={item.id} role="none">
            <a
              role="treeitem"
              href={formatRoute(item.route)}
              data-id={item.id}
              aria-level={item.level}
              aria-expanded={item.isOpen}
              aria-selected={item.id === present}
              aria-current={item.id === present ? "page" : undefined}
              tabIndex={item.id === stop ? 0 : -1}
              className={`q-tree-item q-level-${item.level}`}
              onKeyDown={(event) => onKey(event, item)}
              onFocus={() => setFocus(item.id)}
              onClick={onChoose}
            >
              <span
                className="q-tree-toggle"
                aria-hidden="true"
                onClick={(event) => {
                  if (item.isOpen === undefined || item.level === 1) return;
                  event.preventDefault();
                  event.stopPropagation();
                  toggle(item.id);
                }}
              >
                {item.isOpen !== undefined && item.level > 1 && (item.isOpen ? <AngleDownIcon /> : <AngleRightIcon />)}
              </span>
              <span className={`q-dot q-dot-${item.state}`} aria-hidden="true" />
              <span className="q-tree-label">{item.label}</span>
              {item.word !== "" && <span className="q-tree-word">{item.word}</span>}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function placeOf(route: Route): string {
  if (route.place === "node") return `node/${route.node}`;
  return route.place === "guest" ? route.id : "datacenter";
}
