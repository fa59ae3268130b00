"""What browsers are asked to do with passkeys, in JSON's form (Web Authentication level 3, sections 5.4 and 5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from webauthn import generate_authentication_options, generate_registration_options
from webauthn.helpers import options_to_json_dict
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.accounts.factors.ceremony import ALGORITHMS, RelyingParty
from gateway.accounts.factors.challenges import LIFETIME
from gateway.accounts.factors.passkey import Passkey
from gateway.accounts.user import User

_TIMEOUT_MS: Final = int(LIFETIME.total_seconds() * 1000)


def creation_options(party: RelyingParty, user: User, challenge: bytes, held: Sequence[Passkey]) -> dict[str, Any]:
    """Return what ``navigator.credentials.create`` takes; whatever holds one of ``held`` makes no other."""
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=UUID(user.id).bytes,
        user_name=user.username,
        user_display_name=user.name or user.username,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        # Which make of key it is, is none of our business, and browsers would ask people about it.
        attestation=AttestationConveyancePreference.NONE,
        # Not required: a key that cannot sign in alone is a good second factor.
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
        ),
        exclude_credentials=[_descriptor(each) for each in held],
        supported_pub_key_algs=list(ALGORITHMS),
    )
    return {**options_to_json_dict(options), "extensions": {"credProps": True}}


def request_options(
    party: RelyingParty, challenge: bytes, allowed: Sequence[Passkey], *, user_verification: bool
) -> dict[str, Any]:
    """Return what ``navigator.credentials.get`` takes; without ``allowed`` the person chooses who they are."""
    # A key whose PIN is asked for after a password would prove nothing more: discouraged.
    wanted = UserVerificationRequirement.REQUIRED if user_verification else UserVerificationRequirement.DISCOURAGED
    options = generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        allow_credentials=[_descriptor(each) for each in allowed],
        user_verification=wanted,
    )
    return options_to_json_dict(options)


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    transports = [AuthenticatorTransport(each) for each in passkey.transports]
    return PublicKeyCredentialDescriptor(id=passkey.credential_id, transports=transports or None)
