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

from gateway.accounts.accounts import Accounts
from gateway.tokens.jwt import PrivateKey
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
    private = accounts.keys._active["ES256"].private
    assert private is not None
    sign = _signer(private, pair.access_token)
    files: dict[str, list[Path]] = {"gateway-cold": [], "gateway-renewed": []}
    for number in range(runs):
        rows = await accounts.refresh_tokens._database.fetch(_FAMILIES, UUID(account_id), each)
        logins = {"gateway-cold": [str(row["id"]) for row in rows], "gateway-renewed": [pair.family_id] * each}
        for name, families in logins.items():
            path = directory / f"{name}-{number}.tokens"
            path.write_text("".join(f"{sign(family)}\n" for family in families), encoding="ascii")
            files[name].append(path)
    return Cold(_issuer(private, pair.access_token), {**files, "haproxy-cold": files["gateway-cold"]})


def _issuer(private: PrivateKey, token: str) -> Issuer:
    claims = _decoded(token.split(".")[1])
    return Issuer(private.jwk, token, claims["iss"], claims["aud"])


def _signer(private: PrivateKey, pattern: str) -> Callable[[str], str]:
    """Return what makes a token like ``pattern`` for a login."""
    head, body, _ = pattern.split(".")
    typ, claims = _decoded(head)["typ"], _decoded(body)
    return lambda family_id: private.sign({**claims, "sid": family_id, "jti": secrets.token_urlsafe(16)}, typ)


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
