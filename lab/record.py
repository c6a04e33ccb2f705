"""What a lab leaves on disk so that another process, or the next one after a crash, knows all about it.

One directory per lab: its record, its faults, its layer, and per node the writable layer and power state.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError
from lab.processes import cgroup_root, is_alive, machine_boot_id, start_time

STATE = Path(os.environ.get("QUORATE_LAB_STATE", "/var/lib/quorate-lab"))
NAME_PATTERN = re.compile(r"[a-z][a-z0-9-]{0,23}")
"""Short enough for the names of namespaces and cgroups made from it, and safe in paths and mount options."""
MAX_NODES = 32  # 32 went quorate on 2 cores, and the machine did little else
MAX_LINKS = 8  # what corosync knows


@dataclass(slots=True)
class Record:
    """One lab. ``owner`` is the process that ends it (pid, start time); None: it stays until it is ended."""

    name: str
    nodes: int
    links: int
    base: str
    owner: tuple[int, int] | None
    boot_id: str

    @classmethod
    def new(cls, name: str, *, nodes: int, links: int, base: Path, keep: bool) -> Record:
        """Raises LabError for a name or number out of bounds."""
        if not NAME_PATTERN.fullmatch(name):
            raise LabError(f"{name!r} is no name for a lab: lower-case letters, digits, '-', at most 24.")
        if not 1 <= nodes <= MAX_NODES or not 1 <= links <= MAX_LINKS:
            raise LabError(
                f"{nodes} nodes with {links} links are out of bounds "
                f"(1-{MAX_NODES} nodes, 1-{MAX_LINKS} links)."
            )
        pid = os.getpid()
        owner = None if keep else (pid, start_time(pid) or 0)
        return cls(name, nodes, links, str(base), owner, machine_boot_id())

    @classmethod
    def load(cls, name: str) -> Record:
        """Raises LabError if there is no such lab."""
        try:
            data = json.loads((STATE / name / "lab.json").read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            known = ", ".join(names()) or "none"
            raise LabError(
                f"There is no lab named {name!r} (there is: {known}). ./dev demo starts the demo, "
                "./dev lab up another one."
            ) from error
        owner = data.pop("owner")
        return cls(owner=tuple(owner) if owner else None, **data)

    def save(self) -> None:
        write_atomically(self.dir / "lab.json", json.dumps(asdict(self)))

    @property
    def dir(self) -> Path:
        return STATE / self.name

    @property
    def layer(self) -> Path:
        return self.dir / "layer"

    @property
    def cgroup(self) -> Path:
        return cgroup_root() / f"quorate-lab-{self.name}"

    @property
    def switch_netns(self) -> str:
        return f"ql-{self.name}-sw"

    def netns(self, node: str) -> str:
        return f"ql-{self.name}-{node}"

    def node_dir(self, node: str) -> Path:
        return self.dir / "nodes" / node

    def node_names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    def is_stale(self) -> bool:
        """Nobody will ever end it: its owner died, or the machine has restarted."""
        if self.boot_id != machine_boot_id():
            return True
        return self.owner is not None and not is_alive(*self.owner)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the lab's files, against a person's commands beside a test."""
        with (self.dir / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def names() -> list[str]:
    """Every lab that has a directory, sorted."""
    if not STATE.is_dir():
        return []
    return sorted(path.name for path in STATE.iterdir() if (path / "lab.json").is_file())


def address(node: str, link: int) -> str:
    """The address of a node on a link: 10.77.LINK.NUMBER."""
    return f"10.77.{link}.{node_number(node)}"


def node_number(node: str) -> int:
    """3 for "n3". Raises LabError for anything else."""
    if not re.fullmatch(r"n[1-9][0-9]?", node):
        raise LabError(f"{node!r} is no node: they are called n1, n2, ...")
    return int(node[1:])


def write_atomically(path: Path, text: str) -> None:
    """So that a reader never sees half a file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
