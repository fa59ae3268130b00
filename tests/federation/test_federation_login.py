"""Signing in with another provider, there and back, over real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.user import User
from tests.federation.provider import ProviderServer, configured, provider_served, query_of
from tests.gateways import BROWSER, Answer, GatewayFactory, Running
from tests.oauth.browser import Browser

TRUSTED = "trust_email: true"
GITHUB = {"authorization_url": "authorize", "token_url": "token", "userinfo_url": "userinfo", "emails_url": "emails"}
PRIVATE = {"allow_private": True}


@pytest.fixture
async def provider() -> AsyncIterator[ProviderServer]:
    async with provider_served() as served:
        yield served


@dataclass
class Person:
    """A browser that goes to the provider and comes back, as far as a test lets it."""

    browser: Browser
    client: aiohttp.ClientSession

    @property
    def running(self) -> Running:
        return self.browser.running

    async def go(self, path: str) -> Answer:
        return await self.browser.send("GET", f"{self.running.origin}{path}", headers=BROWSER)

    async def at_provider(self, location: str) -> str:
        """Let the provider sign the person in; returns where it sends the browser."""
        async with self.client.get(location, allow_redirects=False) as there:
            assert there.status == 302, await there.text()
            return there.headers["Location"]

    async def sign_in(self, path: str = "/login/with/corp") -> Answer:
        begun = await self.go(path)
        assert begun.status == 303, begun.text
        return await self.come_back(await self.at_provider(begun.location))

    async def come_back(self, url: str) -> Answer:
        return await self.browser.send("GET", url, headers={**BROWSER, "Sec-Fetch-Site": "cross-site"})

    async def who(self) -> User | None:
        """Return who this browser is signed in as."""
        secret = self.browser.cookies.get("gateway")
        owner = await self.running.gateway.accounts.sessions.find(secret, "localhost") if secret else None
        return await self.running.gateway.accounts.users.get(owner.account_id) if owner else None


async def person(running: Running) -> Person:
    return Person(Browser(running), running.client)


async def test_a_first_sign_in_makes_an_account_and_the_next_one_finds_it(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider, TRUSTED))
    ann = await person(running)
    page = await ann.go("/login")
    assert "Continue with Corp" in page.text
    done = await ann.sign_in()
    assert done.status == 303
    user = await ann.who()
    assert user is not None
    assert (user.username, user.email, user.name, user.is_verified) == ("ann", "ann@example.com", "Ann Example", True)
    again = await person(running)
    await again.sign_in()
    assert (await again.who()).id == user.id  # type: ignore[union-attr]
    assert (await running.gateway.accounts.users.page()).total == 1
    secret = ann.browser.cookies["gateway"]
    owner = await running.gateway.accounts.sessions.find(secret, "localhost")
    assert owner is not None
    assert owner.session.methods == ("fed",)


async def test_it_leads_back_to_where_the_person_was_going(
    gateway_factory: GatewayFactory, provider: ProviderServer, echo: str
) -> None:
    yaml = f"{configured(provider)}\nroutes: [{{name: wiki, match: {{host: localhost}}, upstream: '{echo}'}}]"
    running = await gateway_factory(yaml)
    ann = await person(running)
    stopped = await ann.go("/reports?year=2026")
    rd = query_of(stopped.location)["rd"]
    done = await ann.sign_in(f"/login/with/corp?rd={rd}")
    assert done.location == f"{running.origin}/reports?year=2026"
    assert (await ann.go("/reports?year=2026")).json["path"] == "/reports?year=2026"


@pytest.mark.parametrize(
    ("settings", "there", "here", "opens"),
    [
        (TRUSTED, {}, True, True),
        ("", {}, True, False),
        (TRUSTED, {"email_verified": False}, True, False),
        (TRUSTED, {"email_verified": None}, True, False),
        (TRUSTED, {}, False, False),
        (TRUSTED, {"email": "Ann@Example.com"}, True, True),
        (TRUSTED, {"email": "ann@evil.example@example.com"}, True, False),
    ],
    ids=["all", "not-trusted", "not-verified-there", "not-said", "not-verified-here", "spelt-otherwise", "two-ats"],
)
async def test_only_an_address_that_is_verified_everywhere_opens_an_account(
    gateway_factory: GatewayFactory,
    provider: ProviderServer,
    settings: str,
    there: dict[str, object],
    here: bool,
    opens: bool,
) -> None:
    running = await gateway_factory(configured(provider, settings))
    users = running.gateway.accounts.users
    user = await users.create("annie", "ann@example.com", "correct horse battery", is_verified=here)
    provider.claims |= there
    ann = await person(running)
    done = await ann.sign_in()
    found = await ann.who()
    if opens:
        assert found is not None
        assert found.id == user.id
    else:
        assert (done.status, found) == (403, None)
        assert (await running.gateway.federation.logins.list_for(user.id)) == []


async def test_somebody_else_with_the_same_subject_elsewhere_is_somebody_else(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    async with provider_served() as other:
        other.claims |= {"email": "bob@example.com", "preferred_username": "ann"}
        running = await gateway_factory(
            configured(provider) + configured(other, name="other").replace("providers:\n", "")
        )
        ann, bob = await person(running), await person(running)
        await ann.sign_in()
        await bob.sign_in("/login/with/other")
        assert [(await each.who()).username for each in (ann, bob)] == ["ann", "ann-2"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("settings", "claims", "code"),
    [
        ("create_accounts: false", {}, "You have no account here"),
        ("", {"email": None}, "Your e-mail address is needed"),
        ("", {"email": "no address"}, "Your e-mail address is needed"),
        ("", {"sub": None}, "cannot be trusted"),
        ("", {"sub": ""}, "cannot be trusted"),
        ("", {"sub": "a\nb"}, "cannot be trusted"),
        ("", {"sub": ["u-1"]}, "cannot be trusted"),
    ],
)
async def test_who_cannot_be_let_in_is_told_why(
    gateway_factory: GatewayFactory, provider: ProviderServer, settings: str, claims: dict[str, object], code: str
) -> None:
    running = await gateway_factory(configured(provider, settings))
    provider.claims |= claims
    provider.userinfo = {"sub": "u-1"}
    ann = await person(running)
    refused = await ann.sign_in()
    assert refused.status == 403
    assert code in refused.text
    assert await ann.who() is None
    assert await running.gateway.accounts.users.is_empty()


async def test_a_username_that_cannot_be_one_is_made_one(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    provider.claims |= {"preferred_username": "../<Ann> Ångström!"}
    ann = await person(running)
    await ann.sign_in()
    found = await ann.who()
    assert found is not None
    assert found.username == "Ann-Ångström"


async def test_roles_follow_the_claims_and_local_ones_stay(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    rules = "roles:\n- {claim: groups, in: [staff, ops], role: editor}\n- {claim: groups, equals: ops, role: ops}"
    running = await gateway_factory(configured(provider, rules))
    users = running.gateway.accounts.users
    ann = await person(running)

    async def roles() -> tuple[str, ...]:
        await ann.sign_in()
        user = await ann.who()
        assert user is not None
        return user.roles

    assert await roles() == ("editor", "user")
    user = await ann.who()
    assert user is not None
    await users.change(user.id, Changes(roles=["editor", "user", "local"]))
    provider.claims["groups"] = ["ops"]
    assert await roles() == ("editor", "local", "ops", "user")
    provider.claims["groups"] = []
    assert await roles() == ("local", "user")


async def test_the_last_administrator_stays_one(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider, "roles: [{claim: groups, equals: staff, role: admin}]"))
    ann = await person(running)
    await ann.sign_in()
    provider.claims["groups"] = []
    await ann.sign_in()
    user = await ann.who()
    assert user is not None
    assert user.is_admin
    await running.user("root", "admin")
    await ann.sign_in()
    assert not (await ann.who()).is_admin  # type: ignore[union-attr]


async def test_a_disabled_account_stays_out(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    await ann.sign_in()
    user = await ann.who()
    assert user is not None
    await running.gateway.accounts.users.change(user.id, Changes(is_active=False))
    again = await person(running)
    assert (await again.sign_in()).status == 403
    assert await again.who() is None


@pytest.mark.parametrize(
    ("settings", "methods", "asked"),
    [
        ("", ["pwd", "mfa"], True),
        ("trust_mfa: true", ["pwd"], True),
        ("trust_mfa: true", "mfa", True),
        ("trust_mfa: true", ["pwd", "mfa"], False),
    ],
)
async def test_a_second_factor_there_counts_where_that_is_trusted(
    gateway_factory: GatewayFactory, provider: ProviderServer, settings: str, methods: object, asked: bool
) -> None:
    running = await gateway_factory(configured(provider, settings) + "second_factors: {required_roles: [user]}")
    provider.claims["amr"] = methods
    ann = await person(running)
    done = await ann.sign_in()
    assert done.location.startswith("/login/enrol") is asked
    assert (await ann.who() is None) is asked


async def test_a_state_is_good_once_in_its_browser_and_for_its_provider(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    async with provider_served() as other:
        running = await gateway_factory(
            configured(provider) + configured(other, name="other").replace("providers:\n", "")
        )
        ann, mallory = await person(running), await person(running)
        back = await ann.at_provider((await ann.go("/login/with/corp")).location)
        await mallory.go("/login/with/corp")
        # A login that was begun elsewhere is not finished here (login CSRF), and is over for its owner as well.
        assert (await mallory.come_back(back)).status == 403
        assert (await ann.come_back(back)).status == 403
        back = await ann.at_provider((await ann.go("/login/with/corp")).location)
        assert (await ann.come_back(back.replace("/callback/corp", "/callback/other"))).status == 403
        back = await ann.at_provider((await ann.go("/login/with/corp")).location)
        assert (await ann.come_back(back)).status == 303
        assert (await ann.come_back(back)).status == 403
        assert provider.asked["/token"] == 1
        assert other.asked["/token"] == 0


async def test_a_sign_in_that_takes_too_long_begins_anew(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    back = await ann.at_provider((await ann.go("/login/with/corp")).location)
    await running.gateway._database.execute("update federation_start set expires_at = now() - interval '1s'")
    assert (await ann.come_back(back)).status == 403
    assert await running.gateway.federation.starts.forget_old() == 0


async def test_what_waits_in_the_database_redeems_nothing(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    begun = query_of((await ann.go("/login/with/corp")).location)
    (row,) = await running.gateway._database.fetch("select * from federation_start")
    kept = json.dumps({name: str(value) for name, value in dict(row).items()})
    for secret in (begun["state"], begun["nonce"], ann.browser.cookies["gateway-provider"]):
        assert secret not in kept


async def test_another_site_s_link_begins_nothing(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    begun = await ann.browser.send(
        "GET", f"{running.origin}/login/with/corp", headers={**BROWSER, "Sec-Fetch-Site": "cross-site"}
    )
    assert begun.location == "/login?choose=1"


async def test_people_of_a_host_and_of_a_domain_are_sent_on(
    gateway_factory: GatewayFactory, provider: ProviderServer, echo: str
) -> None:
    yaml = f"routes: [{{name: wiki, match: {{host: app.localhost}}, upstream: '{echo}'}}]"
    running = await gateway_factory(configured(provider, "hosts: [app.localhost]\ndomains: [corp.example]") + yaml)
    ann = await person(running)
    sent_on = await ann.go(f"/login?rd=http://app.localhost:{running.port}/x")
    assert sent_on.status == 302
    assert sent_on.location.startswith("/login/with/corp?rd=")
    assert (await ann.go(f"/login?choose=1&rd=http://app.localhost:{running.port}/x")).status == 200
    page = await ann.browser.open(f"{running.origin}/login")
    form = page.login_form
    assert form is not None
    data = {**form.fields, "username": " Ann@Corp.Example ", "password": ""}
    typed = await ann.browser.send("POST", f"{running.origin}/login", headers=BROWSER, data=data)
    assert typed.location == "/login/with/corp?login_hint=Ann%40Corp.Example"
    assert query_of((await ann.go(typed.location)).location)["login_hint"] == "Ann@Corp.Example"


async def test_confirming_asks_the_provider_to_ask_again(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    await ann.sign_in()
    asked = query_of((await ann.go("/login/with/corp?prompt=login")).location)
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    provider.tamper = lambda claims: {**claims, "auth_time": claims["iat"] - 3600}
    assert (await ann.sign_in("/login/with/corp?prompt=login")).status == 403
    provider.tamper = lambda claims: claims
    assert (await ann.sign_in("/login/with/corp?prompt=login")).status == 303


async def test_an_account_is_linked_and_unlinked(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    user = await running.user("annie")
    ann = await person(running)
    ann.browser.cookies["gateway"] = await running.session(user)
    page = await ann.browser.open(f"{running.origin}/account/logins")
    form = next(each for each in page.forms if each.action.endswith("/link/corp"))
    going = await ann.browser.submit(page, form)
    url = next(part for part in going.text.split('"') if part.startswith(provider.url)).replace("&amp;", "&")
    linked = await ann.come_back(await ann.at_provider(url))
    assert linked.location == "/account/logins?done=linked"
    other = await person(running)
    await other.sign_in()
    assert (await other.who()).id == user.id  # type: ignore[union-attr]
    page = await ann.browser.open(f"{running.origin}/account/logins")
    assert "ann@example.com" in page.text
    form = next(each for each in page.forms if each.action.endswith("/unlink"))
    assert "opens your account no more" in (await ann.browser.submit(page, form)).text


async def test_the_last_way_in_is_not_taken_away(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    await ann.sign_in()
    page = await ann.browser.open(f"{running.origin}/account/logins")
    form = next(each for each in page.forms if each.action.endswith("/unlink"))
    refused = await ann.browser.submit(page, form)
    assert refused.status == 409
    assert "last way in" in refused.text


async def test_an_account_elsewhere_opens_one_account_here(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    await ann.sign_in()
    bob = await person(running)
    bob.browser.cookies["gateway"] = await running.session(await running.user("bob"))
    page = await bob.browser.open(f"{running.origin}/account/logins")
    going = await bob.browser.submit(page, next(each for each in page.forms if each.action.endswith("/link/corp")))
    url = next(part for part in going.text.split('"') if part.startswith(provider.url)).replace("&amp;", "&")
    assert "linked already" in (await bob.come_back(await bob.at_provider(url))).text


async def test_tokens_are_given_over_json(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    running = await gateway_factory(configured(provider))
    begun = await running.post("/api/v1/users/login/oauth", {"provider": "corp"})
    assert begun.status == 200
    url = begun.json["redirect_url"]
    cookie = begun.cookie("gateway-provider")
    there = await person(running)
    back = await there.at_provider(url)
    path = back.removeprefix(running.origin)
    assert (await running.get(path)).status == 401
    back = (
        await there.at_provider(
            (
                await running.post(
                    "/api/v1/users/login/oauth", {"provider": "corp"}, headers={"Cookie": f"gateway-provider={cookie}"}
                )
            ).json["redirect_url"]
        )
    ).removeprefix(running.origin)
    done = await running.get(back, headers={"Cookie": f"gateway-provider={cookie}"})
    assert done.status == 200
    assert set(done.json) >= {"token", "refresh_token", "user"}
    assert (await running.get("/api/me", token=done.json["token"])).json["username"] == "ann"
    assert (await running.post("/api/v1/users/login/oauth", {"provider": "nobody"})).status == 400


async def test_a_github_account_signs_in(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    """Its endpoints as they are documented: no ID token, a number for a subject, addresses in a list of their own."""
    provider.claims = {"id": 583231, "login": "octocat", "name": "The Octocat", "email": None}
    provider.emails = [
        {"email": "old@example.com", "verified": True, "primary": False},
        {"email": "octocat@example.com", "verified": True, "primary": True},
    ]
    running = await gateway_factory("""
providers:
  github: {type: github, client_id: wiki, client_secret: "s:cret & more", trust_email: true}
""")
    federation = running.gateway.federation
    github = federation.providers["github"]
    urls: dict[str, Any] = {name: f"{provider.url}/{path}" for name, path in GITHUB.items()}
    at_test = replace(github, facts=replace(github.facts, **urls), settings=github.settings.model_copy(update=PRIVATE))
    federation.providers["github"] = at_test  # type: ignore[index]
    octocat = await person(running)
    await octocat.sign_in("/login/with/github")
    user = await octocat.who()
    assert user is not None
    assert (user.username, user.email, user.is_verified) == ("octocat", "octocat@example.com", True)
    (login,) = await federation.logins.list_for(user.id)
    assert (login.authority, login.subject) == ("https://github.com", "583231")
