"""The certificates of the TLS listeners (RFC 3261 26.3, RFC 5922)."""

from __future__ import annotations

import ssl

from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.settings import TlsSettings

_VERIFY = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "require": ssl.CERT_REQUIRED,
}
_MINIMUM = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class TlsContexts:
    """What new connections are made with: ``server`` for those accepted, ``client`` for own ones.

    Raises ListenError for files that cannot be used.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    has_certificate: bool

    def __init__(self, settings: TlsSettings) -> None:
        self.use(settings)

    def use(self, settings: TlsSettings) -> None:
        """Read the files (again); on ListenError what was read before stays."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        server.verify_mode = _VERIFY[settings.verify_client]
        client.check_hostname = settings.verify_server
        client.verify_mode = ssl.CERT_REQUIRED if settings.verify_server else ssl.CERT_NONE
        for context in (server, client):
            context.minimum_version = _MINIMUM[settings.minimum]
            _load(context, settings)
        self.server, self.client = server, client
        self.has_certificate = settings.certificate is not None


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.certificate is not None:
        try:
            # An empty password: a key that needs one must not make the daemon ask for it.
            context.load_cert_chain(settings.certificate, settings.private_key, password="")
        except (OSError, ssl.SSLError) as error:
            msg = f"cannot use {settings.certificate} and {settings.private_key}: {_why(error)}"
            raise ListenError(msg) from error
    try:
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
        else:
            context.load_default_certs(
                ssl.Purpose.CLIENT_AUTH
                if context.protocol == ssl.PROTOCOL_TLS_SERVER
                else ssl.Purpose.SERVER_AUTH
            )
    except (OSError, ssl.SSLError) as error:
        msg = f"cannot use {settings.ca_file}: {_why(error)}"
        raise ListenError(msg) from error


def _why(error: OSError) -> str:
    reason = getattr(error, "reason", "")
    return str(reason or error.strerror or error)
