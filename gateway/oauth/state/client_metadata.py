"""What a client says of itself when it is registered, checked before anything is stored.

RFC 7591 section 2, OpenID Connect Registration 1.0 section 2, RP-Initiated Logout 1.0 section 3.1, Back-Channel Logout
1.0 section 2.2, RFC 9126 section 6. Members that are not known here are left out (RFC 7591 section 2); what asks for a
protection that this server does not give is refused, so that nobody believes to have it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from gateway.errors import FieldError
from gateway.fields import Fields
from gateway.oauth.state.client import DEFAULT_AUTH_METHOD
from gateway.oauth.state.client_uris import hosts_of, is_private, redirect_problem, web_problem
from gateway.tokens.public_keys import UnusableKeys, checked_keys

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE, "password", "implicit")
# For applications that know nothing better: the password passes through them, or tokens through addresses.
OLD_GRANTS: Final = frozenset({"password", "implicit"})
AUTH_METHODS: Final = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
SECRET_METHODS: Final = frozenset({"client_secret_basic", "client_secret_post"})
ID_TOKEN_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
# What opens the gateway's own API: never a client's for the asking.
API_SCOPE: Final = "gateway"

_CODE_TYPES: Final = frozenset({"code"})
_IMPLICIT_TYPES: Final = frozenset({"token", "id_token", "id_token token"})
_MOST_URIS: Final = 50
_MOST_CONTACTS: Final = 20
_MOST_SCOPES: Final = 100
_LONGEST_NAME: Final = 100
_LONGEST_CONTACT: Final = 254  # RFC 5321 section 4.5.3.1.3, without its brackets
_LONGEST_LIFETIME: Final = 10 * 365 * 86400
_LARGEST_BYTES: Final = 32 * 1024
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}", re.ASCII)  # RFC 6749 section 3.3
_WEB_PAGES: Final = ("client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri")
_FLAGS: Final = ("require_auth_time", "backchannel_logout_session_required", "require_pushed_authorization_requests")
_LIFETIMES: Final = ("access_token_lifetime", "refresh_token_lifetime")
_ALONE: Final[Mapping[str, Collection[str]]] = {
    "application_type": ("web", "native"),
    "subject_type": ("public", "pairwise"),
    "id_token_signed_response_alg": ID_TOKEN_ALGORITHMS,
    "token_endpoint_auth_signing_alg": ID_TOKEN_ALGORITHMS,
}
# Promises that are not kept here.
_UNSUPPORTED: Final = (
    "id_token_encrypted_response_alg",
    "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg",
    "introspection_signed_response_alg",
    "authorization_signed_response_alg",
    "tls_client_certificate_bound_access_tokens",
    "dpop_bound_access_tokens",
    "require_signed_request_object",
)


def checked_metadata(
    members: Mapping[str, Any], *, by_admin: bool = False, kept: Mapping[str, Any] = _NOTHING
) -> dict[str, Any]:
    """Return what to store of ``members``. Raises InvalidInput that names every member that is wrong.

    ``by_admin`` opens what others may not give themselves: old grants, lifetimes, the API's scope, a sector. Of these
    they may keep what is ``kept``: the metadata that is stored so far.
    """
    check = _Check(members, by_admin=by_admin, kept=kept)
    check.grants()
    check.redirects()
    check.authentication()
    check.scope()
    check.words()
    check.addresses()
    check.subjects()
    check.times()
    check.unsupported()
    return check.done()


def metadata_error_code(errors: Sequence[FieldError]) -> str:
    """Return the code of RFC 7591 section 3.2.2 that tells what was wrong."""
    wrong = {error.field for error in errors}
    return "invalid_redirect_uri" if wrong and wrong <= {"redirect_uris"} else "invalid_client_metadata"


class _Check:
    """One reading of the members; each method looks at those that belong together."""

    def __init__(self, members: Mapping[str, Any], *, by_admin: bool, kept: Mapping[str, Any]) -> None:
        self._members = members
        self._fields = Fields(members)
        self._by_admin = by_admin
        self._kept = kept
        self._good: dict[str, Any] = {}

    def done(self) -> dict[str, Any]:
        if len(json.dumps(self._good)) > _LARGEST_BYTES:
            self._fields.refuse("", f"all of it together is more than {_LARGEST_BYTES} bytes")
        self._fields.done()
        return self._good

    def grants(self) -> None:
        """RFC 7591 section 2.1: each grant comes with its response types."""
        types = {" ".join(sorted(each.split())) for each in self._list("response_types")}
        grants = self._list("grant_types")
        if not grants:
            grants = [name for name, own in _BY_GRANT if types & own] or ["authorization_code"]
        for name in grants:
            if name not in GRANTS:
                self._fields.refuse("grant_types", f"may hold {', '.join(GRANTS[:4])}")
            elif name in OLD_GRANTS and not self._may(name in self._kept.get("grant_types", ())):
                self._fields.refuse("grant_types", f"{name} is given by administrators only: use authorization_code")
        if not types:
            types = {"code"} if "authorization_code" in grants else set()
            types |= _IMPLICIT_TYPES if "implicit" in grants else set()
        if unknown := types - _CODE_TYPES - _IMPLICIT_TYPES:
            self._fields.refuse("response_types", f"{min(unknown)[:60]!r} is not answered here: use code")
        for name, own in _BY_GRANT:
            if (name in grants) != bool(types & own):
                self._fields.refuse("response_types", f"must agree with grant_types about {name}")
        self._good["grant_types"] = [name for name in GRANTS if name in grants]
        self._good["response_types"] = sorted(types)

    def redirects(self) -> None:
        self._uris("redirect_uris", redirect_problem)
        self._uris("post_logout_redirect_uris", redirect_problem)
        uris = self._good.get("redirect_uris", [])
        answers = {"authorization_code", "implicit"} & set(self._good["grant_types"])
        # An address that was refused is not missing as well.
        if answers and not self._members.get("redirect_uris"):
            self._fields.refuse("redirect_uris", "is required: where is the person sent back to?")
        if any(is_private(uri) for uri in uris):
            if self._members.get("application_type", "native") != "native":
                self._fields.refuse("redirect_uris", "may have a scheme of its own for application_type native only")
            self._good["application_type"] = "native"

    def authentication(self) -> None:
        method = self._choice("token_endpoint_auth_method", AUTH_METHODS) or DEFAULT_AUTH_METHOD
        self._good["token_endpoint_auth_method"] = method
        if method == "none" and "client_credentials" in self._good["grant_types"]:
            self._fields.refuse("grant_types", "client_credentials takes a client that can authenticate itself")
        if "jwks" in self._fields and "jwks_uri" in self._fields:
            self._fields.refuse("jwks", "is one of jwks and jwks_uri, not both")
        if "jwks" in self._fields:
            try:
                self._good["jwks"] = checked_keys(self._members["jwks"])
            except UnusableKeys as error:
                self._fields.refuse("jwks", str(error))
        self._uri("jwks_uri", web_problem)
        if method == "private_key_jwt" and "jwks" not in self._fields and "jwks_uri" not in self._fields:
            self._fields.refuse("jwks", "is required for private_key_jwt, or jwks_uri")

    def scope(self) -> None:
        text = self._fields.text("scope", required=False)
        if "scope" not in self._fields:
            return
        scopes = list(dict.fromkeys(text.split(" "))) if text else []
        if len(scopes) > _MOST_SCOPES or any(not _SCOPE.fullmatch(each) for each in scopes):
            self._fields.refuse("scope", f"must be at most {_MOST_SCOPES} words of printable ASCII, one space between")
        if API_SCOPE in scopes and not self._may(API_SCOPE in str(self._kept.get("scope", "")).split(" ")):
            self._fields.refuse("scope", f"{API_SCOPE} is given by administrators only")
        self._good["scope"] = " ".join(scopes)

    def words(self) -> None:
        """What people are shown: nothing that hides, reorders or imitates what stands beside it."""
        for name in ("client_name", "software_id", "software_version"):
            text = self._fields.text(name, required=False)
            if not text:
                continue
            if len(text) > _LONGEST_NAME or not text.isprintable() or text != text.strip():
                self._fields.refuse(name, f"must be 1 to {_LONGEST_NAME} printable characters")
            self._good[name] = text
        contacts = self._list("contacts")
        readable = all(0 < len(each) <= _LONGEST_CONTACT and each.isprintable() for each in contacts)
        if len(contacts) > _MOST_CONTACTS or not readable:
            self._fields.refuse("contacts", f"must be at most {_MOST_CONTACTS} e-mail addresses")
        if contacts:
            self._good["contacts"] = contacts

    def addresses(self) -> None:
        for name in _WEB_PAGES:
            self._uri(name, web_problem)
        self._uri("backchannel_logout_uri", lambda uri: web_problem(uri, loopback=True))
        for name in _FLAGS:
            flag = self._fields.flag(name)
            if flag is not None:
                self._good[name] = flag

    def subjects(self) -> None:
        for name, allowed in _ALONE.items():
            if chosen := self._choice(name, allowed):
                self._good[name] = chosen
        self._uri("sector_identifier_uri", web_problem)
        sector = self._good.get("sector_identifier_uri")
        if sector is not None and not self._may(sector == self._kept.get("sector_identifier_uri")):
            # What it lists would have to be fetched from wherever the client says; an administrator has looked.
            self._fields.refuse("sector_identifier_uri", "is taken from administrators only")
        if self._good.get("subject_type") != "pairwise" or "sector_identifier_uri" in self._fields:
            return
        hosts = hosts_of(self._good.get("redirect_uris", ()))
        if DEVICE_CODE in self._good["grant_types"] and not self._may(self._kept_names_of_devices(hosts)):
            # No answer goes to the host that it says it belongs to: anybody could ask for the names known there.
            self._fields.refuse("subject_type", "pairwise takes an administrator where devices sign in")
        if len(hosts) > 1:
            # OpenID Connect Core 1.0 section 8.1
            self._fields.refuse("subject_type", "pairwise takes redirect_uris of one host, or a sector_identifier_uri")

    def times(self) -> None:
        for name in ("default_max_age", *_LIFETIMES):
            seconds = self._fields.whole(name)
            if seconds is None:
                continue
            least = 0 if name == "default_max_age" else 1
            if not least <= seconds <= _LONGEST_LIFETIME:
                self._fields.refuse(name, f"must be from {least} to {_LONGEST_LIFETIME} seconds")
            elif name in _LIFETIMES and not self._may(seconds == self._kept.get(name)):
                self._fields.refuse(name, "is set by administrators only")
            self._good[name] = seconds
        values = self._list("default_acr_values")
        if any(not _SCOPE.fullmatch(each) for each in values):
            self._fields.refuse("default_acr_values", "must be words of printable ASCII")
        if values:
            self._good["default_acr_values"] = values

    def unsupported(self) -> None:
        for name in _UNSUPPORTED:
            if self._members.get(name) not in (None, False, "none"):
                self._fields.refuse(name, "is not supported by this server")

    def _kept_names_of_devices(self, hosts: set[str]) -> bool:
        """Tell whether it has had them, as of these hosts."""
        kept = self._kept
        is_pairwise = kept.get("subject_type") == "pairwise" and DEVICE_CODE in kept.get("grant_types", ())
        return is_pairwise and hosts_of(kept.get("redirect_uris", ())) == hosts

    def _may(self, has_it: bool) -> bool:
        return self._by_admin or has_it

    def _list(self, name: str) -> list[str]:
        values = list(dict.fromkeys(self._fields.texts(name) or ()))
        if len(values) > _MOST_URIS:
            self._fields.refuse(name, f"must have at most {_MOST_URIS} entries")
        return values[:_MOST_URIS]

    def _choice(self, name: str, allowed: Collection[str]) -> str | None:
        text = self._fields.text(name, required=False)
        if text and text not in allowed:
            self._fields.refuse(name, f"must be one of {', '.join(allowed)}")
            return None
        return text or None

    def _uri(self, name: str, problem_of: Callable[[str], str | None]) -> None:
        text = self._fields.text(name, required=False)
        if not text:
            return
        if problem := problem_of(text):
            self._fields.refuse(name, problem)
        else:
            self._good[name] = text

    def _uris(self, name: str, problem_of: Callable[[str], str | None]) -> None:
        good = []
        for uri in self._list(name):
            if problem := problem_of(uri):
                self._fields.refuse(name, f"{uri[:100]!r} {problem}")
            else:
                good.append(uri)
        if good:
            self._good[name] = good


_BY_GRANT: Final = (("authorization_code", _CODE_TYPES), ("implicit", _IMPLICIT_TYPES))
