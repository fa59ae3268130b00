"""Tokens that nobody has seen: signed before the run by the gateway's own key, and used once each."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.app import Accounts
from tests.bench.credentials import Issuer

# Above what any contender answers in a second on one core, so that no run ends for want of tokens.
PER_SECOND = 8000
_FAMILIES = """
insert into refresh_family (account_id, authenticated_at, methods, created_at, expires_at)
select $1, now(), array['pwd'], now(), now() + interval '1 day' from generate_series(1, $2::int) returning id
"""


@dataclass(frozen=True)
class Cold:
    """Who signed the tokens, and the files of them by contender, one for each run."""

    issuer: Issuer
    files: Mapping[str, Sequence[Path]]


async def prepare(accounts: Accounts, account_id: str, directory: Path, runs: int, each: int) -> Cold:
    """Sign ``each`` tokens for each of so many runs.

    Those of ``gateway-cold`` belong to a login of their own each, so nothing about them is known; those of
    ``gateway-renewed`` to one login that has been seen. HAProxy remembers nothing and gets the former.
    """
    pair = await accounts.refresh_tokens.start_family(account_id)
    sign = _signer(accounts, pair.access_token)
    files: dict[str, list[Path]] = {"gateway-cold": [], "gateway-renewed": []}
    for number in range(runs):
        rows = await accounts.refresh_tokens._database.fetch(_FAMILIES, UUID(account_id), each)
        logins = {"gateway-cold": [str(row["id"]) for row in rows], "gateway-renewed": [pair.family_id] * each}
        for name, families in logins.items():
            path = directory / f"{name}-{number}.tokens"
            path.write_text("".join(f"{sign(family)}\n" for family in families), encoding="ascii")
            files[name].append(path)
    return Cold(_issuer(accounts, pair.access_token), {**files, "haproxy-cold": files["gateway-cold"]})


def _issuer(accounts: Accounts, token: str) -> Issuer:
    active = accounts.keys._active["ES256"]
    claims = _decoded(token.split(".")[1])
    return Issuer(active.private, token, claims["iss"], claims["aud"])


def _signer(accounts: Accounts, pattern: str) -> Callable[[str], str]:
    """Return what makes a token like ``pattern`` for a login. The gateway's own way takes its time over 100,000."""
    active = accounts.keys._active["ES256"]
    assert active.private is not None
    key = active.private.get_op_key("sign")
    head, body, _ = pattern.split(".")
    claims = _decoded(body)

    def sign(family_id: str) -> str:
        own = {**claims, "sid": family_id, "jti": secrets.token_urlsafe(16)}
        signed = f"{head}.{_encoded(json.dumps(own, separators=(',', ':')).encode())}"
        r, s = decode_dss_signature(key.sign(signed.encode(), ECDSA(SHA256())))
        # RFC 7518 section 3.4
        return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    return sign


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
