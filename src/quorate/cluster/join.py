"""``pvecm add``: this node joins a cluster over the API of a member (pvecm 3.3 to 3.5).

Every change has its undo: up to the moment at which the node is a member in sync, a failure leaves it as it
was and takes its entry in the cluster back. After that moment the error says how to resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from quorate.cfs import CfsError
from quorate.cluster import joinlocal, nodefiles, ssh
from quorate.cluster.commands import CommandError
from quorate.cluster.host import ClusterError, Host
from quorate.cluster.joincheck import assert_joinable, resolve_own_links
from quorate.cluster.locks import local_lock
from quorate.cluster.peer import Peer, PeerError
from quorate.cluster.undo import UndoList
from quorate.corosync.conf_edit import Link
from quorate.settings import JOIN_API_VERSION

OLDEST_CLUSTER: Final = 0
NO_SUCH_METHOD: Final = 501
RELOAD_SECONDS: Final = 90.0
RESUME: Final = (
    "this node is a member of the cluster now; to finish run 'pvecm updatecerts --force' and then"
    " 'systemctl reload-or-restart pvedaemon pveproxy'"
)


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What the joining side asks for; the password is kept out of it."""

    hostname: str
    links: Mapping[int, Link] = field(default_factory=dict)
    nodeid: int | None = None
    votes: int | None = None
    force: bool = False


def join(host: Host, request: JoinRequest, peer: Peer, password: str) -> None:
    """Make this node a member of the peer's cluster; raises ClusterError (see the head of this file)."""
    with local_lock(host, host.settings.pvecm_lock):
        links = resolve_own_links(host, request.links)
        assert_joinable(host, links, force=request.force)
        host.out.line(f"Establishing API connection with host '{request.hostname}'")
        _login(peer, password)
        host.out.line("Login succeeded.")
        host.out.line("check cluster join API version")
        version = _api_version(peer)
        check_version(version)
        undo = UndoList()
        with taken_back_on_failure(host, undo):
            authkey, conf = _request_addition(host, request, links, version, peer, undo)
            host.out.line("Join request OK, finishing setup locally")
            joinlocal.install(
                host,
                authkey,
                conf,
                undo,
                present_conf=lambda: _present_conf(host, request, links, version, peer),
            )
        finish(host)


def finish(host: Host) -> None:
    """The member's own files and services (pvecm 3.5 from step 6); may be repeated."""
    try:
        ssh.setup_sshd(host)
        nodefiles.updatecerts(host, force=True, link_known_hosts=True)
        host.out.line("generated new node certificate, restart pveproxy and pvedaemon services")
        host.run(["systemctl", "reload-or-restart", "pvedaemon", "pveproxy"], timeout=RELOAD_SECONDS)
    except (ClusterError, CfsError, CommandError, OSError) as e:
        raise ClusterError(f"{e}\n{RESUME}") from e
    host.out.line(f"successfully added node '{host.node}' to cluster.")


@contextmanager
def taken_back_on_failure(host: Host, undo: UndoList) -> Iterator[None]:
    """Run the undo list when the body fails, and say in the error what could not be taken back."""
    try:
        yield
    except BaseException as e:
        left = undo.run(host.out.line)
        if left:
            steps = "\n".join(f"* {text}" for text in left)
            raise ClusterError(f"{e}\nThe join was taken back, except for:\n{steps}") from e
        raise
    undo.commit()


def _login(peer: Peer, password: str) -> None:
    try:
        peer.login("root@pam", password)
    except PeerError as e:
        if e.status == NO_SUCH_METHOD:
            raise ClusterError(
                "Remote side is not able to use API for Cluster join!\n"
                "Pass the 'use_ssh' switch or update the remote side."
            ) from e
        raise


def _api_version(peer: Peer) -> int:
    try:
        return int(peer.call("GET", "/cluster/config/apiversion"))
    except (PeerError, ValueError, TypeError):
        return 0


def check_version(version: int) -> None:
    if version < OLDEST_CLUSTER:
        raise ClusterError(
            f"error: incompatible join API version on cluster ({version}), local node has {JOIN_API_VERSION}"
            f" and supports >= {OLDEST_CLUSTER}. Make sure all cluster nodes are up-to-date."
        )


def _request_addition(
    host: Host,
    request: JoinRequest,
    links: Mapping[int, Link],
    version: int,
    peer: Peer,
    undo: UndoList,
) -> tuple[bytes, bytes]:
    form = _form(host, request, links, version)
    host.out.line("Request addition of this node")
    known_before = _is_known(peer, host.node)
    if known_before is False:
        # Also after an answer that never came: the entry may have been made all the same.
        undo.add(
            f"take back the entry of '{host.node}' in the cluster",
            lambda: _take_back(peer, host.node),
            by_hand=delnode_by_hand(host.node),
        )
    try:
        data = peer.call("POST", f"/cluster/config/nodes/{host.node}", form)
    except PeerError as e:
        # An error may also come after the entry was made: the member ran out of time, say.
        if not e.sent or (e.status and _is_known(peer, host.node) is False):
            undo.commit()  # never asked, or refused: nothing was entered
        host.out.error(f"An error occurred on the cluster node: {e.reason}")
        for key, text in sorted(e.errors.items()):
            host.out.error(f"{'*' if key.startswith('warning') else '!'} {text}")
        raise ClusterError("Cluster join aborted!") from e
    return _admission(host, data)


def _present_conf(
    host: Host, request: JoinRequest, links: Mapping[int, Link], version: int, peer: Peer
) -> bytes:
    """The cluster's corosync.conf as it is now: the answer to the same request once more."""
    form = {**_form(host, request, links, version, say=False), "force": True}
    return _admission(host, peer.call("POST", f"/cluster/config/nodes/{host.node}", form))[1]


def _form(
    host: Host, request: JoinRequest, links: Mapping[int, Link], version: int, *, say: bool = True
) -> dict[str, object]:
    form: dict[str, object] = {}
    if request.force:
        form["force"] = True
    if request.nodeid:
        form["nodeid"] = request.nodeid
    if request.votes is not None:
        form["votes"] = request.votes
    for number, link in sorted(links.items()):
        priority = "" if link.priority is None else f",priority={link.priority}"
        form[f"link{number}"] = f"{link.address}{priority}"
    if not links:
        ip = host.local_ip()
        form["new_node_ip" if version >= 1 else "link0"] = ip
        if say:
            host.out.line(f"No cluster network links passed explicitly, fallback to local node IP '{ip}'")
    if version >= 1:
        form["apiversion"] = JOIN_API_VERSION
    return form


def _is_known(peer: Peer, node: str) -> bool | None:
    """Whether the cluster has an entry of this name already; None if it does not say."""
    try:
        listed: Any = peer.call("GET", "/cluster/config/nodes")
    except PeerError:
        return None
    return any(entry.get("name") == node for entry in listed or ())


def delnode_by_hand(node: str) -> str:
    """What a person does about an entry that could not be taken back."""
    return (
        f"run 'pvecm delnode {node}' on any member of the cluster ('is not a known host' there means that"
        " nothing was entered; if it has no quorum because no other member is online, run"
        " 'pvecm expected 1' first)"
    )


def _take_back(peer: Peer, node: str) -> None:
    path = f"/cluster/config/nodes/{node}"
    try:
        peer.call("DELETE", path, {"takeback": True})
    except PeerError as e:
        if "is not a known host of the cluster" in e.reason:
            return  # the request had not been carried out
        if e.status != 400:
            raise
        peer.call("DELETE", path)  # a member that does not know the word


def _admission(host: Host, data: Any) -> tuple[bytes, bytes]:
    """Both files; every byte travels as one code point below 256 (pvecm 3.4 step 7)."""
    try:
        authkey = str(data["corosync_authkey"]).encode("latin-1")
        conf = str(data["corosync_conf"]).encode("latin-1")
        warnings = [str(text) for text in data.get("warnings") or ()]
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError) as e:
        raise ClusterError(
            "the cluster's answer to the join request is not as expected, join aborted!"
        ) from e
    for text in warnings:
        host.out.error(f"cluster: {text}")
    return authkey, conf
