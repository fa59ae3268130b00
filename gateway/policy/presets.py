"""The identity headers: which there are, and how a value is written into one.

Every name in this table is taken from clients on every route, whatever that route sends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.identity.identity import Identity

GATEWAY_PREFIX: Final = "x-gateway-"
ASSERTION_HEADER: Final = "X-Gateway-Assertion"


class Preset(StrEnum):
    """A family of header names that applications already know. The values are the configuration's words."""

    FORWARDED = "forwarded"
    AUTH_REQUEST = "auth-request"
    REMOTE_USER = "remote-user"
    NONE = "none"


_UNSAFE: Final = re.compile(r"[^ -$&-~]|\A | \Z")
_UNSAFE_IN_LIST: Final = re.compile(r"[^ -$&-+\--~]|\A | \Z")


def encode_value(value: str) -> str:
    """Write any text so that it can stand in a header field, and be read back by percent-decoding as UTF-8.

    Encoded are ``%``, everything outside printable ASCII, and a space at either end, which recipients
    cut off (RFC 9110 section 5.5).
    """
    return _UNSAFE.sub(_escape, value)


def encode_list(values: tuple[str, ...]) -> str:
    """Write texts with commas between them, so that no comma inside one adds a member."""
    return ",".join([_UNSAFE_IN_LIST.sub(_escape, value) for value in values])


def decode_value(encoded: str) -> str:
    """Undo ``encode_value``."""
    return unquote_to_bytes(encoded).decode("utf-8", "surrogatepass")


def _escape(found: re.Match[str]) -> str:
    return "".join([f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass")])


FIELDS: Final[Mapping[str, Callable[[Identity], str]]] = MappingProxyType(
    {
        "user_id": lambda identity: encode_value(identity.user_id),
        "username": lambda identity: encode_value(identity.username),
        "name": lambda identity: encode_value(identity.name or identity.username),
        "email": lambda identity: encode_value(identity.email),
        "roles": lambda identity: encode_list(identity.roles),
        "scopes": lambda identity: encode_list(tuple(sorted(identity.scopes or ()))),
        "credential": lambda identity: identity.kind.value,
    }
)

PRESETS: Final[Mapping[Preset, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        Preset.FORWARDED: (
            ("X-Forwarded-User", "username"),
            ("X-Forwarded-Preferred-Username", "username"),
            ("X-Forwarded-Email", "email"),
            ("X-Forwarded-Groups", "roles"),
        ),
        Preset.AUTH_REQUEST: (
            ("X-Auth-Request-User", "username"),
            ("X-Auth-Request-Preferred-Username", "username"),
            ("X-Auth-Request-Email", "email"),
            ("X-Auth-Request-Groups", "roles"),
        ),
        Preset.REMOTE_USER: (
            ("Remote-User", "username"),
            ("Remote-Name", "name"),
            ("Remote-Email", "email"),
            ("Remote-Groups", "roles"),
        ),
        Preset.NONE: (),
    }
)

IDENTITY_HEADERS: Final = frozenset(
    {name.lower() for headers in PRESETS.values() for name, _ in headers} | {ASSERTION_HEADER.lower()}
)


@dataclass(frozen=True, slots=True)
class HeaderTemplate:
    """A header of a route's own: text, and between its parts the fields or claims of the identity.

    ``literals`` has one member more than ``fields``. It may hold a secret, so it is in no repr.
    """

    name: str
    literals: tuple[str, ...] = field(repr=False)
    fields: tuple[str, ...] = ()
    secret: bool = False

    def value(self, identity: Identity | None) -> str | None:
        """Return the header's value; None when the identity lacks a field that it is made of."""
        if not self.fields:
            return self.literals[0]
        if identity is None:
            return None
        text = self.literals[0]
        for name, literal in zip(self.fields, self.literals[1:], strict=True):
            value = _field(identity, name)
            if not value:
                return None
            text += value + literal
        return text


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """What one route tells its upstream about who asks."""

    preset: Preset = Preset.FORWARDED
    headers: tuple[HeaderTemplate, ...] = ()
    assertion_audience: str | None = None
    pass_authorization: bool = False


def identity_headers(identity: Identity | None, spec: IdentitySpec) -> list[tuple[str, str]]:
    """Return the header fields that ``spec`` sends for ``identity``; empty values are left out.

    Without an identity only headers of fixed text remain. A header of the route's own replaces one of the
    preset with the same name. The assertion is not among them: it takes a signature.
    """
    own = {template.name.lower() for template in spec.headers}
    lines: list[tuple[str, str]] = []
    if identity is not None:
        for name, source in PRESETS[spec.preset]:
            value = FIELDS[source](identity)
            if value and name.lower() not in own:
                lines.append((name, value))
    for template in spec.headers:
        custom = template.value(identity)
        if custom:
            lines.append((template.name, custom))
    return lines


_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_CLAIM: Final = re.compile(r"claims\.[A-Za-z0-9_.:/-]+")
_LITERAL: Final = re.compile(r"[ -~]*")


def parse_template(name: str, text: str) -> HeaderTemplate:
    """Read ``{username}``, ``{claims.team}``, ``{{`` and ``}}`` in a header's value.

    Raises ValueError that says what is wrong.
    """
    if not _LITERAL.fullmatch(text):
        raise ValueError("may hold only printable ASCII characters")
    literals, fields, end = [""], [], 0
    for found in _PLACEHOLDER.finditer(text):
        literals[-1] += text[end : found.start()]
        end = found.end()
        if found[0] in {"{{", "}}"}:
            literals[-1] += found[0][0]
            continue
        source = found[1]
        if source is None:
            raise ValueError(f"has a single {found[0]}: write {found[0] * 2} for the character itself")
        if source not in FIELDS and not _CLAIM.fullmatch(source):
            raise ValueError(f"{{{source}}} is not known: use {', '.join(FIELDS)} or claims.NAME")
        fields.append(source)
        literals.append("")
    literals[-1] += text[end:]
    return HeaderTemplate(name, tuple(literals), tuple(fields))


def secret_header(name: str, secret: str) -> HeaderTemplate:
    """Make a header of fixed secret text. Raises ValueError, which never holds the text."""
    if not secret or not _LITERAL.fullmatch(secret) or secret != secret.strip():
        raise ValueError("must hold one line of printable ASCII characters")
    return HeaderTemplate(name, (secret,), secret=True)


def _field(identity: Identity, name: str) -> str:
    read = FIELDS.get(name)
    if read is not None:
        return read(identity)
    value = identity.claims.get(name.removeprefix("claims."))
    if value is None:
        return ""
    if isinstance(value, tuple):
        return encode_list(value)
    return encode_value(str(value).lower() if isinstance(value, bool) else str(value))
