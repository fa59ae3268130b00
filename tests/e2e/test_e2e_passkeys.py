"""Passkeys through a whole gateway: to an application that asks for two factors, and on again after a while."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from tests.authenticator import SoftPasskey
from tests.fake_clock import RunningClock
from tests.gateways import BROWSER, Answer, GatewayFactory, Recorder, Running

YAML = """
routes:
  - match: {{host: localhost, path: /strong/**}}
    require: {{mfa: true, max_auth_age: 15m}}
    upstream: {url}
"""
BINDING = "b" * 43


class Visitor:
    """A browser with one passkey: its cookies, and what its pages' scripts do."""

    def __init__(self, running: Running, key: SoftPasskey) -> None:
        self._running = running
        self._key = key
        self._cookies: dict[str, str] = {}

    async def get(self, path: str) -> Answer:
        return self._kept(await self._running.get(path, headers=self._headers()))

    async def sign_in(self, page: str) -> Answer:
        """Use the passkey on a login page."""
        shown = await self.get(page)
        form = re.search(r'<form id="passkey"[^>]*>', shown.text)
        token = re.search(r'name="csrf_token" value="([^"]+)"', shown.text)
        assert form, shown.text
        assert token
        action, options = (re.search(f'{name}="([^"]+)"', form[0]) for name in ("action", "data-options"))
        assert action
        assert options
        fields = {"csrf_token": token[1]}
        asked = await self._post(options[1], fields)
        return await self._post(action[1], {**fields, "credential": json.dumps(self._key.get(asked.json))})

    async def _post(self, path: str, fields: dict[str, str]) -> Answer:
        path = path.replace("&amp;", "&")
        return self._kept(await self._running.send("POST", path, headers=self._headers(), data=fields))

    def _headers(self) -> dict[str, str]:
        return {**BROWSER, "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def _kept(self, answer: Answer) -> Answer:
        for header in answer.headers.getall("Set-Cookie", []):
            name, _, value = header.partition(";")[0].partition("=")
            self._cookies[name] = value
        return answer


@pytest.fixture
def clock() -> RunningClock:
    return RunningClock()


async def test_a_passkey_alone_opens_what_takes_two_factors(
    gateway_factory: GatewayFactory, recorder: Recorder, clock: RunningClock
) -> None:
    running = await gateway_factory(YAML.format(url=recorder.url), clock=clock)
    user, key = await running.user(), SoftPasskey(running.origin)
    enrolment = running.gateway.accounts.passkey_enrolment
    options = await enrolment.options(user, BINDING)
    await enrolment.add(user, BINDING, json.dumps(key.create(options)), "Laptop")
    visitor = Visitor(running, key)
    stopped = await visitor.get("/strong/x")
    for _ in range(2):
        way = urlsplit(stopped.location)
        done = await visitor.sign_in(f"{way.path}?{way.query}")
        assert (done.status, done.location) == (303, f"{running.origin}/strong/x")
        assert (await visitor.get("/strong/x")).status == 200
        clock.advance(timedelta(minutes=16))
        stopped = await visitor.get("/strong/x")
        assert stopped.status == 302
    found = await running.gateway.accounts.sessions.list_for(user.id)
    assert [each.methods for each in found] == [("hwk", "mfa")]
