"""The compact serialisation of a JWS (RFC 7515 section 3.1), with one spelling for each token.

Nothing here knows about keys. Whatever is not strictly the serialisation of two JSON objects and a signature is refused
with TokenRejected, and nothing else is raised.
"""

from __future__ import annotations

import json
from binascii import Error, a2b_base64, b2a_base64
from typing import Any, Final, NamedTuple

from gateway.errors import TokenRejected

MAX_TOKEN_BYTES: Final = 8192
_PARTS: Final = 3
_TO_PLAIN: Final = bytes.maketrans(b"-_", b"+/")
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_PADDING: Final = (b"", b"===", b"==", b"=")  # by the length modulo 4; with one letter too many nothing decodes


class Compact(NamedTuple):
    """The parts of a token as they were sent, none of them verified. ``signed`` is what the signature is over."""

    header: bytes
    payload: bytes
    signature: bytes
    signed: bytes


def parted(unverified_token: str, longest_bytes: int = MAX_TOKEN_BYTES) -> Compact:
    """Return the three parts, still encoded. Raises TokenRejected."""
    if len(unverified_token) > longest_bytes or not unverified_token.isascii():
        raise TokenRejected("malformed")
    token = unverified_token.encode("ascii")
    parts = token.split(b".")
    if len(parts) != _PARTS:
        raise TokenRejected("malformed")
    header, payload, signature = parts
    return Compact(header, payload, signature, token[: len(header) + 1 + len(payload)])


def decoded(part: bytes) -> bytes:
    """Return the bytes that base64url without padding stands for (RFC 7515 section 2). Raises TokenRejected."""
    try:
        value = a2b_base64(part.translate(_TO_PLAIN) + _PADDING[len(part) & 3])
    except Error as error:
        raise TokenRejected("malformed") from error
    # What the decoder skips or overlooks (padding, line breaks, "+/", stray bits in the last letter) is another
    # spelling: only the one that encoding gives is let in.
    if encoded(value) != part:
        raise TokenRejected("malformed")
    return value


def encoded(content: bytes) -> bytes:
    """Return base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(content, newline=False).rstrip(b"=").translate(_TO_URL)


def json_object(content: bytes) -> dict[str, Any]:
    """Return a JSON object none of whose members, at any depth, is given twice. Raises TokenRejected."""
    try:
        value = _DECODER.decode(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TokenRejected("malformed") from error
    if type(value) is not dict:
        raise TokenRejected("malformed")
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenRejected("malformed")
    return members


def _refuse_constant(_name: str) -> Any:
    raise TokenRejected("malformed")  # NaN and Infinity are not JSON


# json.loads would make one for each token.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
