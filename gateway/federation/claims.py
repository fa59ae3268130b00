"""What others say of somebody, read: nothing here trusts that it has the shape it should have."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.accounts.user import is_email
from gateway.config.role_rules import RoleRule

_LONGEST_TEXT: Final = 254
_LONGEST_ROLE: Final = 100
_MOST_ROLES: Final = 500
# Control characters, halves of surrogate pairs, ends of lines: none of them stands in a name.
_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
# They turn the words around that follow, beyond the name (UAX #9).
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def claim_at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim at ``path``, whose dots lead into objects; None where there is none.

    Names may have dots themselves, as ``kubernetes.io`` has: the longest that is there counts.
    """
    if path in claims:
        return claims[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        inner = claims.get(".".join(parts[:length]))
        if isinstance(inner, Mapping):
            return claim_at(inner, ".".join(parts[length:]))
    return None


def text_at(claims: Mapping[str, Any], path: str, longest: int = _LONGEST_TEXT) -> str:
    """Return a text that can stand on a page and in a log; empty where the claim is none."""
    value = claim_at(claims, path)
    return value if isinstance(value, str) and is_plain(value, longest) else ""


def is_plain(text: str, longest: int = _LONGEST_TEXT) -> bool:
    """Tell whether ``text`` is not empty, not long, and has no characters that are none."""
    if not 0 < len(text) <= longest or text != text.strip():
        return False
    if _TURNING & set(text):
        return False
    return not any(unicodedata.category(character) in _NO_TEXT for character in text)


def email_of(claims: Mapping[str, Any], path: str) -> str:
    """Return an e-mail address, empty where its issuer says that it is not verified (OpenID Connect, section 5.1)."""
    verified = claims.get("email_verified", True)
    if verified is not True and verified != "true":  # some say it in text
        return ""
    address = text_at(claims, path)
    return address if is_email(address) else ""


def names_at(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return a list of names, such as roles or groups; a single one stands for a list of one."""
    value = claim_at(claims, path)
    listed = value if isinstance(value, list) else [value]
    return tuple(each for each in listed[:_MOST_ROLES] if isinstance(each, str) and is_plain(each, _LONGEST_ROLE))


def scopes_of(claims: Mapping[str, Any], paths: Iterable[str]) -> frozenset[str]:
    """Return the scopes of the first of ``paths`` that is there (RFC 6749 section 3.3, or a list)."""
    for path in paths:
        value = claim_at(claims, path)
        if isinstance(value, str):
            return frozenset(value.split())
        if isinstance(value, list):
            return frozenset(each for each in value if isinstance(each, str))
    return frozenset()


def roles_by(rules: Iterable[RoleRule], claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the roles that rules give whoever has these claims."""
    return frozenset(rule.role for rule in rules if _holds(rule, claim_at(claims, rule.claim)))


def _holds(rule: RoleRule, value: Any) -> bool:
    listed = value if isinstance(value, list) else [value]
    # By type, too: true is no 1, and "1" is neither.
    wanted = {(type(each), each) for each in rule.values}
    return any((type(each), each) in wanted for each in listed if isinstance(each, str | bool | int | float))
