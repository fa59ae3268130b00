"""The pages put together: from what the program already has to routes for the portal's application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from gateway.accounts.accounts import Accounts
from gateway.accounts.sessions import Sessions
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.federation.federation import Federation
from gateway.oauth.provider import Provider
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.registry import Registry
from gateway.policy.client import TrustedProxies
from gateway.policy.rules import Access, RuleTable
from gateway.policy.target import parse_url
from gateway.tokens.master_key import MasterKey
from gateway.web.authorize import AUTHORIZE, AuthorizePage
from gateway.web.consent import ConsentPage
from gateway.web.console_pages import Page, console_pages
from gateway.web.continuing import Continuations
from gateway.web.cookies import Cookies
from gateway.web.csrf import Csrf
from gateway.web.device import DevicePage
from gateway.web.end_session import EndSessionPage
from gateway.web.enrol import EnrolPage
from gateway.web.enrol_passkey import EnrolPasskey
from gateway.web.forgot import ForgotPages
from gateway.web.frame import Frame
from gateway.web.grant_words import GrantWords
from gateway.web.handover import HandOver, Onward
from gateway.web.invite import InvitePage
from gateway.web.letter_pages import LetterPages
from gateway.web.login import LoginPage
from gateway.web.logout import LogoutPage
from gateway.web.pages import Pages
from gateway.web.passkeys import PasskeyLoginPage, PasskeySecondFactor
from gateway.web.providers import ProviderPages
from gateway.web.register import RegisterPage
from gateway.web.return_to import ReturnTo
from gateway.web.second_factor import SecondFactorPage
from gateway.web.session_storage import SessionStorage
from gateway.web.signed_in import SignedIn
from gateway.web.signing_in import SigningIn
from gateway.web.verify import VerifyPage
from gateway.web.visit import RequestId, Visits

CSRF_PURPOSE: Final = "form tokens"


@dataclass(frozen=True, slots=True)
class Site:
    """Every page's route, and the pages themselves, which draw errors for the proxy, too."""

    routes: list[web.RouteDef]
    pages: Pages


def build_site(
    *,
    settings: Settings,
    rules: RuleTable,
    proxies: TrustedProxies,
    accounts: Accounts,
    provider: Provider,
    consents: Consents,
    registry: Registry,
    master_key: MasterKey,
    federation: Federation,
    clock: Clock,
    request_id: RequestId,
) -> Site:
    """Build the pages. ``request_id`` tells the reference of a request."""
    visits = Visits(proxies)
    return_to = ReturnTo(settings.server, rules.hosts, settings.login.return_origins)
    pages = Pages(settings, visits, return_to)
    cookies = Cookies.named(secure=settings.server.secure)
    frame = Frame(pages, SessionStorage(accounts.sessions, cookies.session, visits, clock), request_id)
    csrf = Csrf(master_key.derive(CSRF_PURPOSE), cookies.form)
    parts = _Parts(settings, pages, frame, csrf, cookies, return_to, visits, clock)
    onward = Onward(accounts.sessions, home(settings, rules, pages))
    every = (
        *parts.to_sign_in(accounts, provider, onward, federation),
        *parts.to_sign_out(accounts.sessions, provider, onward, federation),
        *parts.to_authorize(provider, consents),
        *console_pages(
            settings=settings,
            frame=frame,
            pages=pages,
            signed_in=parts.signed_in,
            visits=visits,
            clock=clock,
            accounts=accounts,
            provider=provider,
            consents=consents,
            registry=registry,
            rules=rules,
            federation=federation,
        ),
    )
    return Site([route for page in every for route in page.routes()], pages)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What every page is made of."""

    settings: Settings
    pages: Pages
    frame: Frame
    csrf: Csrf
    cookies: Cookies
    return_to: ReturnTo
    visits: Visits
    clock: Clock

    @property
    def signed_in(self) -> SignedIn:
        return SignedIn(self.frame, self.pages, self.csrf, self.return_to, self.visits, self.clock)

    def to_sign_in(
        self, accounts: Accounts, provider: Provider, onward: Onward, federation: Federation
    ) -> tuple[Page, ...]:
        continuations = Continuations(provider.authorization, self.pages.path(AUTHORIZE))
        signing_in = SigningIn(
            pages=self.pages,
            cookies=self.cookies,
            users=accounts.users,
            second_factors=accounts.second_factors,
            pending_logins=accounts.pending_logins,
            devices=accounts.devices,
            notices=accounts.recovery.notices,
            onward=onward,
            continuations=continuations,
            visits=self.visits,
            clock=self.clock,
        )
        login = LoginPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            password_login=accounts.login,
            onward=onward,
            signing_in=signing_in,
            return_to=self.return_to,
            continuations=continuations,
            visits=self.visits,
            clock=self.clock,
            passkeys=accounts.passkeys if accounts.second_factors.passkeys_open else None,
            providers=federation.providers.values(),
        )
        register = RegisterPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            users=accounts.users,
            registering=accounts.recovery.registering,
            registration=self.settings.registration,
            signing_in=signing_in,
            return_to=self.return_to,
            continuations=continuations,
            visits=self.visits,
        )
        return (
            login,
            register,
            *self._second_factor(accounts, signing_in, continuations, login),
            *self._by_letter(accounts, signing_in),
            self._elsewhere(federation, signing_in),
        )

    def _elsewhere(self, federation: Federation, signing_in: SigningIn) -> ProviderPages:
        """The pages that lead to other identity providers."""
        return ProviderPages(
            frame=self.frame,
            pages=self.pages,
            cookies=self.cookies,
            federation=federation,
            registration=self.settings.registration,
            signing_in=signing_in,
            signed_in=self.signed_in,
            return_to=self.return_to,
            request_id=self.frame.request_id,
        )

    def _by_letter(self, accounts: Accounts, signing_in: SigningIn) -> tuple[Page, ...]:
        """The pages that links in letters lead to."""
        recovery = accounts.recovery
        letter_pages = LetterPages(self.frame, self.pages, self.csrf, self.visits)
        return (
            VerifyPage(letter_pages, recovery.links, recovery.verification, recovery.email_changes),
            ForgotPages(letter_pages, recovery.forgotten, self.visits),
            InvitePage(letter_pages, recovery.invitations, accounts.users, signing_in),
        )

    def _second_factor(
        self, accounts: Accounts, signing_in: SigningIn, continuations: Continuations, login: LoginPage
    ) -> tuple[Page, ...]:
        """The pages between password and session."""
        second_factor = SecondFactorPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            cookies=self.cookies,
            second_factors=accounts.second_factors,
            pending_logins=accounts.pending_logins,
            signing_in=signing_in,
            return_to=self.return_to,
            continuations=continuations,
            visits=self.visits,
        )
        enrol = EnrolPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            cookies=self.cookies,
            users=accounts.users,
            second_factors=accounts.second_factors,
            pending_logins=accounts.pending_logins,
            signing_in=signing_in,
            return_to=self.return_to,
            visits=self.visits,
        )
        if not accounts.second_factors.passkeys_open:
            return second_factor, enrol
        return second_factor, enrol, *self._passkeys(accounts, signing_in, login, second_factor, enrol)

    def _passkeys(
        self,
        accounts: Accounts,
        signing_in: SigningIn,
        login: LoginPage,
        second_factor: SecondFactorPage,
        enrol: EnrolPage,
    ) -> tuple[Page, ...]:
        """What the scripts of the login pages ask, and where they send what passkeys have signed."""
        alone = PasskeyLoginPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            cookies=self.cookies,
            login_page=login,
            passkey_login=accounts.passkey_login,
            signing_in=signing_in,
            return_to=self.return_to,
            visits=self.visits,
        )
        after_password = PasskeySecondFactor(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            page=second_factor,
            passkeys=accounts.passkeys,
            visits=self.visits,
        )
        instead_of_an_app = EnrolPasskey(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            page=enrol,
            enrolment=accounts.passkey_enrolment,
            visits=self.visits,
        )
        return alone, after_password, instead_of_an_app

    def to_sign_out(
        self, sessions: Sessions, provider: Provider, onward: Onward, federation: Federation
    ) -> tuple[Page, ...]:
        """The pages that end sessions, and those that hand them to other hosts."""
        logout = LogoutPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            cookies=self.cookies,
            return_to=self.return_to,
            visits=self.visits,
            home=onward.home,
            federation=federation,
        )
        end_session = EndSessionPage(
            frame=self.frame,
            pages=self.pages,
            csrf=self.csrf,
            visits=self.visits,
            end_sessions=provider.end_sessions,
        )
        hand_over = HandOver(
            frame=self.frame,
            pages=self.pages,
            sessions=sessions,
            cookies=self.cookies,
            return_to=self.return_to,
            visits=self.visits,
            clock=self.clock,
        )
        return logout, end_session, hand_over

    def to_authorize(self, provider: Provider, consents: Consents) -> tuple[Page, ...]:
        """The pages that applications and devices send people to."""
        authorize = AuthorizePage(
            frame=self.frame, pages=self.pages, authorization=provider.authorization, strangers=provider.strangers
        )
        words = GrantWords(self.settings, provider.audiences.resources)
        consent = ConsentPage(
            frame=self.frame,
            pages=self.pages,
            signed_in=self.signed_in,
            authorization=provider.authorization,
            requests=provider.requests,
            audiences=provider.audiences,
            consents=consents,
            words=words,
        )
        device = DevicePage(
            frame=self.frame,
            pages=self.pages,
            signed_in=self.signed_in,
            visits=self.visits,
            clients=provider.clients,
            devices=provider.devices,
            attempts=provider.device_attempts,
            audiences=provider.audiences,
            consents=consents,
            words=words,
            refresh_lifetime=self.settings.tokens.refresh_lifetime,
            clock=self.clock,
        )
        return authorize, consent, device


def home(settings: Settings, rules: RuleTable, pages: Pages) -> str:
    """Return where a login leads that was going nowhere: the portal host's front page, when a route serves it."""
    front_page = parse_url("GET", f"{settings.server.public_origin}/")
    rule = rules.find(front_page, CIMultiDict())
    return pages.path("login") if rule is None or rule.access is Access.DENY else "/"
