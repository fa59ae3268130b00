"""Every page that people see: what it is called, who sees it, and the way there.

One table for the search for barriers, for the screenshots, and for the page of the documentation that shows them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.web.asking import register
from tests.web.test_web_device import waiting
from tests.web.walk.walker import Walker, Who

NEW_PASSWORD: Final = "another good passphrase"
Way = str | Callable[[Walker], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Station:
    """One page. Its ``name`` is that of its template, with the state after a dash that it is in."""

    name: str
    says: str
    way: Way
    who: Who

    @property
    def template(self) -> str:
        return self.name.partition("-")[0]

    async def reach(self, walker: Walker) -> None:
        await walker.become(self.who)
        if isinstance(self.way, str):
            await walker.to(self.way)
        else:
            await self.way(walker)


@dataclass(frozen=True, slots=True)
class Chapter:
    """Pages that belong together."""

    title: str
    stations: tuple[Station, ...]


def _chapter(title: str, who: Who, *pages: tuple[str, str, Way]) -> Chapter:
    return Chapter(title, tuple(Station(name, says, way, who) for name, says, way in pages))


async def _login(walker: Walker) -> None:
    await walker.to(walker.world.url("app.localhost", "/reports"))


async def _refused_login(walker: Walker) -> None:
    await walker.sign_in("/login", "ann", "wrong password")


async def _refused_registration(walker: Walker) -> None:
    await walker.to("/register")
    await walker.fill(username="ann", email="zoe@example.com", password="password")
    await walker.press("Create account")


async def _registered(walker: Walker) -> None:
    await walker.to("/register")
    await walker.fill(username="zoe", email="zoe@example.com", password=NEW_PASSWORD)
    await walker.press("Create account")


async def _second_factor(walker: Walker) -> None:
    await walker.sign_in("/login", "ann")


async def _wrong_code(walker: Walker) -> None:
    await walker.sign_in("/login", "ann")
    await walker.fill(code="000000")
    await walker.press("Sign in")


async def _enrol(walker: Walker) -> None:
    await walker.sign_in("/login", "carl")


async def _recovery_codes(walker: Walker) -> None:
    await walker.sign_in("/login", "carl")
    await walker.prove_app()
    await walker.press("Set up and sign in")


async def _signed_in(walker: Walker) -> None:
    await walker.to(walker.silent.url("localhost", "/login"))


async def _signed_out(walker: Walker) -> None:
    await walker.to("/logout")
    await walker.press("Sign out")


async def _forgot_sent(walker: Walker) -> None:
    await walker.to("/forgot")
    await walker.fill(username="nobody@example.com")
    await walker.press("Send a link")


async def _without_mail(walker: Walker) -> None:
    await walker.to(walker.silent.url("localhost", "/forgot"))


async def _reset(walker: Walker) -> None:
    await walker.to(await walker.world.accounts.recovery.forgotten.link(walker.users[Who.NEWCOMER]))


async def _refused_reset(walker: Walker) -> None:
    await _reset(walker)
    await walker.fill(password="password")
    await walker.press("Set password")


async def _reset_done(walker: Walker) -> None:
    await _reset(walker)
    await walker.fill(password=NEW_PASSWORD)
    await walker.press("Set password")


async def _verify(walker: Walker) -> None:
    eve = await walker.world.users.find("eve") or await walker.world.users.create("eve", "eve@example.com", None)
    await walker.to(await walker.world.accounts.recovery.verification.link(eve))


async def _verified(walker: Walker) -> None:
    await _verify(walker)
    await walker.press("Confirm")


async def _invite(walker: Walker) -> None:
    await walker.to((await walker.world.accounts.recovery.invitations.invite("fred@example.com")).url)


async def _consent(walker: Walker) -> None:
    asking = await register(walker.world, "Photo book", client_uri="https://photos.example.com/", by_itself=True)
    await walker.to(asking.url("openid profile email offline_access"))


async def _going_on(walker: Walker) -> None:
    await _consent(walker)
    # The page goes on by itself: an answer without content keeps the browser where it is.
    await walker.page.route("**/oauth/authorize**", lambda route: route.fulfill(status=204))
    await walker.press("Allow")


async def _device_confirm(walker: Walker) -> None:
    issued = await waiting(walker.world)
    await walker.to(f"/oauth/device?user_code={issued.user_code}")
    await walker.press("Continue")


async def _wrong_device_code(walker: Walker) -> None:
    await walker.to("/oauth/device")
    await walker.fill(user_code="BCDF-GHJK")
    await walker.press("Continue")


async def _device_done(walker: Walker) -> None:
    await _device_confirm(walker)
    await walker.press("Allow")


async def _refused_profile(walker: Walker) -> None:
    await walker.to("/account/profile")
    await walker.fill(username="a b")
    await walker.press("Save")


async def _refused_password(walker: Walker) -> None:
    await walker.to("/account/password")
    await walker.fill(current="wrong password", password="short pw")
    await walker.press("Change the password")


async def _codes(walker: Walker) -> None:
    await walker.to("/account/security/app")
    await walker.prove_app()
    await walker.press("Set up")


async def _token_made(walker: Walker) -> None:
    await walker.to("/account/tokens/new")
    await walker.fill(name="Calendar on my phone")
    await walker.press("Make the token")


async def _refused_token(walker: Walker) -> None:
    await walker.to("/account/tokens/new")
    await walker.fill(name="Calendar", hosts="http://wiki")
    await walker.press("Make the token")


async def _client_secret(walker: Walker) -> None:
    await walker.to("/account/clients/new")
    await walker.fill(client_name="Grafana", redirect_uris="https://grafana.example.com/login/generic_oauth")
    await walker.press("Register application")


async def _refused_client(walker: Walker) -> None:
    await walker.to("/account/clients/new")
    await walker.fill(client_name="Grafana", redirect_uris="http://grafana.example.com/")
    await walker.press("Register application")


def _of_client(page: str = "") -> Callable[[Walker], Awaitable[None]]:
    async def way(walker: Walker) -> None:
        await walker.to(f"/account/clients/{walker.own_client.id}{page}")

    return way


async def _refused_deletion(walker: Walker) -> None:
    await walker.to("/account/data/delete")
    await walker.fill(username="somebody else")
    await walker.press("Delete my account for good")


async def _invited(walker: Walker) -> None:
    await walker.to(walker.silent.url("localhost", "/admin/users"))
    await walker.fill(email="gus@example.com")
    await walker.press("Invite")


CHAPTERS: Final = (
    _chapter(
        "Signing in",
        Who.NOBODY,
        ("login", "Where somebody lands who is not signed in", _login),
        ("login-refused", "A wrong password", _refused_login),
        ("register", "Making an account, where that is open", "/register"),
        ("register-refused", "What was typed stays, what is wrong stands beside it", _refused_registration),
        ("registered", "A letter with a link is on its way", _registered),
        ("second_factor", "A code or a passkey after the password", _second_factor),
        ("second_factor-refused", "A wrong code", _wrong_code),
        ("enrol", "A role demands a second factor, and there is none yet", _enrol),
        ("recovery_codes", "The codes for the day on which the phone is gone", _recovery_codes),
        ("error", "A page that somebody may not open", "/error/403"),
        ("error-down", "An application that does not answer", "/error/502"),
    ),
    _chapter(
        "Links in letters",
        Who.NOBODY,
        ("forgot", "Asking for a link to choose a new password", "/forgot"),
        ("forgot-silent", "The same where no mail is sent", _without_mail),
        ("forgot_sent", "The answer, the same for everybody", _forgot_sent),
        ("reset", "Choosing a new password", _reset),
        ("reset-refused", "A password that is too easily guessed", _refused_reset),
        ("reset_done", "The new password counts", _reset_done),
        ("verify", "Confirming an address", _verify),
        ("verified", "The address is confirmed", _verified),
        ("invite", "Making the account that somebody was invited to make", _invite),
        ("link_over", "A link that was used, or is too old", "/reset?token=" + "x" * 43),
    ),
    _chapter(
        "Applications and devices",
        Who.NEWCOMER,
        ("consent", "An application asks for the account's data", _consent),
        ("going_on", "On the way back to the application", _going_on),
        ("device", "Typing the code that a television shows", "/oauth/device"),
        ("device-refused", "A code that nobody waits for", _wrong_device_code),
        ("device_confirm", "Whether that device may use the account", _device_confirm),
        ("device_done", "The device is connected", _device_done),
    ),
    _chapter(
        "The first day",
        Who.NEWCOMER,
        ("signed_in", "Signed in, with nowhere to go on to", _signed_in),
        ("login-again", "Something that matters asks again", "/login?prompt=login"),
        ("security-empty", "No second factor yet", "/account/security"),
        ("security_codes", "A first app brings recovery codes", _codes),
        ("tokens-empty", "No API token yet", "/account/tokens"),
        ("applications-empty", "No application connected yet", "/account/applications"),
        ("clients-empty", "No OAuth client yet", "/account/clients"),
        ("logout", "Whether to sign out", "/logout"),
        ("signed_out", "Signed out on every host", _signed_out),
    ),
    _chapter(
        "One's own account",
        Who.ADMIN,
        ("account", "The first page of an account", "/account"),
        ("profile", "Name, username, language, address", "/account/profile"),
        ("profile-refused", "A username that cannot be", _refused_profile),
        ("password", "A new password", "/account/password"),
        ("password-refused", "The present password is wrong", _refused_password),
        ("security", "Passkeys, apps and recovery codes", "/account/security"),
        ("security_app", "Adding an authenticator app", "/account/security/app"),
        ("security_passkey", "Adding a passkey", "/account/security/passkeys/new"),
        ("logins", "Accounts elsewhere that open one's account", "/account/logins"),
        ("sessions", "Where one is signed in", "/account/sessions"),
        ("data", "A copy, and the end", "/account/data"),
        ("account_delete", "Deleting the account", "/account/data/delete"),
        ("account_delete-refused", "Another username was typed", _refused_deletion),
    ),
    _chapter(
        "Tokens and applications of one's own",
        Who.ADMIN,
        ("tokens", "API tokens", "/account/tokens"),
        ("token_new", "Making one", "/account/tokens/new"),
        ("token_new-refused", "A host that is none", _refused_token),
        ("token_made", "It is shown once", _token_made),
        ("applications", "Connected applications", "/account/applications"),
        ("clients", "One's own OAuth clients", "/account/clients"),
        ("client", "One of them", _of_client()),
        ("client_edit", "Changing it", _of_client("/edit")),
        ("client_edit-refused", "An address that is not allowed", _refused_client),
        ("client_secret", "Its secret, shown once", _client_secret),
        ("client_delete", "Deleting it", _of_client("/delete")),
    ),
    _chapter(
        "Administration",
        Who.ADMIN,
        ("users", "Everybody", "/admin/users"),
        ("users-empty", "A search that finds nobody", "/admin/users?search=nobody"),
        ("user", "One of them", "/admin/users/ann"),
        ("user-disabled", "A disabled account", "/admin/users/dora"),
        ("user_invited", "An invitation where no mail is sent", _invited),
        ("clients-all", "Everybody's OAuth clients", "/admin/clients"),
    ),
)
