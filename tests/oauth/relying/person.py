"""A person at an application that signs people in through the gateway: the application's cookies, and the gateway's."""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from tests.gateways import BROWSER, Answer
from tests.oauth.browser import Browser

_MOST_STEPS = 10
_MOST_ANSWERS = 40


class Person:
    """Follows redirects from host to host, and signs in and consents where the gateway asks for it."""

    def __init__(self, browser: Browser, client: aiohttp.ClientSession) -> None:
        self.browser = browser
        self._client = client
        self.passed: list[str] = []

    async def visit(self, url: str) -> str:
        """Go to an address of the gateway and agree to all that it asks; return where that leads."""
        page = await self.browser.through(await self.browser.open(url))
        # What a page asks besides login and consent: is this your device, do you want to sign out?
        while page.answer is not None and (form := next((each for each in page.forms if each.buttons), None)):
            assert len(self.browser.answers) < _MOST_ANSWERS, page.text
            name, value = form.buttons[0]
            page = await self.browser.through(await self.browser.submit(page, form, **({name: value} if name else {})))
        return page.url

    async def at(self, url: str) -> Answer:
        """Open a page of an application and follow it wherever it sends; return the page at the end."""
        for _ in range(_MOST_STEPS):
            self.passed.append(url)
            async with self._client.get(URL(url, encoded=True), headers=BROWSER, allow_redirects=False) as reply:
                answer = Answer(reply.status, reply.headers, await reply.read())
            if "Location" not in reply.headers:
                return answer
            url = str(URL(url).join(URL(reply.headers["Location"], encoded=True)))
            if self._is_the_gateways(url):
                self.passed.append(url)
                url = await self.visit(url)
                if self._is_the_gateways(url):
                    raise AssertionError(f"the way ended at {url}: {self.browser.answers[-1].text}")
        raise AssertionError(f"redirected in a circle: {self.passed}")

    def _is_the_gateways(self, url: str) -> bool:
        return URL(url).origin() == URL(self.browser.running.origin)


async def listening(port: int, seconds: float = 15) -> None:
    """Wait until something accepts connections there."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
