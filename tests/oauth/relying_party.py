"""A strict relying party, without an OAuth library: it believes nothing of a provider that it has not checked."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from gateway.clock import Clock
from tests.gateways import Answer, Running
from tests.oauth.browser import Browser, Page

CALLBACK = "https://rp.example.com/callback"
FORM = "application/x-www-form-urlencoded"
_SKEW_SECONDS = 300
_HASHES = {"RS256": "sha256", "ES256": "sha256", "EdDSA": "sha512"}


@dataclass(frozen=True)
class AuthorizationRequest:
    """What was asked for, and what the answer is held against."""

    url: str
    parameters: Mapping[str, str]
    verifier: str = field(default="", repr=False)

    @property
    def state(self) -> str:
        return self.parameters["state"]


@dataclass(frozen=True)
class Tokens:
    """A token answer whose ID token, when there is one, has been verified."""

    answer: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def access_token(self) -> str:
        return str(self.answer["access_token"])

    @property
    def refresh_token(self) -> str:
        return str(self.answer["refresh_token"])

    @property
    def id_token(self) -> str:
        return str(self.answer["id_token"])


@dataclass
class RelyingParty:
    """One registered client. ``metadata`` is what it read from discovery."""

    running: Running
    clock: Clock
    metadata: Mapping[str, Any]
    client_id: str
    secret: str = field(default="", repr=False)
    auth_method: str = "client_secret_basic"
    redirect_uri: str = CALLBACK
    algorithm: str = "RS256"

    # The front channel

    def request(self, *, pkce: bool = True, without: Sequence[str] = (), **parameters: str) -> AuthorizationRequest:
        """Make an authorization request with fresh state, nonce and code challenge; ``parameters`` change it."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "response_type": "code",
            "state": secrets.token_urlsafe(16),
            "nonce": secrets.token_urlsafe(16),
            **({"code_challenge": challenge, "code_challenge_method": "S256"} if pkce else {}),
            **parameters,
        }
        asked = {name: value for name, value in asked.items() if name not in without}
        url = f"{self.metadata['authorization_endpoint']}?{urlencode(asked)}"
        return AuthorizationRequest(url, asked, verifier if pkce else "")

    def response(self, page: Page, request: AuthorizationRequest) -> dict[str, str]:
        """Return the parameters of an authorization response: at the redirect URI, ours, and from this issuer."""
        assert page.answer is None, f"not sent back, but shown {page.status} at {page.url}: {page.words}"
        at = urlsplit(page.url)
        assert page.url.partition("?")[0] == request.parameters.get("redirect_uri", self.redirect_uri).partition("?")[0]
        assert at.fragment == ""
        parameters = page.parameters
        if "state" in request.parameters:
            assert parameters["state"] == request.state
        else:
            assert "state" not in parameters
        # RFC 9207 section 2.4: compared as text, and required because discovery announces it.
        assert self.metadata["authorization_response_iss_parameter_supported"] is True
        assert parameters["iss"] == self.metadata["issuer"]
        return parameters

    def code(self, page: Page, request: AuthorizationRequest) -> str:
        """Return the code of a response that must be a success."""
        parameters = self.response(page, request)
        assert "error" not in parameters, parameters
        assert set(parameters) <= {"code", "state", "iss"}
        return parameters["code"]

    def error(self, page: Page, request: AuthorizationRequest) -> str:
        """Return the error code of a response that must be an error (RFC 6749 section 4.1.2.1)."""
        parameters = self.response(page, request)
        assert "code" not in parameters
        assert set(parameters) <= {"error", "error_description", "error_uri", "state", "iss"}
        assert all(0x20 <= ord(character) <= 0x7E for character in parameters.get("error_description", ""))
        return parameters["error"]

    async def sign_in(self, browser: Browser, request: AuthorizationRequest, username: str = "ann") -> str:
        """Go through login and consent, and return the code."""
        return self.code(await browser.through(await browser.open(request.url), username), request)

    # The back channel

    def authentication(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the fields and headers that authenticate this client (RFC 6749 section 2.3.1)."""
        if self.auth_method == "none":
            return {"client_id": self.client_id}, {}
        if self.auth_method == "client_secret_post":
            return {"client_id": self.client_id, "client_secret": self.secret}, {}
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    async def call(self, endpoint: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send an authenticated form to an endpoint of the metadata."""
        own, authentication = self.authentication()
        return await self.running.send(
            "POST",
            urlsplit(self.metadata[endpoint]).path,
            headers={**authentication, **headers},
            data={**own, **fields},
        )

    async def redeem(self, code: str, request: AuthorizationRequest, **changed: str) -> Answer:
        """Send a code to the token endpoint and return whatever is answered; an empty change leaves a field out."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": request.parameters.get("redirect_uri", ""),
            "code_verifier": request.verifier,
            **changed,
        }
        return await self.call("token_endpoint", {name: value for name, value in fields.items() if value})

    async def refresh(self, refresh_token: str, **more: str) -> Answer:
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token, **more}
        return await self.call("token_endpoint", fields)

    async def tokens(self, answer: Answer, request: AuthorizationRequest | None = None) -> Tokens:
        """Check a token answer (RFC 6749 section 5.1) and the ID token in it; ``request`` is what began the flow."""
        assert answer.status == 200, answer.text
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        document = answer.json
        assert isinstance(document["access_token"], str)
        assert document["access_token"].isascii()
        assert document["token_type"] == "Bearer"
        assert type(document["expires_in"]) is int
        assert document["expires_in"] > 0
        if "id_token" not in document:
            assert request is None or "openid" not in request.parameters["scope"].split()
            return Tokens(document, {})
        return Tokens(document, await self.verified(document["id_token"], request, document["access_token"]))

    async def flow(self, browser: Browser, *, pkce: bool = True, **parameters: str) -> Tokens:
        """Go the whole way from an authorization request to verified tokens."""
        request = self.request(pkce=pkce, **parameters)
        return await self.tokens(await self.redeem(await self.sign_in(browser, request), request), request)

    # What is in the tokens

    async def verified(
        self, id_token: str, request: AuthorizationRequest | None = None, access_token: str = ""
    ) -> dict[str, Any]:
        """Return the claims of an ID token after every check of OpenID Connect Core 1.0 section 3.1.3.7."""
        header, claims = await self.signed(id_token)
        assert header["alg"] == self.algorithm
        assert claims["iss"] == self.metadata["issuer"]
        assert claims["aud"] in (self.client_id, [self.client_id])
        assert claims.get("azp", self.client_id) == self.client_id
        self._check_times(claims)
        assert isinstance(claims["sub"], str)
        assert 0 < len(claims["sub"]) <= 255
        assert claims["sub"].isascii()
        assert isinstance(claims.get("acr", ""), str)
        assert all(isinstance(method, str) for method in claims.get("amr", ["pwd"]))
        if request is not None:
            # A nonce that was not sent must not be made up; one that was sent comes back.
            assert claims.get("nonce") == request.parameters.get("nonce")
        if request is not None and "max_age" in request.parameters:
            elapsed = self.clock.now().timestamp() - claims["auth_time"]
            assert elapsed <= int(request.parameters["max_age"]) + 1
        if access_token:
            assert claims["at_hash"] == half_hash(access_token, self.algorithm)
        return claims

    async def signed(self, token: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return header and claims of a JWT that a published key of this provider has signed."""
        answer = await self.running.get(urlsplit(self.metadata["jwks_uri"]).path)
        header = json.loads(_decoded(token.partition(".")[0]))
        keys = [key for key in answer.json["keys"] if key["kid"] == header["kid"]]
        assert len(keys) == 1, f"{len(keys)} published keys are called {header['kid']}"
        assert keys[0].get("use", "sig") == "sig"
        assert keys[0].get("alg", header["alg"]) == header["alg"]
        parsed = JWS()
        parsed.allowed_algs = list(_HASHES)
        parsed.deserialize(token, JWK(**keys[0]))
        assert parsed.is_valid
        return header, json.loads(parsed.payload)

    async def userinfo(self, access_token: str, **more: Any) -> dict[str, Any]:
        """Return the claims of the userinfo endpoint, as JSON with values of the right kinds."""
        answer = await self.running.get(self.path("userinfo_endpoint"), token=access_token, **more)
        return self.claims_of(answer)

    def claims_of(self, answer: Answer) -> dict[str, Any]:
        """Check an answer of the userinfo endpoint (OpenID Connect Core 1.0 section 5.3.2)."""
        assert answer.status == 200, answer.text
        assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
        claims = answer.json
        assert isinstance(claims["sub"], str)
        check_kinds(claims)
        return dict(claims)

    def path(self, endpoint: str) -> str:
        """Return the path of an endpoint that the metadata names."""
        return str(urlsplit(self.metadata[endpoint]).path)

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock.now().timestamp()
        assert all(type(claims[name]) is int for name in ("iat", "exp"))
        assert now - 86400 < claims["iat"] < now + _SKEW_SECONDS
        assert now < claims["exp"] < now + 86400
        assert claims.get("nbf", 0) <= now + _SKEW_SECONDS
        if "auth_time" in claims:
            assert type(claims["auth_time"]) is int
            assert claims["auth_time"] <= now + 1


# OpenID Connect Core 1.0 section 5.1
KINDS: Mapping[str, type] = {
    **dict.fromkeys(("email_verified", "phone_number_verified"), bool),
    **dict.fromkeys(
        (
            *("sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username"),
            *("profile", "picture", "website", "email", "gender", "birthdate", "zoneinfo", "locale", "phone_number"),
        ),
        str,
    ),
    "address": dict,
    "updated_at": int,
}
CLAIMS_OF_SCOPE: Mapping[str, frozenset[str]] = {
    "profile": frozenset(
        {
            *("name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile"),
            *("picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
        }
    ),
    "email": frozenset({"email", "email_verified"}),
    "address": frozenset({"address"}),
    "phone": frozenset({"phone_number", "phone_number_verified"}),
    "roles": frozenset({"roles"}),
}


def check_kinds(claims: Mapping[str, Any]) -> None:
    """Hold every standard claim to its JSON kind. One without a value is left out, never null or empty."""
    for name, kind in KINDS.items():
        if name in claims:
            assert type(claims[name]) is kind, f"{name}: {claims[name]!r}"
            assert claims[name] not in ("", {}), name


def half_hash(token: str, algorithm: str) -> str:
    """Return ``at_hash`` (OpenID Connect Core 1.0 section 3.1.3.6)."""
    digest = hashlib.new(_HASHES[algorithm], token.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
