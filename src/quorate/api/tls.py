"""The front's TLS: certificate, protocol versions, ciphers, by /etc/default/pveproxy (pvecm 6.1)."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final

from quorate.api.proxyconfig import ProxyConfig, parse_proxy_config
from quorate.settings import Settings

_log = logging.getLogger(__name__)

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"
"""For TLS 1.2: forward secrecy and authenticated encryption, nothing else."""
MAX_CONFIG: Final = 64 * 1024


class TlsError(Exception):
    """The front cannot speak TLS; the text says why and what to do."""


def read_proxy_config(settings: Settings, *, complain: bool = True) -> ProxyConfig:
    """The settings of the front; the defaults without the file. Raises `TlsError` if it cannot be read.

    ``complain``: log what is wrong in it.
    """
    path = settings.proxy_config
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CONFIG)
    except FileNotFoundError:
        return ProxyConfig()
    except OSError as err:
        raise TlsError(f"unable to read '{path}', which says who may connect: {err.strerror}") from err
    config = parse_proxy_config(text)
    for warning in config.warnings if complain else ():
        _log.warning("%s: %s", path, warning)
    return config


def tls_context(settings: Settings, config: ProxyConfig) -> ssl.SSLContext:
    """A context with the certificate loaded. Raises `TlsError`."""
    if config.disable_tls_1_2 and config.disable_tls_1_3:
        raise TlsError(f"'{settings.proxy_config}' disables TLS 1.2 and TLS 1.3: nothing is left to speak")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if config.disable_tls_1_2 else ssl.TLSVersion.TLSv1_2
    if config.disable_tls_1_3:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if config.honor_cipher_order:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(config.ciphers or CIPHERS)
    except ssl.SSLError as err:
        raise TlsError(f"CIPHERS in '{settings.proxy_config}': OpenSSL knows none of them") from err
    if config.ciphersuites is not None:
        _log.warning("CIPHERSUITES is not supported: TLS 1.3 uses OpenSSL's own list")
    if config.dhparams is not None:
        try:
            context.load_dh_params(config.dhparams)
        except (OSError, ssl.SSLError) as err:
            raise TlsError(f"unable to use the DHPARAMS '{config.dhparams}': {err}") from err
    load_certificate(context, settings, config)
    return context


def load_certificate(context: ssl.SSLContext, settings: Settings, config: ProxyConfig) -> None:
    """Use the administrator's certificate if key and certificate are there, else the node's own."""
    local = settings.mountpoint / "local"
    own_key = Path(config.tls_key_file) if config.tls_key_file is not None else local / "pveproxy-ssl.key"
    custom = (local / "pveproxy-ssl.pem", own_key)
    own = (local / "pve-ssl.pem", local / "pve-ssl.key")
    certificate, key = own
    try:
        certificate, key = custom if all(path.exists() for path in custom) else own
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as err:
        reason = err.strerror or str(err)
        raise TlsError(
            f"unable to use the certificate '{certificate}' with the key '{key}': {reason} - is the cluster"
            " file system running (systemctl status pve-cluster), were certificates made (pvecm updatecerts)?"
        ) from err
