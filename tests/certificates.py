"""Both ends of TLS, with certificates of an authority that exists for the tests only."""

import ssl
from typing import Final

import trustme

__all__ = ["CA", "authority", "client_side", "server_side", "show"]

CA: Final = trustme.CA()


def authority(ca: trustme.CA) -> str:
    """Give the certificate that others are to trust."""
    return ca.cert_pem.bytes().decode()


def show(context: ssl.SSLContext, certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Have one end show a certificate."""
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        context.load_cert_chain(path)
    return context


def server_side(*, demanding: bool = True, trusted: trustme.CA = CA) -> ssl.SSLContext:
    """Make the server's end, which perhaps demands certificates that an authority has signed."""
    context = show(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), CA.issue_cert("localhost"))
    if demanding:
        context.load_verify_locations(cadata=authority(trusted))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_side(name: str | None = None, ca: trustme.CA = CA) -> ssl.SSLContext:
    """Make a client's end, which perhaps shows a certificate for a name."""
    context = ssl.create_default_context(cadata=authority(CA))
    if name is None:
        return context
    return show(context, ca.issue_cert("someone@example.org", common_name=name or None))
