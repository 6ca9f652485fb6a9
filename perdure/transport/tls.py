"""TLS contexts for both roles: PEM files in, contexts with ALPN "h2" out.

Which files, and when they change, is the caller's business. Key material is never logged or kept here.
"""

from __future__ import annotations

import ssl
from typing import Final

ALPN: Final = "h2"

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: what RFC 9113 section 9.2.2 does not forbid. TLS 1.3 suites are all good."""


def server_context(certificate_file: str, key_file: str, client_ca_file: str | None = None) -> ssl.SSLContext:
    """A server's context from PEM files; with `client_ca_file`, clients must show a certificate of that CA.

    Raises OSError or ssl.SSLError when a file is missing, bad, or the key does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _common(context)
    context.load_cert_chain(certificate_file, key_file)
    if client_ca_file is not None:
        context.load_verify_locations(cafile=client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    server_ca_file: str | None = None,
    certificate_file: str | None = None,
    key_file: str | None = None,
    verify_host: bool = True,
) -> ssl.SSLContext:
    """A client's context; without `server_ca_file` the system's authorities are trusted.

    `verify_host` False checks the chain but not the name in the certificate. Raises as `server_context` does.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _common(context)
    context.check_hostname = verify_host
    if server_ca_file is not None:
        context.load_verify_locations(cafile=server_ca_file)
    else:
        context.load_default_certs()
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, key_file)
    return context


def _common(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
