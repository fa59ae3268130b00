"""The authorization code flow from end to end, over sockets: what is granted, to whom, and for how often."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.policy.rate_limit import Buckets, RateLimit
from tests.fake_clock import FakeClock
from tests.gateways import GatewayFactory
from tests.oauth.party import CALLBACK, FORM, Party, claims, landed, open_party, party

__all__ = ["party"]


async def test_a_code_becomes_tokens_for_the_person_that_granted_it(party: Party) -> None:
    answer = await party.authorize(nonce="n-1")
    parameters = landed(answer)
    assert parameters["state"] == "s t/a"
    assert parameters["iss"] == party.running.origin
    reply = await party.redeem(answer)
    assert reply.status == 200, reply.text
    assert reply.headers["Cache-Control"] == "no-store"
    tokens = reply.json
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    access, identity = claims(tokens["access_token"]), claims(tokens["id_token"])
    ann = await party.running.gateway.accounts.users.find("ann")
    assert ann is not None
    assert (access["sub"], access["client_id"], access["scope"]) == (ann.id, party.client_id, "openid profile")
    assert access["aud"] == [party.running.origin, f"{party.running.origin}/oauth/userinfo"]
    assert (identity["aud"], identity["nonce"], identity["acr"]) == (party.client_id, "n-1", "aal1")
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert identity["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()


async def test_a_code_that_comes_back_ends_what_came_of_it(party: Party) -> None:
    answer = await party.authorize()
    tokens = (await party.redeem(answer)).json
    again = await party.redeem(answer)
    assert (again.status, again.json["error"]) == (400, "invalid_grant")
    refreshed = await party.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refreshed.json["error"] == "invalid_grant"


async def test_a_refresh_token_is_good_once(party: Party) -> None:
    tokens = (await party.redeem(await party.authorize())).json
    first = await party.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert first.status == 200, first.text
    assert first.json["scope"] == "openid profile"
    again = await party.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.json["error"] == "invalid_grant"
    after = await party.token(grant_type="refresh_token", refresh_token=first.json["refresh_token"])
    assert after.json["error"] == "invalid_grant"


async def test_a_wider_scope_at_refresh_is_refused_and_costs_nothing(party: Party) -> None:
    tokens = (await party.redeem(await party.authorize())).json
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await party.token(**form, scope="openid email")).json["error"] == "invalid_scope"
    narrower = await party.token(**form, scope="openid")
    assert narrower.json["scope"] == "openid"


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": ""},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": ""},
        {"code": "c" * 43},
    ],
    ids=["other verifier", "no verifier", "other address", "no address", "other code"],
)
async def test_a_code_is_bound_to_what_it_was_made_for(party: Party, change: dict[str, str]) -> None:
    answer = await party.authorize()
    reply = await party.redeem(answer, **change)
    assert reply.status == 400
    assert reply.json["error"] in {"invalid_grant", "invalid_request"}


async def test_a_code_expires(party: Party, clock: FakeClock) -> None:
    answer = await party.authorize()
    clock.advance(timedelta(seconds=61))
    assert (await party.redeem(answer)).json["error"] == "invalid_grant"


async def test_a_program_stands_for_itself(party: Party) -> None:
    reply = await party.token(grant_type="client_credentials", scope="roles")
    assert reply.status == 200, reply.text
    access = claims(reply.json["access_token"])
    assert (access["sub"], access["scope"], "sid" in access) == (party.client_id, "roles", False)
    assert "refresh_token" not in reply.json


async def test_whoever_is_not_signed_in_signs_in_and_comes_back(party: Party) -> None:
    answer = await party.authorize(cookie="", login_hint="ann")
    assert answer.status == 303
    query = dict(parse_qsl(urlsplit(answer.location).query))
    assert urlsplit(answer.location).path == "/login"
    assert query["login_hint"] == "ann"
    assert len(query["rd"]) < 300
    back = await party.running.get(query["rd"], cookie=party.cookie)
    assert "code" in landed(back)
    assert (await party.running.get(query["rd"], cookie=party.cookie)).status == 400


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": ""}, "invalid_request"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "id_token", "nonce": "n"}, "unauthorized_client"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"scope": "unheard of"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"claims": "[]"}, "invalid_request"),
        ({"resource": "https://elsewhere.example.com"}, "invalid_target"),
        ({"request": "e30."}, "request_not_supported"),
        ({"request_uri": "https://elsewhere.example.com/r"}, "request_uri_not_supported"),
        ({"id_token_hint": "e30.e30.e30"}, "invalid_request"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_told_to_the_client(party: Party, change: dict[str, str], error: str) -> None:
    parameters = landed(await party.authorize(**change))
    assert parameters["error"] == error
    assert parameters["iss"] == party.running.origin
    assert "code" not in parameters


@pytest.mark.parametrize(
    "change",
    [{"client_id": "nobody"}, {"client_id": ""}, {"redirect_uri": f"{CALLBACK}x"}, {"redirect_uri": ""}],
    ids=["unknown client", "no client", "another address", "no address"],
)
async def test_nobody_is_sent_to_an_address_that_is_not_known(party: Party, change: dict[str, str]) -> None:
    answer = await party.authorize(**change)
    assert answer.status == 400
    assert "Location" not in answer.headers


async def test_silence_is_kept(party: Party, clock: FakeClock) -> None:
    assert "code" in landed(await party.authorize(prompt="none"))
    assert landed(await party.authorize(prompt="none", cookie=""))["error"] == "login_required"
    clock.advance(timedelta(seconds=30))
    assert landed(await party.authorize(prompt="none", max_age="20"))["error"] == "login_required"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_strangers_cannot_fill_the_database(party: Party, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = party.running.gateway.provider
    monkeypatch.setattr(provider.strangers, "_limit", RateLimit(2, 60, by_user=False))
    monkeypatch.setattr(provider.strangers, "_buckets", Buckets(RateLimit(2, 60, by_user=False)))
    seen = []
    for _ in range(4):
        if method == "GET":
            seen.append((await party.authorize(cookie="")).status)
        else:
            form = urlencode({"client_id": party.client_id, "redirect_uri": CALLBACK})
            seen.append((await party.running.send("POST", "/oauth/authorize", headers=FORM, data=form)).status)
    assert seen == [303, 303, 429, 429]
    assert (await party.authorize()).status == 303


@pytest.mark.parametrize("prompt", ["", "none"])
async def test_nobody_is_sent_to_a_stranger_s_address_with_an_error(
    gateway_factory: GatewayFactory, clock: FakeClock, prompt: str
) -> None:
    """Else whoever registers an address could have people sent there by a link of ours, without being asked."""
    party = await open_party(gateway_factory, clock, first_party=False, opens_routes=False, manages_itself=True)
    answer = await party.authorize(scope="unheard-of", prompt=prompt)
    if prompt == "none":
        assert landed(answer)["error"] == "invalid_scope"
        return
    assert (answer.status, "Location" in answer.headers) == (400, False)
    assert "Back to app.example.com" in answer.text
    assert "error=invalid_scope" in answer.text


async def test_a_code_comes_in_the_fragment_where_the_client_asks_for_that(party: Party) -> None:
    """OAuth 2.0 Multiple Response Type Encoding Practices, section 2.1."""
    answer = await party.authorize(response_mode="fragment")
    assert answer.location.startswith(f"{CALLBACK}#")
    parameters = landed(answer)
    assert parameters.keys() == {"code", "state", "iss"}
    assert (parameters["state"], parameters["iss"]) == ("s t/a", party.running.origin)
    assert (await party.redeem(answer)).status == 200
    refused = await party.authorize(response_mode="fragment", scope="unheard of")
    assert refused.location.startswith(f"{CALLBACK}#")
    assert landed(refused)["error"] == "invalid_scope"
    unknown = await party.authorize(response_mode="form_post")
    assert unknown.location.startswith(f"{CALLBACK}?")
    assert landed(unknown)["error"] == "invalid_request"


async def test_looking_is_not_asking(party: Party) -> None:
    """HEAD must change nothing (RFC 9110 section 9.2.1): a code is something."""
    answer = await party.running.send("HEAD", "/oauth/authorize?client_id=x", cookie=party.cookie)
    assert answer.status == 405
