"""The gateway's own certificates: read strictly, offered with modern choices only, and read again when they change.

What is read once is used for every connection that begins from then on. A pair that cannot be used never replaces one
that can.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from cryptography import x509

from gateway.errors import GatewayError

# Forward secrecy and authenticated encryption only; TLS 1.3 has no other suites (RFC 9325 sections 3.1.1 and 4.2).
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"


class CertificateRejected(GatewayError):
    """A certificate, key or CA file cannot be used; the message says which and why, ``path`` which file."""

    def __init__(self, path: Path, message: str) -> None:
        self.path = path
        super().__init__(f"{path} {message}")


class KeyPair(NamedTuple):
    """A certificate with its chain, and its key, both in PEM."""

    cert_file: Path
    key_file: Path


class Credentials(NamedTuple):
    """What TLS needs. ``valid`` are the first and the last moment at which every certificate is good."""

    context: ssl.SSLContext
    valid: tuple[datetime, datetime]


def load(pairs: Sequence[KeyPair], client_ca_file: Path | None) -> Credentials:
    """Read the files; the first pair is for everybody who asks for no name of another. Raises CertificateRejected."""
    leaves = [_leaf(pair.cert_file) for pair in pairs]
    contexts = [_context(pair, client_ca_file) for pair in pairs]
    names: dict[str, ssl.SSLContext] = {}
    for leaf, context in zip(leaves, contexts, strict=True):
        for name in _names(leaf):
            names.setdefault(name, context)
    first = contexts[0]
    if len(contexts) > 1:
        first.sni_callback = _Chooser(names, first)
    valid = max(leaf.not_valid_before_utc for leaf in leaves), min(leaf.not_valid_after_utc for leaf in leaves)
    return Credentials(first, valid)


class _Chooser:
    """Picks the certificate by the name that a client asks for (RFC 6066 section 3)."""

    def __init__(self, names: Mapping[str, ssl.SSLContext], otherwise: ssl.SSLContext) -> None:
        self._names = names
        self._otherwise = otherwise

    def __call__(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        asked = (name or "").lower()
        context = self._names.get(asked) or self._names.get(f"*.{asked.partition('.')[2]}")
        if context is not None and context is not self._otherwise:
            connection.context = context


def _context(pair: KeyPair, client_ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(pair.cert_file, pair.key_file, password=_refuse_encrypted_key)
    except _EncryptedKey as error:
        raise CertificateRejected(pair.key_file, "is encrypted: give a key without a passphrase") from error
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        reason = f"does not belong to {pair.cert_file}" if mismatch else "holds no private key that can be used"
        raise CertificateRejected(pair.key_file, reason) from error
    except OSError as error:
        raise CertificateRejected(pair.key_file, f"cannot be read: {error.strerror}") from error
    if client_ca_file is not None:
        _ask_clients(context, client_ca_file)
    return context


def _ask_clients(context: ssl.SSLContext, client_ca_file: Path) -> None:
    """Ask for a certificate. One that is given must be good, or there is no connection."""
    _certificates(client_ca_file)
    try:
        context.load_verify_locations(cafile=client_ca_file)
    except OSError as error:  # an SSLError is one
        raise CertificateRejected(client_ca_file, "holds no CA certificate that can be used") from error
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would bring a certificate that nobody looked at again: expired, or of a CA that was removed.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0


def content(path: Path) -> bytes:
    """Return what is in a file. Raises CertificateRejected."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateRejected(path, f"cannot be read: {error.strerror}") from error


def _leaf(cert_file: Path) -> x509.Certificate:
    return _certificates(cert_file)[0]


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content(path))
    except ValueError as error:
        raise CertificateRejected(path, "holds no certificate in PEM") from error


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in found.value.get_values_for_type(x509.DNSName)]


class _EncryptedKey(Exception):
    """OpenSSL would ask for the passphrase on the terminal."""


def _refuse_encrypted_key() -> NoReturn:
    raise _EncryptedKey
