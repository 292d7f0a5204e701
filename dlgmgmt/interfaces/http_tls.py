"""The certificate of the HTTP server, and those by which its clients may be known."""

from __future__ import annotations

import ssl

from dlgmgmt.interfaces.settings import HttpSettings


class TlsError(Exception):
    """A file cannot be used."""


def server_context(settings: HttpSettings) -> ssl.SSLContext | None:
    """Read the files; None where HTTP is spoken in the clear. Raises TlsError.

    Nobody but ``client_ca`` is believed about clients, and a client need not show a certificate:
    it may have a token instead.
    """
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # An empty password: a key that needs one must not make the daemon ask for it.
        context.load_cert_chain(settings.certificate, settings.private_key, password="")
        if settings.client_ca is not None:
            context.load_verify_locations(settings.client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error.strerror or error
        files = [settings.certificate, settings.private_key, settings.client_ca]
        names = ", ".join(name for name in files if name is not None)
        raise TlsError(f"cannot use one of {names}: {why}") from error
    return context
