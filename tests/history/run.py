"""One run of the history check on a lab: clients in all nodes, the nemesis, healing, collecting, checking.

python -m tests.history.run --minutes 15 --seed 1 --nodes 3      (./dev history does this)
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import Lab, LabError, Node, Process, WaitTimeoutError, wait_for
from lab.disk import disk_of
from lab.journals import TRACEBACK, JournalWatch
from lab.record import node_number
from tests.history.checker import check
from tests.history.evidence import JOURNAL_FIELDS, Evidence
from tests.history.figures import Figures, figures, table, too_little
from tests.history.findings import Findings
from tests.history.nemesis import CLOCK_FILE, Nemesis, Running, clock_file
from tests.history.node_client import STUCK_SECONDS
from tests.history.node_worker import LOCKS, TOP
from tests.history.plan import FIRST, KINDS, LONG_SECONDS, moves
from tests.history.records import History
from tests.history.watch import DIRECTORY, Watch, directory_of
from tests.lab.support_fs import PVE, PYTHON, prepare, wait_converged, wait_ready

HERE = Path(__file__).parent
PROGRAMS = ("node_client.py", "node_worker.py", "node_status.py", "node_calls.py", "node_values.py")
ARTIFACTS = HERE.parents[1] / "artifacts/history"
DISK_MIB = 192
"""For the database, its log, and what a few synchronisations save."""
WORKERS = 3
REGISTERS = 6
LOCK_NAMES = 10
PAUSE = 0.03
"""Mean seconds between two operations of a process: enough to meet, and the machine can still breathe."""
RECOVER_SECONDS = 90.0
"""After the end of a fault every node must be writable again; the longest bound inside is 30 s."""
STATUS_SECONDS = 20.0
"""After that: several synchronisations later."""
LOST = "backup/replaced-*.tar.gz"
"""What a node puts aside, below its disk; it keeps the newest ten."""
MAX_SHOWN = 20
MAX_LINE = 500
Report = Callable[[str], None]


@dataclass(slots=True)
class Result:
    history: History
    findings: Findings
    figures: Figures
    seconds_to_identical: float
    """From the last healing until all databases were the same."""


class Run:
    """Use once: prepare(), with all nodes off, then play(), then collect()."""

    def __init__(self, lab: Lab, *, seed: int, report: Report = lambda text: None) -> None:
        self._lab = lab
        self._seed = seed
        self._say = report
        self._clients: dict[str, Process] = {}
        self._lives: dict[str, int] = {}
        self._started = 0
        self._seconds = 0.0
        self._watch = Watch(lab)
        self._nemesis = Nemesis(lab, self._start_client)
        self._journals = JournalWatch(lab)
        self._findings = Findings()
        self._nodes = tuple(lab.record.node_names())
        self.evidence = Evidence(self._nodes)

    def prepare(self) -> None:
        """Put configuration, clients, clock and disks into the nodes, boot them, make the directories."""
        prepare(self._lab)
        self._lab.add_disks(DISK_MIB)
        for node in self._nodes:
            upper = self._lab.record.node_dir(node) / "upper"
            package = upper / "root/tests/history"
            package.mkdir(parents=True)
            for name in PROGRAMS:
                shutil.copy(HERE / name, package / name)
            hook = upper / "root/clock"
            hook.mkdir()
            shutil.copy(HERE / "node_clock.py", hook / "sitecustomize.py")
            unit = upper / "etc/systemd/system/pve-cluster.service.d"
            unit.mkdir(parents=True)
            (unit / "clock.conf").write_text("[Service]\nEnvironment=PYTHONPATH=/root/clock\n")
            clock_file(self._lab, node).parent.mkdir(parents=True, exist_ok=True)
            clock_file(self._lab, node).write_bytes(struct.pack("<d", 0.0))
            directory_of(self._lab, node).mkdir()
        self._lab.power_on()
        wait_ready(self._lab.nodes)
        for each in self._lab.nodes:
            maps = each.run(["sh", "-c", "cat /proc/$(cat /run/pve-cluster.pid)/maps"]).stdout
            if CLOCK_FILE not in maps:
                raise LabError(f"pmxcfs on {each.name} does not read the clock that the check moves.")
        script = f"cd {PVE} && mkdir -p priv/lock && mkdir {TOP} && cd {TOP} && mkdir r t x d m s c"
        self._lab.nodes[0].run(["sh", "-c", script])
        assert LOCKS == "priv/lock"

    def play(self, seconds: float) -> None:
        """Clients and nemesis for so long; then all is healed, and the clients end."""
        self._started = time.monotonic_ns()
        self._seconds = seconds
        for node in self._lab.nodes:
            self._start_client(node)
        end = time.monotonic() + seconds
        self._must_recover(time.monotonic(), "the start")
        for number, move in enumerate(moves(self._seed, self._nodes, len(self._lab.links))):
            if time.monotonic() > end and number >= len(FIRST):
                break
            self._say(f"{self._clock(end)} {' + '.join(map(str, move.faults))} for {move.seconds} s")
            running: list[Running] = []
            for fault in move.faults:
                running.append(self._nemesis.apply(fault))
            time.sleep(move.seconds)
            for each in reversed(running):
                self._nemesis.heal(each)
            self._copy_backups()
            if not move.hurry:
                self._must_recover(time.monotonic(), " + ".join(map(str, move.faults)))
                time.sleep(move.quiet)
        self._lab.heal()
        self.evidence.healed = time.monotonic()
        self._must_recover(time.monotonic(), "everything")
        self._stop_clients()

    def collect(self) -> Result:
        """Compare the nodes, read all files, check."""
        healed = time.monotonic()
        evidence = self.evidence
        try:
            tree = wait_converged(self._lab.nodes).tree()
        except (LabError, AssertionError) as fault:
            self._findings.add("not identical", str(fault))
        else:
            for entry in tree.by_inode.values():
                if entry.inode:
                    path = tree.path_of(entry).decode()
                    evidence.final[path] = None if entry.children is not None else entry.data or b""
        identical = time.monotonic() - healed
        self._look_at_status()
        evidence.faults = list(self._nemesis.done)
        self._gather()
        history = evidence.history()
        findings = check(history)
        result = figures(history, findings)
        for text in too_little(result, KINDS if self._seconds >= LONG_SECONDS else FIRST):
            findings.add("too little judged", text)
        findings.violations = self._findings.violations + findings.violations
        return Result(history, findings, result, identical)

    def _look_at_status(self) -> None:
        """Until all know the same; what differs then is the checker's business."""
        looks = self.evidence.looks

        def same() -> bool:
            for node in self._lab.nodes:
                argv = [PYTHON, "-m", "tests.history.node_status", *self._nodes]
                looks[node.name] = json.loads(node.run(argv).stdout)
            return all(look == looks[self._nodes[0]] for look in looks.values())

        with suppress(WaitTimeoutError):
            wait_for(same, timeout=STATUS_SECONDS, what="the same status everywhere")

    def keep(self, directory: Path, result: Result | None) -> None:
        """Write histories, journals and the result for somebody to look at."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        if not self.evidence.journals:  # it did not come to an end
            self._gather()
        self.evidence.save(directory)
        for node in self._lab.nodes:
            (directory / f"{node.name}.journal").write_text(node.journal(None, "-o", "short-monotonic"))
        if result is not None:
            lines = [f"{kind}: {text}" for kind, text in result.findings.violations]
            lines += [f"(excused: {reason}) {kind}: {text}" for kind, text, reason in result.findings.excused]
            lines += [f"(fault) {fault}" for fault in result.history.faults]
            (directory / "findings.txt").write_text("\n".join([*lines, ""]))
            (directory / "result.json").write_text(as_json(result, self._seed))

    # Clients

    def _start_client(self, node: Node) -> None:
        if node.name in self._clients:
            self._clients.pop(node.name).kill()
        self._lives[node.name] = self._lives.get(node.name, 0) + 1
        plan = {
            "node": node.name,
            "nodes": self._nodes,
            "everyone": WORKERS * len(self._nodes),
            "index": WORKERS * (node_number(node.name) - 1),
            "started": self._started,
            "pause": PAUSE,
            "seed": self._seed,
            "directory": DIRECTORY,
            "registers": REGISTERS,
            "locks": LOCK_NAMES,
            "workers": WORKERS,
            "life": self._lives[node.name],
        }
        client = node.start_process([PYTHON, "-u", "-m", "tests.history.node_client", json.dumps(plan)])
        self._clients[node.name] = client
        line = client.stdout.readline()
        if line != "started\n":
            raise LabError(f"The client on {node.name} did not start: {line}{client.stdout.read()}")

    def _stop_clients(self) -> None:
        for client in self._clients.values():
            client.stdin.close()
        for node, client in self._clients.items():
            try:
                client.wait(2 * STUCK_SECONDS)
            finally:
                text = client.stdout.read() if client.poll() is not None else ""
                if text:
                    self._findings.add("client died", f"{node}: {text}")
                client.kill()

    def _must_recover(self, since: float, what: str) -> None:
        if self._watch.wait_recovered(since, RECOVER_SECONDS):
            return
        behind = [node for node, latest in self._watch.latest.items() if latest <= since]
        text = f"{', '.join(behind)} not writable {RECOVER_SECONDS:g} s after {what} (ended at {since:.3f})"
        self._findings.add("not recovered", text)
        self._say(text)
        for node in self._lab.nodes:  # so that the rest of the run is not about this alone
            for unit in ("corosync", "pve-cluster"):
                node.systemctl("reset-failed", unit, check=False)
                node.systemctl("start", unit, check=False)

    def _clock(self, end: float) -> str:
        self._watch.look()
        counts = self._watch.outcomes
        left = max(0, int(end - time.monotonic()))
        done = f"{counts['ok']} ok, {counts['fail']} failed, {counts['info']} unknown"
        return f"[{left // 60}:{left % 60:02} left, {done}]"

    # Reading

    def _gather(self) -> None:
        for node in self._lab.nodes:
            for path in directory_of(self._lab, node.name).glob("*.jsonl"):
                self.evidence.processes[path.stem] = path.read_text()
            self.evidence.journals[node.name] = node.journal("pve-cluster", *JOURNAL_FIELDS)
        self._copy_backups()
        for complaint in self._journals.complaints():
            if complaint.text.startswith(TRACEBACK):
                self._findings.add("traceback", str(complaint))

    def _copy_backups(self) -> None:
        """Of what nodes put aside: later they drop the oldest."""
        for node in self._nodes:
            place = disk_of(self._lab.record.node_dir(node))
            assert place, "the nodes have disks of their own"
            kept = self.evidence.backups.setdefault(node, {})
            for path in place.glob(LOST):
                if len(kept.get(path.name, b"")) != path.stat().st_size:
                    kept[path.name] = path.read_bytes()


def as_json(result: Result, seed: int) -> str:
    data = {
        "seed": seed,
        "nodes": len(result.history.nodes),
        "violations": result.findings.violations,
        "excused": result.findings.excused,
        "seconds_to_identical": result.seconds_to_identical,
        **asdict(result.figures),
    }
    return json.dumps(data, indent=1)


def run(
    lab: Lab,
    *,
    seed: int,
    seconds: float,
    keep: Path,
    always: bool = False,
    report: Report = lambda text: None,
) -> Result:
    """The whole check on a lab whose nodes are off. When something was violated or went wrong (``always``: in
    any case), all that there is to look at lies in ``keep``."""
    check_run = Run(lab, seed=seed, report=report)
    result: Result | None = None
    try:
        check_run.prepare()
        check_run.play(seconds)
        result = check_run.collect()
    finally:
        if always or result is None or result.findings.violations:
            check_run.keep(keep, result)
    return result


def new_seed() -> int:
    """For a run that is told none: every run looks at something else."""
    return secrets.randbelow(1_000_000)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; exit status 1 when something was violated, or too little was looked at."""
    parser = argparse.ArgumentParser(prog="./dev history")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="histories and journals in any case")
    arguments = parser.parse_args(argv)
    seed = new_seed() if arguments.seed is None else arguments.seed
    print(f"history check: --seed {seed}", flush=True)
    keep = ARTIFACTS / f"seed-{seed}-{os.getpid()}"
    with Lab(nodes=arguments.nodes, links=2, boot=[]) as lab:
        result = run(
            lab,
            seed=seed,
            seconds=arguments.minutes * 60,
            keep=keep,
            always=arguments.keep,
            report=lambda text: print(text, flush=True),
        )
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    (ARTIFACTS / "last.json").write_text(as_json(result, seed))
    print(f"\n{table(result.figures)}")
    print(f"identical databases {result.seconds_to_identical:.1f} s after the clients had ended")
    for kind, text, reason in result.findings.excused[:MAX_SHOWN]:
        print(f"  (excused: {reason}) {kind}: {text[:MAX_LINE]}")
    if not result.findings.violations:
        print("\nNothing that is promised was violated.")
        return 0
    print(f"\n{len(result.findings.violations)} violations; everything lies in {keep}:")
    for kind, text in result.findings.violations[:MAX_SHOWN]:
        print(f"  {kind}: {text[:MAX_LINE]}")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
