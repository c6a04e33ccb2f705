"""Which certificate a node's web server shows, by what lies in its directory of the cluster file system."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from quorate.schema import ApiError


def certificate_digest(directory: Path) -> bytes:
    """SHA-256 over the leaf certificate that a node's web server shows. Raises `ApiError`."""
    for name in ("pveproxy-ssl.pem", "pve-ssl.pem"):
        try:
            text = (directory / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as err:
            raise ApiError(500, f"unable to read '{directory / name}': {err.strerror}") from err
        end = "-----END CERTIFICATE-----"
        start = text.find("-----BEGIN CERTIFICATE-----")
        try:
            return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[start : text.index(end) + len(end)])).digest()
        except ValueError as err:
            raise ApiError(500, f"'{directory / name}' holds no certificate") from err
    raise ApiError(500, f"no certificate of node '{directory.name}' in '{directory}'")
