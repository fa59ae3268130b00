"""Whom tokens of other issuers stand for, and which are refused: bad ones, and those that are for something else."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from gateway.clock import SystemClock
from gateway.config.trusted_issuers import TrustedIssuer
from gateway.errors import AuthorityUnavailable, TokenRejected
from gateway.federation.issuers import TrustedIssuers
from gateway.identity.foreigners import Foreigners
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.presented import Presented
from gateway.identity.verified import Verified
from tests.fake_clock import FakeClock
from tests.federation.issuer import ACTIVE, IssuerServer, issuer_served
from tests.federation.signed import RSA, assembled, public
from tests.listening.authority import Authority

US = "https://portal.example.com"
ANN: dict[str, Any] = {"email": "ann@example.com", "email_verified": True, "name": "Ann Lee"}


@dataclass
class Desk:
    """Authenticates tokens of one issuer, configured as a test wants."""

    issuer: IssuerServer
    clock: FakeClock
    config: dict[str, Any]
    _foreigners: Foreigners | None = None

    def configure(self, *more: dict[str, Any], **changed: Any) -> None:
        issuers = [TrustedIssuer.model_validate({**self.config, **changed}), *map(TrustedIssuer.model_validate, more)]
        self._foreigners = Foreigners(TrustedIssuers(issuers, self.clock), US, self.clock)

    async def ask(self, token: str) -> Verified | None:
        if self._foreigners is None:
            self.configure()
        assert self._foreigners is not None
        return await self._foreigners.authenticate(Presented(CredentialKind.BEARER, "authorization", token))

    async def who(self, token: str) -> Identity:
        verified = await self.ask(token)
        assert verified is not None
        return verified.identity

    async def refused(self, token: str) -> str:
        """Return why nobody of this issuer is taken for its owner."""
        try:
            return "of nobody that is trusted" if await self.ask(token) is None else ""
        except TokenRejected as error:
            return error.reason


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with issuer_served() as issuer:
        asked = {"url": f"{issuer.url}/introspect", "client_id": "gateway", "client_secret": "s:cret & more"}
        yield Desk(
            issuer,
            FakeClock(SystemClock().now()),
            {
                "issuer": issuer.url,
                "audience": "wiki",
                "username_prefix": "idp:",
                "claims": {"username": "email"},
                "allow_private": True,
                "introspection": asked,
            },
        )


async def test_a_token_stands_for_its_owner(desk: Desk) -> None:
    verified = await desk.ask(desk.issuer.token(**ANN, groups=["a"], age=7, realm={"x": 1}))
    assert verified is not None
    assert verified.identity == Identity(
        user_id=f"{desk.issuer.url}|u-1",
        username="idp:ann@example.com",
        email="ann@example.com",
        name="Ann Lee",
        roles=(),
        kind=CredentialKind.BEARER,
        authenticated_at=datetime.fromtimestamp(0, UTC),
        scopes=frozenset(),
        audiences=frozenset({"wiki", US}),
        methods=(),
        claims={**ANN, "groups": ("a",), "age": 7},
        issuer=desk.issuer.url,
    )
    assert verified.consumed == {"authorization"}
    assert verified.expires_at == desk.clock.monotonic() + 60


async def test_how_somebody_signed_in_is_not_believed_unasked(desk: Desk) -> None:
    who = await desk.who(desk.issuer.token(**ANN, amr=["pwd", "otp"], auth_time=1_700_000_000))
    assert (who.methods, who.authenticated_at) == ((), datetime.fromtimestamp(0, UTC))


async def test_how_somebody_signed_in_is_believed_where_that_is_configured(desk: Desk) -> None:
    desk.configure(trust_mfa=True)
    who = await desk.who(desk.issuer.token(**ANN, amr=["pwd", "otp", 7], auth_time=1_700_000_000))
    assert who.methods == ("pwd", "otp")
    assert who.authenticated_at == datetime.fromtimestamp(1_700_000_000, UTC)
    for odd in (None, "now", True, -1, 10**30, [1]):
        who = await desk.who(desk.issuer.token(**ANN, auth_time=odd, jti=str(odd)))
        assert who.authenticated_at == datetime.fromtimestamp(0, UTC)


async def test_a_name_is_of_the_claim_that_is_configured(desk: Desk) -> None:
    desk.configure(claims={"username": "preferred_username"}, username_prefix=None)
    assert (await desk.who(desk.issuer.token(preferred_username="ann"))).username == "127.0.0.1:ann"
    desk.configure(claims={})
    assert (await desk.who(desk.issuer.token())).username == "idp:u-1"


async def test_tokens_may_be_kept_to_routes(desk: Desk) -> None:
    desk.configure(routes=["wiki"])
    assert (await desk.who(desk.issuer.token(**ANN))).routes == frozenset({"wiki"})


REFUSED: list[tuple[str, Callable[[IssuerServer], str]]] = [
    ("unknown-issuer", lambda issuer: issuer.token(iss="https://evil.example", **ANN)),
    ("our-issuer", lambda issuer: issuer.token(iss="https://portal.example.com", aud="https://portal.example.com")),
    ("other-audience", lambda issuer: issuer.token(aud="billing", **ANN)),
    ("our-audience", lambda issuer: issuer.token(aud="https://portal.example.com", **ANN)),
    ("strangers-key", lambda issuer: issuer.token(JWK.generate(kty="EC", crv="P-256", kid="ec"), **ANN)),
    ("none", lambda issuer: assembled({"alg": "none"}, {"iss": issuer.url, "aud": "wiki", "sub": "x", "exp": 9**10})),
    ("algorithm-not-listed", lambda issuer: issuer.token(RSA, "RS512", **ANN)),
    ("expired", lambda issuer: issuer.token(exp=1, **ANN)),
    ("no-expiry", lambda issuer: issuer.token(exp=None, **ANN)),
    ("no-username", lambda issuer: issuer.token(email="")),
    ("unverified-name", lambda issuer: issuer.token(**{**ANN, "email_verified": False})),
    ("odd-email", lambda issuer: issuer.token(email="ann@evil@example.com")),
    ("control-character", lambda issuer: issuer.token(email="ann@example.com\r\nX: y")),
    ("half-a-character", lambda issuer: issuer.token(email="\ud800@example.com")),
    ("odd-subject", lambda issuer: issuer.token(**{**ANN, "sub": "a\nb"})),
    ("bound-to-a-key", lambda issuer: issuer.token(cnf={"jkt": "x"}, **ANN)),
    ("id-token", lambda issuer: issuer.token(typ="ID", **ANN)),
    ("refresh-token", lambda issuer: issuer.token(typ="Refresh", **ANN)),
    ("cognito-id-token", lambda issuer: issuer.token(token_use="id", **ANN)),
]


@pytest.mark.parametrize("token", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_other_tokens_stand_for_nobody(desk: Desk, token: Callable[[IssuerServer], str]) -> None:
    assert await desk.refused(token(desk.issuer))


async def test_one_issuer_does_not_speak_for_another(desk: Desk) -> None:
    async with issuer_served() as other:
        other.keys = [JWK.generate(kty="EC", crv="P-256", kid="ec")]
        config = {**desk.config, "issuer": other.url, "username_prefix": "other:", "introspection": None}
        desk.configure(config)
        theirs = other.token(other.keys[0], **ANN)
        assert (await desk.who(theirs)).username == "other:ann@example.com"
        assert await desk.refused(other.token(other.keys[0], iss=desk.issuer.url, **ANN)) == "bad_signature"
        assert await desk.refused(desk.issuer.token(iss=other.url, **ANN)) == "bad_signature"


async def test_the_key_of_a_file_needs_nobody(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public(RSA)]}))
    desk.configure(jwks_file=path)
    desk.issuer.down = True
    assert not await desk.refused(desk.issuer.token(RSA, "RS256", **ANN))
    assert await desk.refused(desk.issuer.token(**ANN)) == "unknown_key"
    assert desk.issuer.asked == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"jwks_uri": None},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "nothing"},
    ],
    ids=["other-issuer", "no-keys", "file", "relative"],
)
async def test_metadata_that_cannot_be_used_lets_nobody_in(desk: Desk, metadata: dict[str, Any]) -> None:
    desk.issuer.metadata = metadata
    with pytest.raises(AuthorityUnavailable):
        await desk.ask(desk.issuer.token(**ANN))


async def test_nothing_inside_is_asked_unless_that_is_allowed(desk: Desk) -> None:
    for more in ({}, {"jwks_url": f"{desk.issuer.url}/keys"}, {"discovery_url": f"{desk.issuer.url}/x"}):
        desk.configure(allow_private=False, **more)
        for token in (desk.issuer.token(**ANN), "0paque"):
            with pytest.raises(AuthorityUnavailable):
                await desk.ask(token)
    assert desk.issuer.asked == {}


@pytest.mark.parametrize(
    "said",
    [
        {"active": False},
        {**ACTIVE, "active": "true"},
        {**ACTIVE, "active": 1},
        {**ACTIVE, "iss": "https://evil.example"},
        {**ACTIVE, "aud": "billing"},
        {**ACTIVE, "aud": None},
        {name: value for name, value in ACTIVE.items() if name != "aud"},
        {name: value for name, value in ACTIVE.items() if name != "sub"},
        {**ACTIVE, "exp": 1},
        {**ACTIVE, "exp": "soon"},
        {**ACTIVE, "nbf": 99999999999},
        {**ACTIVE, "token_type": "DPoP"},
        {**ACTIVE, "token_use": "refresh_token"},
        {**ACTIVE, "typ": "Refresh"},
        {**ACTIVE, "cnf": {"x5t#S256": "x"}},
    ],
    ids=[
        "inactive", "active-text", "active-number", "issuer", "audience", "audience-null", "no-audience",
        "no-subject", "expired", "exp-text", "future", "dpop", "hydra-refresh", "keycloak-refresh", "certificate",
    ],
)  # fmt: skip
async def test_an_opaque_token_is_held_to_what_its_issuer_says(desk: Desk, said: dict[str, Any]) -> None:
    desk.issuer.opaque["0paque"] = said
    assert await desk.refused("0paque")


async def test_a_token_without_an_audience_is_taken_where_that_is_configured(desk: Desk) -> None:
    desk.configure(introspection={**desk.config["introspection"], "require_audience": False})
    desk.issuer.opaque["0paque"] = {name: value for name, value in ACTIVE.items() if name != "aud"}
    assert not await desk.refused("0paque")
    desk.issuer.opaque["other"] = {**ACTIVE, "aud": ["billing"]}
    assert await desk.refused("other") == "wrong_audience"


async def test_an_answer_is_believed_for_a_short_time_and_opens_nothing_for_long(desk: Desk) -> None:
    desk.issuer.opaque["0paque"] = ACTIVE
    verified = await desk.ask("0paque")
    assert verified is not None
    assert verified.expires_at == desk.clock.monotonic() + 30
    assert verified.ends_at == desk.clock.monotonic() + 3600
    desk.issuer.opaque["0paque"] = {**ACTIVE, "exp": desk.clock.now().timestamp() - 20}
    verified = await desk.ask("0paque")
    assert verified is not None
    assert verified.ends_at == pytest.approx(desk.clock.monotonic() + 10)


async def test_a_token_that_is_none_is_asked_about_once_in_a_while(desk: Desk) -> None:
    for _ in range(10):
        assert await desk.refused("made-up") == "inactive"
    assert desk.issuer.asked["/introspect"] == 1
    desk.clock.advance(10)
    desk.issuer.opaque["made-up"] = ACTIVE
    assert not await desk.refused("made-up")


async def test_a_token_that_its_issuer_cannot_read_is_none(desk: Desk) -> None:
    assert await desk.refused("no token at all") == "inactive"


async def test_too_many_made_up_tokens_do_not_pile_up(desk: Desk) -> None:
    asked = await asyncio.gather(*(desk.ask(f"made-up-{number}") for number in range(400)), return_exceptions=True)
    kinds = [type(each) for each in asked]
    assert (kinds.count(TokenRejected), kinds.count(AuthorityUnavailable)) == (256, 144)


async def test_the_secret_may_be_sent_in_the_form(desk: Desk) -> None:
    desk.configure(introspection={**desk.config["introspection"], "auth_method": "client_secret_post"})
    desk.issuer.opaque["0paque"] = ACTIVE
    assert not await desk.refused("0paque")


async def test_an_issuer_may_be_asked_about_its_jwts(desk: Desk) -> None:
    desk.configure(introspection={**desk.config["introspection"], "jwts": True})
    token = desk.issuer.token(**ANN)
    assert await desk.refused(token) == "inactive"
    desk.clock.advance(10)
    desk.issuer.opaque[token] = ACTIVE
    assert (await desk.who(token)).username == "idp:bob@example.com"
    assert desk.issuer.asked == {"/introspect": 2}


async def test_of_several_that_are_asked_only_the_tokens_own_sees_it(desk: Desk) -> None:
    async with issuer_served() as other:
        asked = {**desk.config["introspection"], "url": f"{other.url}/introspect", "token_prefix": "ory_"}
        desk.configure({**desk.config, "issuer": other.url, "username_prefix": "other:", "introspection": asked})
        other.opaque["ory_a.b.c"] = desk.issuer.opaque["x"] = ACTIVE
        assert (await desk.who("ory_a.b.c")).username == "other:bob@example.com"
        assert (await desk.who("x")).username == "idp:bob@example.com"
        assert (desk.issuer.asked["/introspect"], other.asked["/introspect"]) == (1, 1)


ACCOUNT = "system:serviceaccount:ci:runner"
POD: dict[str, Any] = {
    "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "runner", "uid": "1"}, "pod": {"name": "r-1"}}
}


def cluster(desk: Desk, **changed: Any) -> None:
    rule = {"claim": "kubernetes.io.namespace", "equals": "ci", "role": "deployer"}
    desk.configure(
        kubernetes=True, claims={}, username_prefix=changed.pop("username_prefix", None), roles=[rule], **changed
    )


async def test_a_service_account_has_the_name_that_its_cluster_gives_it(desk: Desk) -> None:
    cluster(desk)
    who = await desk.who(desk.issuer.token(sub=ACCOUNT, **POD))
    assert (who.username, who.roles, who.email) == (ACCOUNT, ("deployer",), "")
    assert who.claims == {"namespace": "ci", "serviceaccount": "runner", "pod": "r-1"}
    cluster(desk, username_prefix="east:")
    assert (await desk.who(desk.issuer.token(sub=ACCOUNT))).username == f"east:{ACCOUNT}"


@pytest.mark.parametrize(
    "subject",
    ["ann", "system:serviceaccount:ci", "system:serviceaccount::x", "system:serviceaccount:a:b:c", "system:node:x",
     "system:serviceaccount:ci:Runner", f"{ACCOUNT}\n", f"x{ACCOUNT}"],
)  # fmt: skip
async def test_nothing_else_of_a_cluster_is_taken(desk: Desk, subject: str) -> None:
    cluster(desk)
    assert await desk.refused(desk.issuer.token(sub=subject, **POD)) in {"no_service_account", "no_subject"}


async def test_a_legacy_service_account_token_never_ends_and_is_refused(desk: Desk) -> None:
    cluster(desk)
    assert await desk.refused(desk.issuer.token(sub=ACCOUNT, exp=None)) == "bad_exp"


async def test_an_api_server_is_asked_with_the_token_and_authorities_of_the_pod(desk: Desk, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair, token_file, ca_file = authority.issue(), tmp_path / "token", authority.ca_file
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.cert, pair.key)
    async with issuer_served(tls) as api_server:
        api_server.needs_token = "first"
        token_file.write_text("first\n")
        config = {"issuer": api_server.url, "introspection": None, "token_file": token_file, "ca_file": ca_file}
        cluster(desk, **config)
        assert (await desk.who(api_server.token(sub=ACCOUNT))).username == ACCOUNT
        # The token is renewed, and so are the keys.
        api_server.needs_token = "second"
        token_file.write_text("second")
        new = JWK.generate(kty="EC", crv="P-256", kid="new")
        api_server.keys = [new]
        desk.clock.advance(900)
        assert (
            await desk.who(api_server.token(new, sub=ACCOUNT, exp=int(desk.clock.now().timestamp()) + 60))
        ).username == ACCOUNT
        for broken in ({"ca_file": None}, {"token_file": tmp_path / "none"}, {"ca_file": token_file}):
            cluster(desk, **{**config, **broken})
            with pytest.raises(AuthorityUnavailable):
                await desk.ask(api_server.token(sub=ACCOUNT))
        assert api_server.asked["/keys"] == 2


async def test_the_token_of_the_pod_is_sent_by_https_alone(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    cluster(desk, token_file=tmp_path / "token")
    with pytest.raises(AuthorityUnavailable):
        await desk.ask(desk.issuer.token(sub=ACCOUNT))
    assert desk.issuer.asked == {}
