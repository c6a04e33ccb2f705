"""What stands in a certificate file, for people and for the interface (pvecm 4.5, 6.8)."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding


class CertificateError(Exception):
    """A file holds no readable certificate; the text names it."""


def certificate_info(path: Path, *, name: str | None = None) -> dict[str, object]:
    """Facts about the first certificate of a PEM file. Raises FileNotFoundError, CertificateError."""
    try:
        certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    except FileNotFoundError:
        raise
    except OSError as err:
        raise CertificateError(f"unable to read '{path}': {err.strerror}") from err
    except (ValueError, IndexError) as err:
        raise CertificateError(f"'{path}' holds no certificate") from err
    key = certificate.public_key()
    info: dict[str, object] = {
        "filename": name or path.name,
        "subject": _name(certificate.subject),
        "issuer": _name(certificate.issuer),
        "san": _alternative_names(certificate),
        "notbefore": int(certificate.not_valid_before_utc.timestamp()),
        "notafter": int(certificate.not_valid_after_utc.timestamp()),
        "fingerprint": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        "pem": certificate.public_bytes(Encoding.PEM).decode("ascii"),
        "public-key-type": "unknown",
    }
    if isinstance(key, rsa.RSAPublicKey):
        info |= {"public-key-type": "rsaEncryption", "public-key-bits": key.key_size}
    elif isinstance(key, ec.EllipticCurvePublicKey):
        info |= {"public-key-type": "id-ecPublicKey", "public-key-bits": key.key_size}
    return info


def _name(name: x509.Name) -> str:
    """``/CN=.../O=...``, in the order of the certificate."""
    return "".join(f"/{part.rfc4514_attribute_name}={part.value!s}" for part in name)


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(name.value) for name in found if isinstance(name, x509.DNSName | x509.IPAddress)]
