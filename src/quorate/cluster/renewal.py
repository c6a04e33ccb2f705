"""When a node's certificate is due for a new one (pvecm 4.5), and making it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from quorate.cluster import certificates as certs
from quorate.cluster.host import ClusterError, Host

SHORT: Final = datetime.timedelta(days=14)
"""Renewed when no more than this is left."""
LONG: Final = datetime.timedelta(days=certs.NODE_DAYS)
"""Clients refuse certificates that are good for longer; the product once made such."""


@dataclass(frozen=True, slots=True)
class Verdict:
    renew: bool
    reason: str


def judge(certificate_pem: bytes, ca_pem: bytes, now: datetime.datetime) -> Verdict:
    """Whether the certificate is ours and due. Raises ClusterError if one of them cannot be read."""
    certificate, ca = _load(certificate_pem, "the node's certificate"), _load(ca_pem, "the CA's certificate")
    if certificate.issuer != ca.subject:
        return Verdict(False, "it was not issued by the cluster's CA")
    try:
        certificate.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, ValueError):
        return Verdict(False, "its signature is not that of the cluster's CA")
    end = certificate.not_valid_after_utc
    if end <= now:
        return Verdict(True, f"it expired on {end:%Y-%m-%d}")
    if end - now <= SHORT:
        return Verdict(True, f"it expires on {end:%Y-%m-%d}")
    if end - now > LONG:
        return Verdict(True, f"it is valid for more than 2 years, until {end:%Y-%m-%d}")
    return Verdict(False, f"it is valid until {end:%Y-%m-%d}")


def renew_if_due(host: Host) -> bool:
    """Make a new certificate for this node if it is due, and let pveproxy serve it; whether it did.

    Raises ClusterError, CfsError, CommandError. Without quorum nothing can be made; the next day comes.
    """
    cfs = host.cfs
    path = certs.node_certificate(host.node)
    if not cfs.mounted() or not cfs.quorate():
        host.out.line("no quorum: leaving the certificate as it is")
        return False
    if not cfs.exists(path) or not cfs.exists(certs.CA_CERTIFICATE):
        host.out.line("there is no certificate yet: 'pvecm updatecerts' makes it")
        return False
    now = datetime.datetime.fromtimestamp(host.clock.now(), datetime.UTC)
    verdict = judge(cfs.read(path), cfs.read(certs.CA_CERTIFICATE), now)
    if not verdict.renew:
        host.out.line(f"leaving the certificate as it is: {verdict.reason}")
        return False
    host.out.line(f"renewing the certificate: {verdict.reason}")
    certs.ensure_node_certificate(host, host.node, host.local_ip(), force=True)
    host.run(["systemctl", "reload-or-restart", "pveproxy"])
    return True


def _load(pem: bytes, what: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as e:
        raise ClusterError(f"unable to read {what}: {e}") from e
