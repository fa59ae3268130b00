"""Hashes that other programs made: verified as they are, and stored anew at the first login.

libpass knows Apache's, crypt's and Django's; argon2-cffi argon2. Whoever wrote a hash chose what checking it costs, so
the parameters are read first: what costs more than a login may is refused at the import, and opens nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from argon2 import PasswordHasher as Argon2
from argon2.exceptions import InvalidHashError, VerificationError
from passlib import hash as passlib

BCRYPT: Final = ("$2a$", "$2b$", "$2y$")
_LONGEST: Final = 1024
_MOST_BCRYPT_COST: Final = 16
_MOST_PBKDF2_ROUNDS: Final = 2_000_000
_MOST_CRYPT_ROUNDS: Final = 100_000
_MOST_MEMORY_BYTES: Final = 256 * 1024 * 1024
_MOST_PASSES: Final = 16
_ARGON2: Final = Argon2()


@dataclass(frozen=True, slots=True)
class _Kind:
    """One form of hash. ``bounded`` judges its numbers; ``verify`` may raise ValueError or TypeError."""

    form: re.Pattern[str]
    verify: Callable[[str, str], bool]
    bounded: Callable[[re.Match[str]], bool] = lambda _: True


def _of_passlib(scheme: Any) -> Callable[[str, str], bool]:
    return lambda password, stored: bool(scheme.verify(password, stored))


def _argon2(password: str, stored: str) -> bool:
    try:
        return _ARGON2.verify(stored.removeprefix("argon2"), password)
    except (VerificationError, InvalidHashError):
        return False


def _django_scrypt(password: str, stored: str) -> bool:
    _, salt, n, r, p, encoded = stored.split("$")
    expected = base64.b64decode(encoded, validate=True)
    made = hashlib.scrypt(
        password.encode(), salt=salt.encode(), n=int(n), r=int(r), p=int(p), maxmem=_MOST_MEMORY_BYTES, dklen=64
    )
    return hmac.compare_digest(made, expected)


def _rounds_up_to(most: int) -> Callable[[re.Match[str]], bool]:
    return lambda found: found["rounds"] is None or 1 <= int(found["rounds"]) <= most


def _memory(n: int, r: int, p: int) -> bool:
    return 128 * n * r <= _MOST_MEMORY_BYTES and 1 <= p <= _MOST_PASSES


_KINDS: Final = (
    # Apache's htpasswd
    _Kind(re.compile(r"\$apr1\$[^$]{1,8}\$[./0-9A-Za-z]{22}"), _of_passlib(passlib.apr_md5_crypt)),
    _Kind(re.compile(r"\{SHA\}[A-Za-z0-9+/]{27}="), _of_passlib(passlib.ldap_sha1)),
    _Kind(re.compile(r"\{SSHA\}[A-Za-z0-9+/=]{28,64}"), _of_passlib(passlib.ldap_salted_sha1)),
    # crypt(3)
    _Kind(
        re.compile(r"\$5\$(?:rounds=(?P<rounds>\d{1,9})\$)?[^$]{0,16}\$[./0-9A-Za-z]{43}"),
        _of_passlib(passlib.sha256_crypt),
        _rounds_up_to(_MOST_CRYPT_ROUNDS),
    ),
    _Kind(
        re.compile(r"\$6\$(?:rounds=(?P<rounds>\d{1,9})\$)?[^$]{0,16}\$[./0-9A-Za-z]{86}"),
        _of_passlib(passlib.sha512_crypt),
        _rounds_up_to(_MOST_CRYPT_ROUNDS),
    ),
    # PHC strings
    _Kind(
        re.compile(
            r"(?:argon2)?\$argon2id\$v=19\$m=(?P<m>\d{1,7}),t=(?P<t>\d{1,3}),p=(?P<p>\d{1,3})\$[\w+/]{8,}\$[\w+/]{16,}"
        ),
        _argon2,
        lambda found: (
            int(found["m"]) * 1024 <= _MOST_MEMORY_BYTES
            and 1 <= int(found["t"]) <= _MOST_PASSES
            and 1 <= int(found["p"]) <= _MOST_PASSES
        ),
    ),
    _Kind(
        re.compile(r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,3}),p=(?P<p>\d{1,3})\$[\w+/.]*\$[\w+/.]+"),
        _of_passlib(passlib.scrypt),
        lambda found: int(found["ln"]) < 31 and _memory(2 ** int(found["ln"]), int(found["r"]), int(found["p"])),  # noqa: PLR2004
    ),
    _Kind(
        re.compile(r"\$pbkdf2-sha256\$(?P<rounds>\d{1,9})\$[\w./]*\$[\w./]{43}"),
        _of_passlib(passlib.pbkdf2_sha256),
        _rounds_up_to(_MOST_PBKDF2_ROUNDS),
    ),
    _Kind(
        re.compile(r"\$pbkdf2-sha512\$(?P<rounds>\d{1,9})\$[\w./]*\$[\w./]{86}"),
        _of_passlib(passlib.pbkdf2_sha512),
        _rounds_up_to(_MOST_PBKDF2_ROUNDS),
    ),
    # Django
    _Kind(
        re.compile(r"pbkdf2_sha256\$(?P<rounds>\d{1,9})\$[^$]+\$[A-Za-z0-9+/]{43}="),
        _of_passlib(passlib.django_pbkdf2_sha256),
        _rounds_up_to(_MOST_PBKDF2_ROUNDS),
    ),
    _Kind(
        re.compile(r"pbkdf2_sha1\$(?P<rounds>\d{1,9})\$[^$]+\$[A-Za-z0-9+/]{27}="),
        _of_passlib(passlib.django_pbkdf2_sha1),
        _rounds_up_to(_MOST_PBKDF2_ROUNDS),
    ),
    _Kind(
        re.compile(r"bcrypt_sha256\$\$2[aby]\$(?P<rounds>\d\d)\$[./0-9A-Za-z]{53}"),
        _of_passlib(passlib.django_bcrypt_sha256),
        _rounds_up_to(_MOST_BCRYPT_COST),
    ),
    _Kind(
        re.compile(r"scrypt\$[^$]+\$(?P<n>\d{1,9})\$(?P<r>\d{1,3})\$(?P<p>\d{1,3})\$[A-Za-z0-9+/]{86}=="),
        _django_scrypt,
        lambda found: _memory(int(found["n"]), int(found["r"]), int(found["p"])),
    ),
)
_BCRYPT_FORM: Final = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./0-9A-Za-z]{53}")


def check_foreign(stored: str) -> None:
    """Raise ValueError that says why a hash cannot be taken over. It never repeats the hash."""
    if len(stored) > _LONGEST:
        raise ValueError("is longer than any hash that is known")
    found = _BCRYPT_FORM.fullmatch(stored)
    if found is not None:
        if not 4 <= int(found["cost"]) <= _MOST_BCRYPT_COST:  # noqa: PLR2004 - bcrypt's least
            raise ValueError(f"costs more than a login may: bcrypt up to {_MOST_BCRYPT_COST}")
        return
    for kind in _KINDS:
        match = kind.form.fullmatch(stored)
        if match is not None:
            if not kind.bounded(match):
                raise ValueError("costs more than a login may: its rounds or its memory are too many")
            return
    raise ValueError(
        "is no hash that is known: bcrypt, apr1, {SHA}, sha256crypt, sha512crypt, argon2id, scrypt, pbkdf2, or Django's"
    )


def matches_foreign(password: str, stored: str) -> bool:
    """Say whether ``password`` is that of a hash of another program. What is damaged or too dear opens nothing."""
    if len(stored) > _LONGEST or "\x00" in password:
        return False
    for kind in _KINDS:
        match = kind.form.fullmatch(stored)
        if match is not None and kind.bounded(match):
            try:
                return kind.verify(password, stored)
            except (ValueError, TypeError, UnicodeError):
                return False
    return False
