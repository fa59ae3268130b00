"""The device pages: type the code that a device shows, see who asks for what, and allow or deny (RFC 8628 section 3.3).

A code that came with the address still has to be confirmed: whoever sends somebody such a link gets their account
(section 5.4). Guesses are counted for each account and address.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from aiohttp import web

from gateway.accounts.throttle.attempts import Attempts
from gateway.clock import Clock
from gateway.errors import FieldError, TooManyAttempts
from gateway.oauth.audience import Audiences
from gateway.oauth.state.client import Client
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.device_codes import DeviceCodes, WaitingDevice, neat, shown
from gateway.oauth.state.families import Granted
from gateway.problem import Problem
from gateway.translation import words
from gateway.web.application import application_of
from gateway.web.frame import Frame
from gateway.web.grant_words import GrantWords
from gateway.web.moments import wait
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor
from gateway.web.visit import Visits

PAGE: Final = "oauth/device"
FORM: Final = "device"
_UNKNOWN: Final = FieldError(
    "user_code", words.later("No device waits with this code. Check it; your device may show a new one by now.")
)
_EXPIRED: Final = Problem(410, "device_expired", "No device waits for this any more.")


class DevicePage:
    """The portal's ``/oauth/device``."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        signed_in: SignedIn,
        visits: Visits,
        clients: Clients,
        devices: DeviceCodes,
        attempts: Attempts,
        audiences: Audiences,
        consents: Consents,
        words: GrantWords,
        refresh_lifetime: timedelta,
        clock: Clock,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._signed_in = signed_in
        self._visits = visits
        self._clients = clients
        self._devices = devices
        self._attempts = attempts
        self._audiences = audiences
        self._consents = consents
        self._words = words
        self._refresh_lifetime = refresh_lifetime
        self._clock = clock
        self.path = pages.path(PAGE)

    def routes(self) -> list[web.RouteDef]:
        decide = f"{self.path}/decision"
        return [
            web.get(self.path, self._signed_in(self.show)),
            web.post(self.path, self._signed_in(self.look_up)),
            web.get(decide, self._frame(self.again)),
            web.post(decide, self._signed_in(self.decide)),
        ]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return self._form(visitor, request.query.get("user_code", ""))

    async def again(self, _request: web.Request) -> web.Response:
        """A decision's address that is opened by itself leads to the code."""
        return redirect(self.path)

    async def look_up(self, request: web.Request, visitor: Visitor) -> web.Response:
        fields = await self._signed_in.read_form(request, visitor, FORM)
        typed = fields.get("user_code", "")
        try:
            reserved = await self._attempts.reserve(visitor.owner.account_id, self._visits.of(request).address)
        except TooManyAttempts as error:
            return self._too_many(visitor, typed, error)
        found = await self._find(typed)
        if found is None:
            return self._form(visitor, typed, 400, [_UNKNOWN])
        await self._attempts.forgive(reserved)
        return await self._ask(visitor, *found)

    async def decide(self, request: web.Request, visitor: Visitor) -> web.Response:
        # Only a page that was shown for this code has its token, so there is nothing to guess here.
        code = request.query.get("user_code", "")
        fields = await self._signed_in.read_form(request, visitor, _form(code))
        found = await self._find(code)
        if found is None:
            return self._frame.problem(request, _EXPIRED, retry=self.path)
        device, client = found
        allowed = fields.get("decision") == "allow"
        done = await (
            self._devices.approve(device, self._granted(device, client, visitor))
            if allowed
            else self._devices.deny(device)
        )
        if not done:
            return self._frame.problem(request, _EXPIRED, retry=self.path)
        return self._pages.render(
            "device_done",
            allowed=allowed,
            application_name=client.name,
            applications_url=self._pages.path("account/applications"),
        )

    async def _find(self, typed: str) -> tuple[WaitingDevice, Client] | None:
        device = await self._devices.find_waiting(typed)
        client = await self._clients.find(device.client_id) if device is not None else None
        return None if device is None or client is None else (device, client)

    async def _ask(self, visitor: Visitor, device: WaitingDevice, client: Client) -> web.Response:
        return self._pages.render(
            "device_confirm",
            action=f"{self.path}/decision?user_code={device.user_code}",
            csrf_token=self._signed_in.token(visitor, _form(device.user_code)),
            application=application_of(client, await self._consents.owner_of(client), self._words.brand),
            user_code=shown(device.user_code),
            asked_at=device.created_at,
            now=self._clock.now(),
            lines=self._words.lines(device.scopes, self._audiences.opened(client, device.resources), (), visitor.owner),
            lasting=self._words.lasting(client, offline=True),
            owner=visitor.owner,
            switch_url=self._pages.path("login", prompt="select_account", rd=self.path),
        )

    def _granted(self, device: WaitingDevice, client: Client, visitor: Visitor) -> Granted:
        """The device is not this browser: what it gets does not end when somebody signs out here."""
        session = visitor.owner.session
        lifetime = timedelta(seconds=client.seconds("refresh_token_lifetime", self._refresh_lifetime))
        return Granted(
            account_id=visitor.owner.account_id,
            client_id=client.id,
            scopes=device.scopes,
            resources=device.resources,
            authenticated_at=session.authenticated_at,
            methods=session.methods,
            expires_at=self._clock.now() + lifetime,
            offline=True,
        )

    def _too_many(self, visitor: Visitor, typed: str, error: TooManyAttempts) -> web.Response:
        message = words.later("Too many codes were wrong. Please wait %(time)s, then try again.")
        later = FieldError("", message, {"time": wait(error.retry_after_seconds)})
        response = self._form(visitor, typed, 429, [later])
        response.headers["Retry-After"] = str(error.retry_after_seconds)
        return response

    def _form(self, visitor: Visitor, typed: str, status: int = 200, errors: Sequence[FieldError] = ()) -> web.Response:
        return self._pages.render(
            "device",
            status=status,
            action=self.path,
            csrf_token=self._signed_in.token(visitor, FORM),
            user_code=neat(typed),
            owner=visitor.owner,
            errors=errors,
        )


def _form(user_code: str) -> str:
    return f"{FORM} {user_code}"
