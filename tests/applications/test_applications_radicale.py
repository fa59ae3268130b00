"""Radicale behind the gateway: what a calendar program and a browser do, as somebody whom the gateway names."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import aiohttp
import pytest

from tests.gateways import BROWSER, PASSWORD, Answer, Running

HOST = "calendar.localhost"
DAV = "{DAV:}"
CALDAV = "{urn:ietf:params:xml:ns:caldav}"
PRINCIPAL = '<propfind xmlns="DAV:"><prop><current-user-principal/></prop></propfind>'
CALENDAR = """<C:mkcalendar xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<set><prop><displayname>Work</displayname></prop></set></C:mkcalendar>"""
ADDRESS_BOOK = """<mkcol xmlns="DAV:" xmlns:CR="urn:ietf:params:xml:ns:carddav"><set><prop>
<resourcetype><collection/><CR:addressbook/></resourcetype></prop></set></mkcol>"""
EVENT = "\r\n".join(
    [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Example//Test//EN",
        "BEGIN:VEVENT",
        "UID:standup",
        "DTSTAMP:20300101T000000Z",
        "DTSTART:20300102T090000Z",
        "DTEND:20300102T091500Z",
        "SUMMARY:Stand-up",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
)
QUERY = """<C:calendar-query xmlns="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav">
<prop><getetag/><C:calendar-data/></prop><C:filter><C:comp-filter name="VCALENDAR">
<C:comp-filter name="VEVENT"><C:time-range start="20300102T000000Z" end="20300103T000000Z"/></C:comp-filter>
</C:comp-filter></C:filter></C:calendar-query>"""
XML = {"Content-Type": "application/xml; charset=utf-8"}


class Program:
    """A calendar program with an API token."""

    def __init__(self, gateway: Running, token: str, prefix: str = "", host: str = HOST) -> None:
        self.gateway, self.token, self.prefix, self.host = gateway, token, prefix, host

    async def __call__(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        path = self.prefix + path
        return await self.gateway.send(
            method, path, host=self.host, token=self.token, headers=XML | sent, data=body.encode()
        )


async def program(gateway: Running, name: str, **more: str) -> Program:
    _, token = await gateway.api_token(await gateway.user(name))
    return Program(gateway, token, **more)


def hrefs(answer: Answer) -> list[str]:
    return [element.text or "" for element in ET.fromstring(answer.body).iter(f"{DAV}href")]


@pytest.mark.parametrize(("prefix", "host"), [("", HOST), ("/radicale", "localhost")], ids=["host", "path"])
async def test_a_calendar_program_keeps_its_calendar(calendars: Running, prefix: str, host: str) -> None:
    ask = await program(calendars, "ann", prefix=prefix, host=host)
    found = await ask("PROPFIND", "/", PRINCIPAL, Depth="0")
    assert found.status == 207
    assert f"{prefix}/ann/" in hrefs(found)
    assert (await ask("MKCALENDAR", "/ann/work/", CALENDAR)).status == 201
    assert (await ask("MKCOL", "/ann/people/", ADDRESS_BOOK)).status == 201
    calendar = {"Content_Type": "text/calendar; charset=utf-8"}
    put = await ask("PUT", "/ann/work/standup.ics", EVENT, If_None_Match="*", **calendar)
    assert put.status == 201
    assert (await ask("PUT", "/ann/work/standup.ics", EVENT, If_None_Match="*", **calendar)).status == 412
    report = await ask("REPORT", "/ann/work/", QUERY, Depth="1")
    assert report.status == 207
    (data,) = ET.fromstring(report.body).iter(f"{CALDAV}calendar-data")
    assert "SUMMARY:Stand-up" in (data.text or "")
    assert hrefs(report) == [f"{prefix}/ann/work/standup.ics"]
    listed = await ask("PROPFIND", "/ann/", Depth="1")
    assert set(hrefs(listed)) >= {f"{prefix}/ann/work/", f"{prefix}/ann/people/"}
    assert (await ask("GET", "/ann/work/standup.ics")).headers["ETag"] == put.headers["ETag"]
    assert (await ask("DELETE", "/ann/work/standup.ics", If_Match=put.headers["ETag"])).status == 200
    assert (await ask("GET", "/ann/work/standup.ics")).status == 404


async def test_nobody_reads_the_calendar_of_another(calendars: Running) -> None:
    ann, bob = await program(calendars, "ann"), await program(calendars, "bob")
    assert (await ann("MKCALENDAR", "/ann/work/", CALENDAR)).status == 201
    assert (await bob("PROPFIND", "/ann/work/", Depth="1")).status == 403
    # Radicale folds every spelling of the name into one variable.
    for spelling in ("X-Remote-User", "x_remote_user", "X-Remote_User", "Remote-User"):
        answer = await calendars.send(
            "PROPFIND", "/ann/work/", host=HOST, token=bob.token, headers={spelling: "ann", "Depth": "1"}
        )
        assert answer.status == 403, spelling


async def test_without_a_credential_radicale_is_not_asked(calendars: Running) -> None:
    answer = await calendars.send("PROPFIND", "/ann/", host=HOST, headers={"X-Remote-User": "ann", "Depth": "1"})
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json")


async def test_a_browser_signs_in_and_sees_its_calendar(calendars: Running) -> None:
    ask = await program(calendars, "ann")
    assert (await ask("MKCALENDAR", "/ann/work/", CALENDAR)).status == 201
    assert (await ask("PUT", "/ann/work/standup.ics", EVENT, Content_Type="text/calendar")).status == 201
    async with aiohttp.ClientSession(headers=BROWSER) as browser:
        headed_for = f"{calendars.origin}/radicale/ann/work/standup.ics"
        async with browser.get(headed_for) as page:
            assert page.url.path == "/login"
            text = await page.text()
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
        form = {**fields, "username": "ann", "password": PASSWORD}
        async with browser.post(page.url, data=form, headers={"Origin": calendars.origin}) as landed:
            assert (landed.status, str(landed.url)) == (200, headed_for)
            assert "SUMMARY:Stand-up" in await landed.text()
        async with browser.get(f"{calendars.origin}/radicale/.web/") as web_page:
            assert web_page.status == 200
            assert "Radicale" in await web_page.text()
