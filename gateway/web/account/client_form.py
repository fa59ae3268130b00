"""The form of an OAuth client: from what is stored to its fields, and from what was typed to what may be stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from gateway.errors import FieldError, InvalidInput
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import DEVICE_CODE, OLD_GRANTS, checked_metadata
from gateway.oauth.state.registry import Rights
from gateway.translation.words import later
from gateway.web.field_words import sentence

Form = Mapping[str, str]

# Each grant as the person who registers an application thinks of it.
GRANT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "authorization_code": (later("Sign people in"), later("through the browser, with the authorization code grant")),
    "refresh_token": (later("Keep them signed in"), later("with refresh tokens")),
    DEVICE_CODE: (later("Sign in devices without a browser"), later("people type a code on their phone")),
    "client_credentials": (later("Act on its own"), later("with client credentials; nobody is signed in")),
    "password": (
        later("Take passwords itself"),
        later("old applications only: no second factor, and it sees every password"),
    ),
    "implicit": (
        later("Take tokens from the address"),
        later("old applications only: they end up in histories and logs"),
    ),
}
AUTH_WORDS: Final[Mapping[str, str]] = {
    "client_secret_basic": later("A secret, in the Authorization header"),
    "client_secret_post": later("A secret, in the form"),
    "private_key_jwt": later("A key of its own"),
    "none": later("Nothing: it runs in browsers, on phones or desktops"),
}
RIGHT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "first_party": (later("It is ours"), later("people are not asked for their consent")),
    "opens_routes": (later("Its tokens open routes"), later("all those that do not ask for a token of their own")),
    "may_introspect": (later("It may introspect"), later("it is told about the tokens of other clients")),
    "requires_pkce": (later("It has to use PKCE"), later("only old applications do without")),
}
_LISTS: Final = ("redirect_uris", "post_logout_redirect_uris")
_TEXTS: Final = ("client_name", "scope", "client_uri", "policy_uri", "tos_uri", "jwks_uri", "backchannel_logout_uri")
_ALGORITHM: Final = "id_token_signed_response_alg"
_LIFETIMES: Final = ("access_token_lifetime", "refresh_token_lifetime")
_LABELS: Final[Mapping[str, str]] = {
    "client_name": later("The name"),
    "redirect_uris": later("Where people are sent back to"),
    "post_logout_redirect_uris": later("Where people are sent after signing out"),
    "scope": later("The scopes"),
    "token_endpoint_auth_method": later("This way to authenticate"),
    "grant_types": later("What it does"),
    "jwks": later("The key set"),
    "jwks_uri": later("The address of the key set"),
    "client_uri": later("The home page"),
    "policy_uri": later("The privacy policy"),
    "tos_uri": later("The terms of service"),
    "backchannel_logout_uri": later("The back-channel logout address"),
    "access_token_lifetime": later("The lifetime of access tokens"),
    "refresh_token_lifetime": later("The lifetime of refresh tokens"),
    _ALGORITHM: later("What signs ID tokens"),
    "subject_type": later("Other names for people"),
}
_NEEDED: Final[Mapping[str, FieldError]] = {
    "client_name": FieldError("client_name", later("is missing: what do people call it?")),
    "grant_types": FieldError("grant_types", later("it must be one thing at least")),
}
# Folded up while there is nothing in them, and nothing wrong with them.
ADVANCED: Final = frozenset({"post_logout_redirect_uris", "jwks", *_TEXTS[1:], *_LIFETIMES, "pairwise", "subject_type"})


def empty_form() -> dict[str, str]:
    """Return the fields of a new application: one that signs people in on a server, as most do."""
    return {
        "grant_authorization_code": "yes",
        "grant_refresh_token": "yes",
        "requires_pkce": "yes",
        "opens_routes": "yes",
        "token_endpoint_auth_method": "client_secret_basic",
    }


def form_of(client: Client) -> dict[str, str]:
    """Return the fields as they stand for a client."""
    metadata = client.metadata
    form = {name: "\n".join(metadata.get(name, ())) for name in _LISTS}
    form |= {name: str(metadata.get(name, "")) for name in (*_TEXTS, *_LIFETIMES, _ALGORITHM)}
    form |= {field_of(grant): "yes" for grant in client.grant_types}
    form |= {each.name: "yes" for each in fields(Rights) if getattr(client, each.name)}
    form["token_endpoint_auth_method"] = client.auth_method
    form["jwks"] = json.dumps(metadata["jwks"], indent=1) if "jwks" in metadata else ""
    form["pairwise"] = "yes" if metadata.get("subject_type") == "pairwise" else ""
    return form


def metadata_of(form: Form, before: Mapping[str, Any], *, by_admin: bool) -> dict[str, Any]:
    """Return what to store: what was typed, over what the form does not show. Raises InvalidInput."""
    members = {name: value for name, value in before.items() if name not in {"grant_types", "response_types"}}
    members |= {name: form.get(name, "").split() for name in _LISTS}
    members |= {name: form.get(name, "").strip() or None for name in _TEXTS}
    members |= {_ALGORITHM: form.get(_ALGORITHM) or None, "jwks": _keys(form.get("jwks", "").strip())}
    members["token_endpoint_auth_method"] = form.get("token_endpoint_auth_method") or None
    members["subject_type"] = "pairwise" if form.get("pairwise") else "public"
    members["grant_types"] = [grant for grant in GRANT_WORDS if form.get(field_of(grant))]
    if missing := [error for name, error in _NEEDED.items() if not members[name]]:
        raise InvalidInput(missing)
    if members["grant_types"] == before.get("grant_types"):
        members["response_types"] = before.get("response_types")
    if not by_admin:
        # A field that the form did not show would be somebody's own addition: the check refuses what is new.
        return checked_metadata(members, kept=before)
    members |= {name: _seconds(name, form.get(name, "").strip()) for name in _LIFETIMES}
    return checked_metadata(members, by_admin=True)


def rights_in(form: Form, *, is_active: bool) -> Rights:
    """Return what an administrator ticked."""
    return Rights(**{name: bool(form.get(name)) for name in RIGHT_WORDS}, is_active=is_active)


def grants_shown(form: Form, *, by_admin: bool) -> Sequence[Mapping[str, Any]]:
    """Return the boxes of the grants. Old ones stand there for administrators, and where they were given."""
    return [
        {"field": field_of(grant), "label": label, "hint": hint, "checked": bool(form.get(field_of(grant)))}
        for grant, (label, hint) in GRANT_WORDS.items()
        if grant not in OLD_GRANTS or by_admin or form.get(field_of(grant))
    ]


def field_of(grant: str) -> str:
    """Return the name of a grant's box."""
    return f"grant_{grant.rpartition(':')[2]}"


def in_words(error: FieldError) -> FieldError:
    """Make a sentence of what the rules say about a field."""
    return sentence(error, _LABELS, {*_LISTS, "grant_types", "subject_type"})


def _keys(text: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput([FieldError("jwks", later("must be a JSON Web Key Set"))]) from error


def _seconds(name: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 12):  # noqa: PLR2004 - far more than is allowed
        raise InvalidInput([FieldError(name, later("must be a number of seconds"))])
    return int(text)
