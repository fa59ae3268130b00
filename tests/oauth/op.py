"""The gateway as an OpenID provider under test: a clock that can be moved, people, clients, and their browsers."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.accounts.user import User
from tests.fake_clock import RunningClock
from tests.gateways import PASSWORD, GatewayFactory, Running
from tests.oauth.browser import Browser
from tests.oauth.relying_party import CALLBACK, RelyingParty

# Everything that a provider may offer, so that a test can ask for it.
GRANTS = ("authorization_code", "refresh_token")
_INSERT = """
    insert into oauth_client (id, name, metadata, first_party, requires_pkce, may_introspect, opens_routes,
                              created_at, updated_at)
    values ($1, $2, $3::jsonb, $4, $5, $6, $7, $8, $8)
"""
_INSERT_SECRET = "insert into oauth_client_secret (client_id, secret_hash, created_at) values ($1, $2, $3)"


@dataclass
class Op:
    """A running provider."""

    running: Running
    factory: GatewayFactory
    clock: RunningClock
    metadata: Mapping[str, Any]
    people: dict[str, User] = field(default_factory=dict)

    def browser(self) -> Browser:
        return Browser(self.running)

    def at(self, running: Running) -> Op:
        """Return the same provider as another process serves it."""
        return Op(running, self.factory, self.clock, self.metadata, self.people)

    async def person(self, name: str = "ann", *roles: str) -> User:
        """Make an account; a second call gives the same one."""
        if name not in self.people:
            users = self.running.gateway.accounts.users
            shown = f"{name.title()} Example"
            address = f"{name}@example.com"
            self.people[name] = await users.create(name, address, PASSWORD, name=shown, roles=roles or ("user",))
        return self.people[name]

    async def client(
        self,
        name: str = "Wiki",
        *,
        auth_method: str = "client_secret_basic",
        redirect_uris: Sequence[str] = (CALLBACK,),
        requires_pkce: bool = False,
        first_party: bool = True,
        may_introspect: bool = False,
        opens_routes: bool = False,
        grants: Sequence[str] = GRANTS,
        **metadata: Any,
    ) -> RelyingParty:
        """Register a client as an administrator would.

        Unless told otherwise it goes without PKCE, as older OpenID clients do, and people are not asked for consent.
        """
        client_id, secret = f"client-{secrets.token_hex(6)}", secrets.token_urlsafe(32)
        document = {
            "client_name": name,
            "redirect_uris": list(redirect_uris),
            "grant_types": list(grants),
            "response_types": ["code"] if "authorization_code" in grants else [],
            "token_endpoint_auth_method": auth_method,
            **metadata,
        }
        now = self.clock.now()
        flags = (first_party, requires_pkce, may_introspect, opens_routes)
        hashed = hashlib.sha256(secret.encode()).digest()
        connection = await asyncpg.connect(**self.factory.dsn_args)
        try:
            await connection.execute(_INSERT, client_id, name, json.dumps(document), *flags, now)
            if auth_method.startswith("client_secret"):
                await connection.execute(_INSERT_SECRET, client_id, hashed, now)
        finally:
            await connection.close()
        return RelyingParty(
            self.running,
            self.clock,
            self.metadata,
            client_id,
            secret if auth_method.startswith("client_secret") else "",
            auth_method,
            redirect_uris[0] if redirect_uris else "",
            document.get("id_token_signed_response_alg", "RS256"),
        )

    async def sql(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Look into the database, or change what only time would."""
        connection = await asyncpg.connect(**self.factory.dsn_args)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows
        finally:
            await connection.close()


async def start_op(factory: GatewayFactory, yaml: str = "") -> Op:
    """Serve a provider, and read its discovery document as a client would."""
    clock = RunningClock()
    running = await factory(yaml, clock=clock)
    return Op(running, factory, clock, await discovered(running))


async def discovered(running: Running) -> dict[str, Any]:
    """Return the discovery document, which must be of the issuer it was asked for (OpenID Discovery section 4.3)."""
    settings = running.gateway.settings
    path = f"{settings.server.prefix}/.well-known/openid-configuration"
    answer = await running.get(path)
    assert answer.status == 200, answer.text
    assert answer.json["issuer"] == settings.issuer
    return dict(answer.json)
