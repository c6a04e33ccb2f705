"""The cluster's certificate authority and the nodes' certificates (pvecm 4.5), the ticket key (4.6).

What is created where and when it is missing; who calls this and in which order is nodefiles' business.
"""

from __future__ import annotations

import datetime
import ipaddress
import uuid
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quorate.cfs import file_lock_id
from quorate.cluster.host import ClusterError, Host

CA_CERTIFICATE: Final = "pve-root-ca.pem"
CA_KEY: Final = "priv/pve-root-ca.key"
CA_SERIAL: Final = "priv/pve-root-ca.srl"
WWW_KEY: Final = "pve-www.key"
AUTH_KEY: Final = "priv/authkey.key"
AUTH_PUBLIC_KEY: Final = "authkey.pub"
AUTH_LOCK: Final = "authkey"
SERIAL_LOCK: Final = file_lock_id(CA_SERIAL)
"""Nodes that join together would sign with the same number, and browsers refuse the second of them."""

CA_DAYS: Final = 3650
NODE_DAYS: Final = 730
CA_MINIMUM_DAYS: Final = 14
CA_KEY_BITS: Final = 4096
KEY_BITS: Final = 2048
ONE_DAY: Final = datetime.timedelta(days=1)
"""Certificates start a day early, so that a node whose clock is behind accepts them."""
FIRST_SERIAL: Final = "0000000000000000"


def node_certificate(node: str) -> str:
    return f"nodes/{node}/pve-ssl.pem"


def node_key(node: str) -> str:
    return f"nodes/{node}/pve-ssl.key"


def fingerprint(certificate_pem: bytes) -> str:
    """SHA-256 over the DER form: 32 upper-case hex bytes joined by colons. Raises ValueError."""
    digest = x509.load_pem_x509_certificate(certificate_pem).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def ensure_ca(host: Host) -> bool:
    """Create the CA where its key or certificate is missing; True if it was created."""
    cfs = host.cfs
    if cfs.exists(CA_KEY) and cfs.exists(CA_CERTIFICATE):
        return False
    key_pem = new_key(CA_KEY_BITS)
    cfs.write(CA_KEY, key_pem, mode=0o600)
    cfs.write(CA_CERTIFICATE, new_ca(key_pem, _now(host)))
    return True


def ensure_node_key(host: Host, node: str) -> None:
    if not host.cfs.exists(node_key(node)):
        host.cfs.write(node_key(node), new_key(KEY_BITS))


def ensure_www_key(host: Host) -> None:
    """The secret from which CSRF tokens are made."""
    if not host.cfs.exists(WWW_KEY):
        host.cfs.write(WWW_KEY, new_key(KEY_BITS))


def ensure_auth_key(host: Host) -> None:
    """The key pair that signs tickets, created once under the cluster lock."""
    if host.cfs.exists(AUTH_KEY):
        return
    with host.cfs.lock(AUTH_LOCK) as held:
        if host.cfs.exists(AUTH_KEY):
            return
        key_pem = new_key(KEY_BITS)
        held.remaining()
        host.cfs.write(AUTH_PUBLIC_KEY, public_key(key_pem))
        host.cfs.write(AUTH_KEY, key_pem, mode=0o600)


def ensure_node_certificate(host: Host, node: str, ip: str, *, force: bool = False) -> bool:
    """Sign a certificate for the node where it is missing, or anyway with ``force``; True if signed."""
    cfs = host.cfs
    if cfs.exists(node_certificate(node)) and not force:
        return False
    with cfs.lock(SERIAL_LOCK):
        serial = _next_serial(host)
    certificate = new_node_certificate(
        ca_pem=cfs.read(CA_CERTIFICATE),
        ca_key_pem=cfs.read(CA_KEY),
        key_pem=cfs.read(node_key(node)),
        node=node,
        ip=ip,
        domain=search_domain(host),
        serial=serial,
        now=_now(host),
    )
    cfs.write(node_certificate(node), certificate)
    return True


def new_ca(key_pem: bytes, now: datetime.datetime) -> bytes:
    """A self-signed CA certificate for the key."""
    key = _load_key(key_pem)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Proxmox Virtual Environment"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, str(uuid.uuid4())),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "PVE Cluster Manager CA"),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    start = now - ONE_DAY
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=CA_DAYS))
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage_of_ca(), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def new_node_certificate(
    *,
    ca_pem: bytes,
    ca_key_pem: bytes,
    key_pem: bytes,
    node: str,
    ip: str,
    domain: str | None,
    serial: int,
    now: datetime.datetime,
) -> bytes:
    """A node's certificate, signed by the CA; raises ClusterError when the CA is about to expire."""
    ca = x509.load_pem_x509_certificate(ca_pem)
    ca_key = _load_key(ca_key_pem)
    days_left = (ca.not_valid_after_utc - now).days
    if days_left < CA_MINIMUM_DAYS:
        raise ClusterError("CA expires in less than 2 weeks, unable to generate certificate.")
    fqdn = f"{node}.{domain}" if domain else node
    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address(ip)),
        x509.DNSName(node),
    ]
    if domain:
        names.append(x509.DNSName(fqdn))
    public = _load_key(key_pem).public_key()
    start = now - ONE_DAY
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "PVE Cluster Node"),
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Proxmox Virtual Environment"),
                    x509.NameAttribute(NameOID.COMMON_NAME, fqdn),
                ]
            )
        )
        .issuer_name(ca.subject)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=min(days_left - 2, NODE_DAYS)))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority(ca), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def new_key(bits: int) -> bytes:
    """A private RSA key, PKCS#1 PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def public_key(key_pem: bytes) -> bytes:
    """SubjectPublicKeyInfo PEM of a private key."""
    return (
        _load_key(key_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def search_domain(host: Host) -> str | None:
    """The first word of the last ``search`` or ``domain`` line of resolv.conf."""
    try:
        lines = host.settings.at("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = None
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] in ("search", "domain"):
            found = words[1].rstrip(".") or None
    return found


def _next_serial(host: Host) -> int:
    """Count the serial file up. A file that holds no number is an error: a serial must not come twice."""
    if not host.cfs.exists(CA_SERIAL):
        host.cfs.write(CA_SERIAL, f"{FIRST_SERIAL}\n".encode(), mode=0o600)
    text = host.cfs.read(CA_SERIAL).decode("ascii", "replace").strip()
    try:
        serial = int(text, 16) + 1
    except ValueError:
        path = host.cfs.root / CA_SERIAL
        raise ClusterError(
            f"unable to generate pve ssl certificate:\n'{path}' holds no hexadecimal number: '{text}'"
        ) from None
    host.cfs.write(CA_SERIAL, f"{serial:016X}\n".encode(), mode=0o600)
    return serial


def _load_key(pem: bytes) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as e:
        raise ClusterError(f"unable to read a private key: {e}") from e
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ClusterError("unable to use a private key: it is not an RSA key")
    return key


def _key_usage_of_ca() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(_public_of(ca))
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _public_of(ca: x509.Certificate) -> rsa.RSAPublicKey:
    key = ca.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ClusterError("unable to use the cluster's CA: its key is not an RSA key")
    return key


def _now(host: Host) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(host.clock.now()), datetime.UTC)
