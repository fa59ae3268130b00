"""The way to a provider and back: OAuth 2 with PKCE (RFC 6749 4.1, RFC 7636), OpenID Connect Core 1.0 section 3.1.

Only this file talks to providers. What they answer is bounded, is never redirected, and goes to public addresses unless
the configuration says otherwise (`gateway.outbound`). ID tokens are verified by `gateway.federation.foreign`.
"""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256, sha384, sha512
from typing import Any, Final
from urllib.parse import quote, quote_plus, urlencode

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.federation.apple import apple_secret
from gateway.federation.discovery import Discoveries, IssuerUnknown, Metadata
from gateway.federation.foreign import ForeignExpected, verify
from gateway.federation.key_sets import KeySets
from gateway.federation.profile import FederationRefused, Profile, profile_of
from gateway.federation.provider import APPLE, Provider
from gateway.federation.starts import Started
from gateway.outbound import Door, FetchFailed, Reply, fetch_json, post_for_json
from gateway.tokens.compact import decoded, json_object, parted
from gateway.tokens.jwt import audiences_of

_OK: Final = 200
_LONGEST: Final = 4096
# How much older a sign-in may be than asked for: clocks differ.
_LEEWAY_SECONDS: Final = 60.0
# By the end of the algorithm's name (Core section 3.1.3.6); EdDSA with Ed25519 hashes by SHA-512.
_HASHES: Final = {"256": sha256, "384": sha384, "512": sha512, "DSA": sha512}

Get = Callable[..., Awaitable[Any]]
Post = Callable[..., Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser brought back: the parameters of RFC 6749 section 4.1.2 and RFC 9207, each once."""

    parameters: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.parameters.get(name, "")[:_LONGEST]


class Exchange:
    """Sends people to providers and takes them back."""

    def __init__(
        self,
        discoveries: Discoveries,
        key_sets: KeySets,
        clock: Clock,
        get: Get = fetch_json,
        post: Post = post_for_json,
    ) -> None:
        self._discoveries = discoveries
        self._key_sets = key_sets
        self._clock = clock
        self._get = get
        self._post = post

    async def stop(self) -> None:
        """End what is under way."""
        await self._discoveries.stop()
        await self._key_sets.stop()

    async def url(
        self, provider: Provider, started: Started, state: str, redirect_uri: str, login_hint: str = ""
    ) -> str:
        """Return where the browser is sent. Raises FederationRefused."""
        metadata = await self._metadata(provider)
        asked = {
            "response_type": "code",
            "client_id": provider.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(provider.facts.scopes),
            "state": state,
            "code_challenge": started.challenge,
            "code_challenge_method": "S256",
        }
        if provider.facts.is_oidc:
            asked["nonce"] = started.nonce
            asked |= {"prompt": "login", "max_age": "0"} if started.anew else {}
            asked |= {"login_hint": login_hint} if login_hint else {}
        if provider.facts.posts_back:
            asked["response_mode"] = "form_post"
        where = metadata.authorization_endpoint or ""
        return where + ("&" if "?" in where else "?") + urlencode(asked, quote_via=quote)

    async def profile(self, provider: Provider, started: Started, answer: Answer, redirect_uri: str) -> Profile:
        """Return who came back. Raises FederationRefused."""
        metadata = await self._metadata(provider)
        _check_answer(metadata, answer)
        tokens = await self._redeem(provider, metadata, started, answer.text("code"), redirect_uri)
        if provider.facts.is_oidc:
            claims = await self._id_token(provider, metadata, started, tokens)
            authority = str(claims["iss"])
        else:
            claims, authority = {}, provider.issuer
        claims = {**await self._userinfo(provider, metadata, tokens, claims), **claims}
        return profile_of(claims, authority, provider.facts)

    async def _metadata(self, provider: Provider) -> Metadata:
        facts, internal = provider.facts, provider.settings.allow_private
        if not facts.is_oidc:
            return Metadata(provider.issuer, facts.authorization_url, facts.token_url, None, facts.userinfo_url)
        try:
            metadata = await self._discoveries.of(facts.issuer, internal=internal, url=facts.metadata_url or None)
        except IssuerUnknown as error:
            raise FederationRefused("provider_down", "its metadata cannot be had") from error
        if not (metadata.authorization_endpoint and metadata.token_endpoint and metadata.jwks_uri):
            raise FederationRefused("provider_down", "its metadata lacks an endpoint")
        return metadata

    async def _redeem(
        self, provider: Provider, metadata: Metadata, started: Started, code: str, redirect_uri: str
    ) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": started.verifier,
        }
        proof, headers = self._proof(provider, metadata)
        try:
            reply = await self._post(
                metadata.token_endpoint,
                {**form, **proof},
                internal=provider.settings.allow_private,
                door=Door(headers=headers),
            )
        except FetchFailed as error:
            raise FederationRefused("provider_down", str(error)) from error
        tokens = reply.document
        if reply.status != _OK or not isinstance(tokens, Mapping) or "error" in tokens:
            raise FederationRefused("code_refused", f"the token endpoint answered {reply.status}")
        if not isinstance(tokens.get("access_token"), str):
            raise FederationRefused("code_refused", "the token endpoint gave no token")
        return tokens

    def _proof(self, provider: Provider, metadata: Metadata) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return how we prove who we are: in the form, or in a header field."""
        client_id, secret = provider.settings.client_id, provider.secret
        if provider.settings.type == APPLE:
            secret = apple_secret(provider, self._clock.now().timestamp())
        if not secret:
            return {"client_id": client_id}, {}
        if provider.facts.secret_in_body or "client_secret_basic" not in metadata.token_auth_methods:
            return {"client_id": client_id, "client_secret": secret}, {}
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"  # RFC 6749 section 2.3.1
        return {}, {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    async def _id_token(
        self, provider: Provider, metadata: Metadata, started: Started, tokens: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the claims of the ID token (OpenID Connect Core 1.0 section 3.1.3.7)."""
        token, client_id = tokens.get("id_token"), provider.settings.client_id
        if not isinstance(token, str):
            raise FederationRefused("no_id_token")
        find = partial(self._key_sets.find, metadata.jwks_uri or "", internal=provider.settings.allow_private)
        expected = ForeignExpected(metadata.issuer, frozenset({client_id}), metadata.algorithms)
        now = self._clock.now().timestamp()
        try:
            claims = await verify(token, expected, find, now)
        except TokenRejected as error:
            raise FederationRefused("id_token_refused", error.reason) from error
        if not _same(claims.get("nonce"), started.nonce):
            raise FederationRefused("id_token_refused", "wrong_nonce")
        if claims.get("azp", client_id) != client_id or (len(audiences_of(claims)) > 1 and "azp" not in claims):
            raise FederationRefused("id_token_refused", "wrong_party")
        if "at_hash" in claims and not _same(claims["at_hash"], _at_hash(token, tokens["access_token"])):
            raise FederationRefused("id_token_refused", "wrong_at_hash")
        auth_time = claims.get("auth_time", now)
        if started.anew and not (
            isinstance(auth_time, int | float) and auth_time >= started.began_at - _LEEWAY_SECONDS
        ):
            raise FederationRefused("not_anew")
        return claims

    async def _userinfo(
        self, provider: Provider, metadata: Metadata, tokens: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return what the user-info endpoint says, where there is one (Core section 5.3)."""
        if not metadata.userinfo_endpoint or (provider.facts.is_oidc and provider.facts.names.email in claims):
            return {}
        said = await self._read(provider, metadata.userinfo_endpoint, tokens)
        if not isinstance(said, Mapping):
            raise FederationRefused("userinfo_refused", "it is no JSON object")
        # Section 5.3.4: or another token's answer could be put in its place.
        if provider.facts.is_oidc and said.get("sub") != claims["sub"]:
            raise FederationRefused("userinfo_refused", "it is about somebody else")
        if provider.facts.emails_url:
            return {**said, **_primary(await self._read(provider, provider.facts.emails_url, tokens))}
        return said

    async def _read(self, provider: Provider, url: str, tokens: Mapping[str, Any]) -> Any:
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        try:
            return await self._get(url, internal=provider.settings.allow_private, door=Door(headers=bearer))
        except FetchFailed as error:
            raise FederationRefused("provider_down", str(error)) from error


def _check_answer(metadata: Metadata, answer: Answer) -> None:
    """Refuse an answer that is another provider's (RFC 9207 section 2.4), or an error."""
    given = answer.parameters.get("iss")
    if (given is not None or metadata.iss_parameter_supported) and given != metadata.issuer:
        raise FederationRefused("mix_up")
    if error := answer.text("error"):
        raise FederationRefused("denied" if error == "access_denied" else "provider_error", repr(error[:100]))
    if not answer.text("code"):
        raise FederationRefused("provider_error", "no code")


def _primary(said: object) -> Mapping[str, Any]:
    """Return the primary address out of a list, as GitHub gives them."""
    listed = said if isinstance(said, list) else []
    chosen = next((each for each in listed if isinstance(each, Mapping) and each.get("primary") is True), None)
    if chosen is None:
        return {}
    return {"email": chosen.get("email"), "email_verified": chosen.get("verified")}


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _at_hash(verified_token: str, access_token: str) -> str:
    algorithm = str(json_object(decoded(parted(verified_token, len(verified_token)).header))["alg"])
    digest = _HASHES[algorithm[-3:]](access_token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
