"""``/nodes/{node}/certificates/info``: the certificates that this node uses and trusts (pvecm 4.5, 6.8)."""

from __future__ import annotations

from typing import Final

from quorate.api.nodes import NODE
from quorate.host.certificates import CertificateError, certificate_info
from quorate.schema import ALL, ApiError, Array, Context, Integer, Object, Operation, String

FILES: Final = ("pve-root-ca.pem", "pve-ssl.pem", "pveproxy-ssl.pem")


def _info(ctx: Context, node: str) -> list[dict[str, object]]:
    mount = ctx.settings.mountpoint
    result = []
    for name in FILES:
        path = mount / name if name == "pve-root-ca.pem" else mount / "nodes" / ctx.node / name
        try:
            result.append(certificate_info(path, name=name))
        except FileNotFoundError:
            continue
        except CertificateError as err:
            raise ApiError(500, str(err)) from err
    return result


OPERATIONS: Final = [
    Operation(
        method="GET",
        path="/nodes/{node}/certificates/info",
        name="info",
        description="The cluster's CA, the node's own certificate, and the administrator's if there is one.",
        handler=_info,
        parameters={"node": NODE},
        returns=Array(
            items=Object(
                properties={
                    "filename": String(description="Name of the file."),
                    "subject": String(description="Whose it is."),
                    "issuer": String(description="Who signed it."),
                    "san": Array(description="Names and addresses it is for.", items=String()),
                    "notbefore": Integer(description="Valid from (epoch).", unit="epoch"),
                    "notafter": Integer(description="Valid until (epoch).", unit="epoch"),
                    "fingerprint": String(description="SHA-256."),
                    "pem": String(description="The certificate."),
                    "public-key-type": String(description="Kind of key."),
                    "public-key-bits": Integer(description="Its size.", optional=True),
                }
            )
        ),
        permission=ALL,
        proxyto_node=True,
    )
]
