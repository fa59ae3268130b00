"""What a client's certificate says, and the one name in it that stands for a user.

TLS has verified the certificate before anything here is asked: that it was issued by a CA of ``client_ca_file`` for
client authentication, that it is in time, and that the client holds its key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.config.server import ClientCertificates
from gateway.errors import CredentialRejected

_LONGEST_NAME: Final = 254


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that TLS has verified. ``fingerprint`` is the SHA-256 of its DER form."""

    fingerprint: str
    der: bytes

    @classmethod
    def of(cls, der: bytes) -> ClientCertificate:
        return cls(hashlib.sha256(der).hexdigest(), der)


@dataclass(frozen=True, slots=True)
class CertifiedName:
    """Whom a certificate names, and until when it is good."""

    name: str
    expires_at: datetime


def certified_name(certificate: ClientCertificate, mapping: ClientCertificates) -> CertifiedName:
    """Return the user's name. Raises CredentialRejected unless there is exactly one, in the form that is asked for."""
    try:
        parsed = x509.load_der_x509_certificate(certificate.der)
        names = set(_names(parsed, mapping.user_from))
    except ValueError as error:
        raise CredentialRejected("certificate_malformed") from error
    if len(names) != 1:  # of two it could not be said which one asks
        raise CredentialRejected("certificate_names_nobody" if not names else "certificate_names_several")
    name = names.pop()
    if not name.startswith(mapping.strip_prefix) or len(name) > _LONGEST_NAME + len(mapping.strip_prefix):
        raise CredentialRejected("certificate_names_nobody")
    return CertifiedName(name.removeprefix(mapping.strip_prefix), parsed.not_valid_after_utc)


def _names(parsed: x509.Certificate, user_from: str) -> list[str]:
    if user_from == "subject_cn":
        found = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [each.value for each in found if isinstance(each.value, str)]
    try:
        alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    if user_from == "san_email":
        return alternatives.get_values_for_type(x509.RFC822Name)
    if user_from == "san_uri":
        return alternatives.get_values_for_type(x509.UniformResourceIdentifier)
    return alternatives.get_values_for_type(x509.DNSName)
