"""What authenticators say, read and verified (Web Authentication level 3, sections 7.1 and 7.2).

Only this file calls the library. What it reads was written by anybody: whatever goes wrong is `PasskeyRefused`.
"""

from __future__ import annotations

import ipaddress
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import AuthenticatorTransport, CredentialDeviceType

from gateway.errors import PasskeyRefused

# The three that every authenticator and browser in use has one of; EdDSA first, as it is quickest to check.
ALGORITHMS: Final = (
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
)
LONGEST_RESPONSE: Final = 16 * 1024
_LONGEST_ID: Final = 1023  # section 4, "credential ID"
_LONGEST_KEY: Final = 1100  # RSA of 8192 bits
_LONGEST_DETAIL: Final = 200
_TRANSPORTS: Final = frozenset(each.value for each in AuthenticatorTransport)


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: ``id`` is the portal's host, ``origin`` the only one whose pages may ask."""

    id: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class UnverifiedResponse:
    """A browser's answer, read and nothing more."""

    document: Mapping[str, Any] = field(repr=False)
    credential_id: bytes
    challenge: bytes = field(repr=False)
    user_handle: bytes | None
    transports: Sequence[str]
    is_discoverable: bool


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A passkey that an authenticator has just made, verified."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    aaguid: UUID
    transports: Sequence[str]
    is_discoverable: bool
    backup_eligible: bool
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a verified signature says beside that it is right. ``sign_count`` is not compared yet."""

    sign_count: int
    backup_eligible: bool
    backed_up: bool
    user_verified: bool


def can_be_asked(host: str) -> bool:
    """Say whether browsers make passkeys for a host: for names, not for addresses (section 5.1.3)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


def read_response(unverified: str) -> UnverifiedResponse:
    """Read the JSON of ``navigator.credentials``. Raises PasskeyRefused."""
    if len(unverified) > LONGEST_RESPONSE:
        raise PasskeyRefused("malformed")
    try:
        document = json.loads(unverified)
        said = document["response"]
        client_data = json.loads(_bytes(said["clientDataJSON"]))
        challenge, credential_id = _bytes(client_data["challenge"]), _bytes(document["id"])
        # Section 5.8.1: set when the page stood in a frame of another origin, and ours never do.
        framed = client_data.get("crossOrigin", False) is not False or "topOrigin" in client_data
        handle = said.get("userHandle")
        user_handle = _bytes(handle) if handle is not None else None
        transports = [each for each in said.get("transports") or () if each in _TRANSPORTS]
        properties = document.get("clientExtensionResults", {}).get("credProps", {})
        is_discoverable = properties.get("rk") is True
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise PasskeyRefused("malformed") from error
    if framed:
        raise PasskeyRefused("framed")
    if not 1 <= len(credential_id) <= _LONGEST_ID:
        raise PasskeyRefused("malformed")
    return UnverifiedResponse(document, credential_id, challenge, user_handle, transports, is_discoverable)


def verify_registration(response: UnverifiedResponse, party: RelyingParty) -> NewCredential:
    """Verify what an authenticator says of a new passkey; its challenge was looked at before. Raises PasskeyRefused."""
    try:
        verified = verify_registration_response(
            credential=dict(response.document),
            expected_challenge=response.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            require_user_presence=True,
            require_user_verification=False,
            supported_pub_key_algs=list(ALGORITHMS),
        )
        aaguid = UUID(verified.aaguid)
    except (Exception, RecursionError) as error:
        raise PasskeyRefused("response", _detail(error)) from error
    if verified.credential_id != response.credential_id or len(verified.credential_public_key) > _LONGEST_KEY:
        raise PasskeyRefused("malformed")
    return NewCredential(
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        aaguid=aaguid,
        transports=response.transports,
        is_discoverable=response.is_discoverable,
        backup_eligible=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        backed_up=verified.credential_backed_up,
    )


def verify_assertion(
    response: UnverifiedResponse, party: RelyingParty, public_key: bytes, *, user_verification: bool
) -> Assertion:
    """Verify a signature; its challenge was looked at before. Raises PasskeyRefused."""
    try:
        verified = verify_authentication_response(
            credential=dict(response.document),
            expected_challenge=response.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=public_key,
            # Compared when it is stored, in one statement: two answers at once must not both be newer.
            credential_current_sign_count=0,
            require_user_verification=user_verification,
        )
    except (Exception, RecursionError) as error:
        raise PasskeyRefused("response", _detail(error)) from error
    return Assertion(
        sign_count=verified.new_sign_count,
        backup_eligible=verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        backed_up=verified.credential_backed_up,
        user_verified=verified.user_verified,
    )


def encoded(raw: bytes) -> str:
    """Return bytes as the JSON of Web Authentication writes them: base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Return what base64url without padding stands for. Raises ValueError for any other spelling, AttributeError."""
    raw = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if encoded(raw) != text:
        raise ValueError("not base64url")
    return raw


def _detail(error: Exception) -> str:
    """Return for the log what did not fit: origins, counts and flags, never a key."""
    return f"{type(error).__name__}: {error}"[:_LONGEST_DETAIL]
