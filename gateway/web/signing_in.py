"""What follows the first factor, on every page that takes one: the second, if the account has or needs it; then on.

Only `finish` begins a session, and only after `SecondFactors` has said that nothing is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from aiohttp import web

from gateway.accounts.devices import KNOWN_FOR, KnownDevices
from gateway.accounts.external import External
from gateway.accounts.factors.factors import MFA, SecondFactors, Step
from gateway.accounts.factors.pending import LIFETIME, PendingLogin, PendingLogins
from gateway.accounts.mail.notices import Notices
from gateway.accounts.sessions import FRESH, Login, SessionOwner
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.errors import LoginRefused
from gateway.web.continuing import Continuations, go_on
from gateway.web.cookies import Cookies
from gateway.web.handover import Onward, read_challenge
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, Place
from gateway.web.session_storage import begin_session, browser_session
from gateway.web.visit import Visits

SECOND_FACTOR: Final = "login/second-factor"
ENROL: Final = "login/enrol"
PASSKEY: Final = "login/passkey"
_DEVICE_SECONDS: Final = int(KNOWN_FOR.total_seconds())


class SigningIn:
    """Carries a browser from its first factor to where it was going."""

    def __init__(
        self,
        *,
        pages: Pages,
        cookies: Cookies,
        users: Users,
        second_factors: SecondFactors,
        pending_logins: PendingLogins,
        devices: KnownDevices,
        notices: Notices,
        onward: Onward,
        continuations: Continuations,
        visits: Visits,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._cookies = cookies
        self._users = users
        self._second_factors = second_factors
        self._pending_logins = pending_logins
        self._devices = devices
        self._notices = notices
        self._onward = onward
        self._continuations = continuations
        self._visits = visits
        self._clock = clock

    def device_of(self, request: web.Request) -> str | None:
        """Return what tells a browser that has signed in before."""
        return self._cookies.device.read(request)

    async def go_on(
        self,
        request: web.Request,
        user: User,
        destination: Destination | None,
        *,
        methods: Sequence[str] = ("pwd",),
        remembered: bool = False,
        authenticated_at: datetime | None = None,
        external: External | None = None,
    ) -> web.Response:
        """Answer a right first factor: sign the browser in, or ask for the second. Raises LoginRefused.

        ``authenticated_at`` is when a provider has seen the person, if that was before; ``external`` their login there.
        """
        step = await self._second_factors.next_step(user, self._cookies.device.read(request))
        if step is Step.NOTHING or MFA in methods:
            return await self.finish(
                request,
                user.id,
                destination,
                revision=user.revision,
                methods=methods,
                remembered=remembered,
                authenticated_at=authenticated_at,
                external=external,
            )
        secret = await self._pending_logins.begin(
            user,
            methods,
            must_enrol=step is Step.ENROL,
            remembered=remembered,
            address=self._visits.of(request).address,
            external=external,
        )
        if secret is None:  # changed while the first factor was checked
            raise LoginRefused("bad_credentials")
        page = ENROL if step is Step.ENROL else SECOND_FACTOR
        response = redirect(self._pages.path(page, destination, **kept(request.query)))
        self._cookies.pending.set(response, secret, int(LIFETIME.total_seconds()))
        return response

    async def step_up(self, request: web.Request, owner: SessionOwner, destination: Destination | None) -> web.Response:
        """Ask somebody who is signed in for their second factor, or to set one up."""
        user = await self._users.get(owner.account_id)
        enrolled = await self._second_factors.of(user.id)
        session = owner.session
        if not enrolled and self._clock.now() - session.authenticated_at > FRESH:
            # Whoever finds a browser open must not set up a factor of their own: they confirm who they are first.
            return redirect(self._pages.path("login", destination, prompt="login", **kept(request.query)))
        secret = await self._pending_logins.begin(
            user,
            session.methods,
            must_enrol=not enrolled,
            remembered=session.remembered,
            address=self._visits.of(request).address,
            authenticated_at=session.authenticated_at,
        )
        if secret is None:  # changed a moment ago: what holds now is asked for anew
            return redirect(self._pages.path("login", destination, prompt="login", **kept(request.query)))
        page = SECOND_FACTOR if enrolled else ENROL
        response = redirect(self._pages.path(page, destination, **kept(request.query)))
        self._cookies.pending.set(response, secret, int(LIFETIME.total_seconds()))
        return response

    async def finish(
        self,
        request: web.Request,
        account_id: str,
        destination: Destination | None,
        *,
        revision: int,
        methods: Sequence[str],
        remembered: bool,
        trust_device: bool = False,
        authenticated_at: datetime | None = None,
        external: External | None = None,
    ) -> web.Response:
        """Sign the browser in and send it on, unless the account has changed since ``revision``."""
        await self.begin(
            request,
            account_id,
            revision=revision,
            methods=methods,
            remembered=remembered,
            authenticated_at=authenticated_at,
            external=external,
        )
        url = self.next_url(request, destination)
        response = go_on(self._pages, request, url, await self._continuations.of(destination))
        await self.settle(request, response, account_id, trust_device=trust_device)
        return response

    async def begin(
        self,
        request: web.Request,
        account_id: str,
        *,
        revision: int,
        methods: Sequence[str],
        remembered: bool,
        authenticated_at: datetime | None = None,
        external: External | None = None,
    ) -> None:
        """Sign the browser in when this request is answered. ``authenticated_at`` is of a sign-in that goes on."""
        visit = self._visits.of(request)
        login = Login(
            account_id=account_id,
            host=visit.host,
            authenticated_at=authenticated_at or self._clock.now(),
            methods=methods,
            remembered=remembered,
            address=visit.address,
            user_agent=visit.user_agent,
            revision=revision,
            external=external,
        )
        await begin_session(request, login)

    async def goes_on(self, request: web.Request, done: PendingLogin) -> bool:
        """Say whether a login that waited may be finished: one that adds to a session needs that session still."""
        if done.authenticated_at is None:
            return True
        owner = (await browser_session(request)).owner
        return owner is not None and owner.account_id == done.account_id

    async def settle(
        self, request: web.Request, response: web.StreamResponse, account_id: str, *, trust_device: bool = False
    ) -> None:
        """Note the browser as one that the account has signed in with; a login that waited is over."""
        visit = self._visits.of(request)
        remembered = await self._devices.remember(
            account_id,
            self._cookies.device.read(request),
            address=visit.address,
            user_agent=visit.user_agent,
            trusted_for=self._second_factors.remember_for if trust_device else None,
        )
        self._cookies.device.set(response, remembered.secret, _DEVICE_SECONDS)
        if remembered.is_news:
            user = await self._users.get(account_id)
            await self._notices.new_device(user, user_agent=visit.user_agent, address=visit.address)
        if self._cookies.pending.read(request) is not None:
            self._cookies.pending.delete(response)

    def next_url(self, request: web.Request, destination: Destination | None) -> str:
        """Return where a browser goes that this answer signs in."""
        challenge = request.query.get("handover")
        if destination is not None and destination.place is Place.HOST and read_challenge(challenge):
            # The session's row is made when this answer is sent; the page itself then knows the browser.
            return self._pages.path("login", destination, handover=challenge or "")
        return self._onward.first_step(destination)


def kept(query: Mapping[str, str]) -> dict[str, str]:
    """Return what the pages of a login pass on to each other besides where it leads."""
    challenge = query.get("handover")
    return {"handover": challenge} if challenge and read_challenge(challenge) else {}
