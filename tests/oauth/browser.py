"""A person's browser without JavaScript: cookies, forms and redirects, until an address that is not the gateway's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from tests.gateways import BROWSER, PASSWORD, Answer, Running

_MOST_STEPS = 20


@dataclass
class Form:
    """A form as a page shows it. ``buttons`` are the names and values that its buttons would send."""

    action: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(named.get("action", ""), named.get("method", "get").lower()))
        elif self.found and tag == "button" and named.get("type", "submit") == "submit":
            self.found[-1].buttons.append((named.get("name", ""), named.get("value", "")))
        elif self.found and tag == "input" and named.get("name"):
            unticked = named.get("type") in {"checkbox", "radio"} and not any(name == "checked" for name, _ in attrs)
            if not unticked:
                self.found[-1].fields[named["name"]] = named.get("value", "")


@dataclass
class Page:
    """Where a browser stands: the address, and what was answered there (None: an address that is not the gateway's)."""

    url: str
    answer: Answer | None = None

    @property
    def text(self) -> str:
        assert self.answer is not None, f"the browser was sent to {self.url}"
        return self.answer.text

    @property
    def status(self) -> int:
        assert self.answer is not None, f"the browser was sent to {self.url}"
        return self.answer.status

    @property
    def words(self) -> str:
        """Return what a person reads there, for messages."""
        _, _, body = self.text.partition("<body>")
        return " ".join(re.sub(r"<[^>]*>", " ", body or self.text).split())[:400]

    @property
    def forms(self) -> list[Form]:
        parser = _Forms()
        parser.feed(self.text)
        return parser.found

    @property
    def login_form(self) -> Form | None:
        return None if self.answer is None else next((form for form in self.forms if "password" in form.fields), None)

    @property
    def consent_form(self) -> Form | None:
        if self.answer is None or not urlsplit(self.url).path.endswith("/oauth/consent"):
            return None
        return next((form for form in self.forms if form.method == "post" and len(form.buttons) > 1), None)

    @property
    def parameters(self) -> dict[str, str]:
        """Return what the address carries; each name once."""
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
        assert len(dict(pairs)) == len(pairs), f"a parameter twice: {self.url}"
        return dict(pairs)


class Browser:
    """Holds cookies for the gateway's one host. ``seen`` lists the pages that a person had to answer."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.cookies: dict[str, str] = {}
        self.seen: list[str] = []
        self.answers: list[Answer] = []

    async def open(self, url: str, data: Mapping[str, str] | None = None, **headers: str) -> Page:
        """Open an address (by POST when there is data) and follow redirects as far as they stay here."""
        method = "GET" if data is None else "POST"
        for _ in range(_MOST_STEPS):
            if not self._is_ours(url):
                return Page(url)
            answer = await self.send(method, url, data=data, headers={**BROWSER, **headers})
            if answer.status not in {301, 302, 303, 307, 308}:
                return Page(url, answer)
            if answer.status not in {307, 308}:
                method, data = "GET", None
            url = urljoin(url, answer.location)
        raise AssertionError(f"redirected in a circle, at last to {url}")

    async def send(self, method: str, url: str, *, headers: Mapping[str, str], data: Any = None) -> Answer:
        """Send one request with the cookies that are held, and keep those that are set."""
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**headers, **({"Cookie": cookies} if cookies else {})}
        answer = await self.running.send(method, path, headers=sent, data=data)
        for line in answer.headers.getall("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies.pop(name, None)
                if morsel["max-age"] != "0" and morsel.value:
                    self.cookies[name] = morsel.value
        self.answers.append(answer)
        return answer

    async def submit(self, page: Page, form: Form, **fields: str) -> Page:
        """Send a form from the page that shows it."""
        url = urljoin(page.url, form.action) if form.action else page.url
        parts = urlsplit(page.url)
        return await self.open(
            url,
            {**form.fields, **fields},
            Origin=f"{parts.scheme}://{parts.netloc}",
            **{"Sec-Fetch-Site": "same-origin"},
        )

    async def sign_in(self, page: Page, username: str = "ann", password: str = PASSWORD) -> Page:
        form = page.login_form
        assert form is not None, f"no login form at {page.url}: {page.words}"
        self.seen.append("login")
        return await self.submit(page, form, username=username, password=password)

    async def decide(self, page: Page, *, allow: bool = True) -> Page:
        """Press a button of the consent page: the first one agrees, the last one does not."""
        form = page.consent_form
        assert form is not None, f"no consent form at {page.url}: {page.words}"
        self.seen.append("consent")
        name, value = form.buttons[0 if allow else -1]
        return await self.submit(page, form, **{name: value})

    async def through(self, page: Page, username: str = "ann") -> Page:
        """Answer every login form and agree to everything, until something else is there."""
        for _ in range(4):
            if page.login_form is not None:
                page = await self.sign_in(page, username)
            elif page.consent_form is not None:
                page = await self.decide(page)
            else:
                return page
        raise AssertionError(f"asked again and again, at last at {page.url}")

    def _is_ours(self, url: str) -> bool:
        return url.startswith(f"{self.running.gateway.settings.server.public_url}/")
