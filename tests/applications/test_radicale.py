"""Radicale behind the gateway, with the very files of deploy/examples: a client's session and a browser's."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from playwright.async_api import expect

from tests.applications.programs import CHROMIUM, EXAMPLES, browser_page, gateway_before, program, sign_in
from tests.gateways import BROWSER, Answer, GatewayFactory, Running, free_port

HOST = "calendar.localhost"
CALDAV = "{urn:ietf:params:xml:ns:caldav}"
DAV = "{DAV:}"

MEETING = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//example//client//EN\r
BEGIN:VEVENT\r
UID:meeting-1\r
DTSTAMP:20260105T090000Z\r
DTSTART:20260105T100000Z\r
DTEND:20260105T110000Z\r
SUMMARY:Planning & état\r
END:VEVENT\r
END:VCALENDAR\r
"""
PROPFIND = '<propfind xmlns="DAV:"><prop><resourcetype/><current-user-principal/></prop></propfind>'
MKCALENDAR = (
    '<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop>'
    "<displayname>Work</displayname></prop></set></C:mkcalendar>"
)
REPORT = (
    '<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/><C:calendar-data/></prop>'
    '<C:filter><C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">'
    '<C:time-range start="20260101T000000Z" end="20260201T000000Z"/></C:comp-filter></C:comp-filter></C:filter>'
    "</C:calendar-query>"
)


@asynccontextmanager
async def radicale_served(directory: Path, auth_type: str = "http_x_remote_user") -> AsyncIterator[int]:
    """Run Radicale with the example's configuration on a free port."""
    port = free_port()
    config = directory / "radicale.conf"
    text = (EXAMPLES / "radicale.conf").read_text()
    for example, here in {
        "127.0.0.1:5232": f"127.0.0.1:{port}",
        "/var/lib/radicale": str(directory),
        "http_x_remote_user": auth_type,
    }.items():
        assert example in text
        text = text.replace(example, here)
    config.write_text(text)
    async with program((sys.executable, "-m", "radicale", "--config", str(config)), port, directory):
        yield port


async def radicale_gateway(factory: GatewayFactory, port: int, headers_line: bool = True) -> Running:
    """Serve with the example's configuration; the test gives ports and places."""
    changes = {"http://127.0.0.1:5232": f"http://127.0.0.1:{port}"}
    if not headers_line:
        changes |= {'      headers: {X-Remote-User: "{username}"}\n': ""}
    return await gateway_before(factory, "radicale.yaml", changes)


@pytest.fixture
async def calendars(gateway_factory: GatewayFactory, tmp_path: Path) -> AsyncIterator[Running]:
    async with radicale_served(tmp_path) as port:
        yield await radicale_gateway(gateway_factory, port)


class Client:
    """A WebDAV client with an API token as its bearer token."""

    def __init__(self, gateway: Running, token: str) -> None:
        self._gateway = gateway
        self._token = token

    async def __call__(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data: dict[str, Any] = {"data": body.encode()} if body else {}
        return await self._gateway.send(method, path, host=HOST, token=self._token, headers=sent, **data)


def principal(answer: Answer) -> str:
    """Return whom Radicale takes the client for (RFC 5397)."""
    found = ET.fromstring(answer.text).find(f".//{DAV}current-user-principal/{DAV}href")
    return "" if found is None else str(found.text)


async def test_a_client_works_with_its_calendar(calendars: Running) -> None:
    ann = Client(calendars, (await calendars.api_token(await calendars.user("ann")))[1])
    found = await ann("PROPFIND", "/", PROPFIND, Depth="0", Content_Type="application/xml")
    assert (found.status, principal(found)) == (207, "/ann/")

    assert (await ann("MKCALENDAR", "/ann/plans/", MKCALENDAR, Content_Type="application/xml")).status == 201
    stored = await ann("PUT", "/ann/plans/meeting-1.ics", MEETING, Content_Type="text/calendar; charset=utf-8")
    assert stored.status == 201
    etag = stored.headers["ETag"]
    twice = await ann("PUT", "/ann/plans/meeting-1.ics", MEETING, Content_Type="text/calendar", If_None_Match="*")
    assert twice.status == 412

    report = await ann("REPORT", "/ann/plans/", REPORT, Depth="1", Content_Type="application/xml")
    assert report.status == 207
    (data,) = ET.fromstring(report.text).findall(f".//{CALDAV}calendar-data")
    assert "SUMMARY:Planning & état" in str(data.text)

    read = await ann("GET", "/ann/plans/meeting-1.ics")
    assert (read.status, read.headers["ETag"]) == (200, etag)
    assert "UID:meeting-1" in read.text

    moved = await ann(
        "MOVE",
        "/ann/plans/meeting-1.ics",
        Destination=f"http://{HOST}:{calendars.port}/ann/plans/renamed.ics",
    )
    assert moved.status == 201
    assert (await ann("GET", "/ann/plans/meeting-1.ics")).status == 404
    assert (await ann("DELETE", "/ann/plans/renamed.ics")).status == 200
    assert (await ann("DELETE", "/ann/plans/")).status == 200
    assert (await ann("PROPFIND", "/ann/plans/", PROPFIND, Depth="0")).status == 404


async def test_a_clients_own_header_does_not_make_it_somebody_else(calendars: Running) -> None:
    token = (await calendars.api_token(await calendars.user("ann")))[1]
    bobs = Client(calendars, (await calendars.api_token(await calendars.user("bob")))[1])
    assert (await bobs("MKCALENDAR", "/bob/private/", MKCALENDAR)).status == 201
    for name in ("Remote-User", "X-Remote-User", "Remote_User", "X_Remote_User", "x-remote-USER"):
        forged: dict[str, Any] = {"host": HOST, "headers": {name: "bob", "Depth": "0"}, "data": PROPFIND.encode()}
        assert (await calendars.send("PROPFIND", "/bob/private/", **forged)).status == 401
        assert (await calendars.send("PROPFIND", "/bob/private/", token=token, **forged)).status == 403
        answer = await calendars.send("PROPFIND", "/", token=token, **forged)
        assert (answer.status, principal(answer)) == (207, "/ann/"), name


async def test_the_preset_alone_serves_http_remote_user(gateway_factory: GatewayFactory, tmp_path: Path) -> None:
    async with radicale_served(tmp_path, "http_remote_user") as port:
        gateway = await radicale_gateway(gateway_factory, port, headers_line=False)
        token = (await gateway.api_token(await gateway.user("ann")))[1]
        forged = {"Remote-User": "bob", "X-Remote-User": "bob", "Depth": "0"}
        answer = await gateway.send("PROPFIND", "/", host=HOST, token=token, headers=forged, data=PROPFIND.encode())
        assert (answer.status, principal(answer)) == (207, "/ann/")


async def test_nobody_passes_without_credentials(calendars: Running) -> None:
    program = await calendars.send("PROPFIND", "/", host=HOST, headers={"Depth": "0"})
    assert (program.status, program.json["code"]) == (401, "unauthenticated")
    assert "WWW-Authenticate" in program.headers
    person = await calendars.get("/.web/", host=HOST, headers=BROWSER)
    assert (person.status, person.location.partition("?")[0]) == (302, f"{calendars.origin}/login")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
async def test_a_browser_signs_in_and_works_with_its_session(calendars: Running) -> None:
    await calendars.user("ann")
    url = f"http://{HOST}:{calendars.port}/.web/"
    async with browser_page() as page:
        await page.goto(url)
        await sign_in(page, "ann")
        await expect(page).to_have_url(url)
        await expect(page).to_have_title(re.compile("^Radicale Web Interface"))
        made = await page.evaluate("fetch('/ann/home/', {method: 'MKCALENDAR'}).then((answer) => answer.status)")
        found = await page.evaluate(
            "(body) => fetch('/', {method: 'PROPFIND', headers: {Depth: '0'}, body}).then((answer) => answer.text())",
            PROPFIND,
        )
    assert made == 201
    assert "<href>/ann/</href>" in found
