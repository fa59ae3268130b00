"""Letters: kept until a mail server has them, and readable there alone."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import DNSName

from gateway.accounts.mail.letter import Letter, message
from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.mail.postman import Postman
from gateway.accounts.user import User
from gateway.config.mail import MailServer, MailSettings, check_mail_url
from gateway.config.settings import Settings
from gateway.storage.database import Database
from gateway.tokens.master_key import MasterKey
from tests.accounts.mail_server import Kept, body, mail_server
from tests.fake_clock import FakeClock
from tests.listening.authority import Authority

SECRET = "https://id.example/reset?token=secret"
LETTER = Letter("ann@example.com", "Hello", f"Open {SECRET}\n", f"<p>Open {SECRET}</p>")


def settings_of(url: str) -> MailSettings:
    return MailSettings.model_validate({"url": url, "from": "Wiki <wiki@example.com>", "reply_to": "help@example.com"})


@pytest.fixture
def server() -> Iterator[Kept]:
    with mail_server() as kept:
        yield kept


@pytest.fixture
def postbox(database: Database, clock: FakeClock) -> Postbox:
    return Postbox(database, MasterKey(b"k" * 32), clock, enabled=True)


@pytest.fixture
def postman(postbox: Postbox, server: Kept, clock: FakeClock) -> Postman:
    return Postman(postbox, settings_of(f"smtp://127.0.0.1:{server.port}?tls=none"), clock)


def speaking_tls(authority: Authority) -> ssl.SSLContext:
    """Return what a server named localhost speaks TLS with."""
    pair = authority.issue(DNSName("localhost"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pair.cert, pair.key)
    return tls


async def count(database: Database) -> int:
    return int(await database.fetchval("select count(*) from outgoing_mail"))


async def test_a_letter_arrives_with_text_and_html(
    postbox: Postbox, postman: Postman, server: Kept, database: Database
) -> None:
    await postbox.put(LETTER)
    assert await postman.deliver() == 1
    (letter,) = server.letters
    assert (letter["To"], letter["From"], letter["Reply-To"]) == (
        "ann@example.com",
        "Wiki <wiki@example.com>",
        "help@example.com",
    )
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Message-ID"].endswith("@example.com>")
    assert SECRET in body(letter)
    assert SECRET in body(letter, "html")
    assert await count(database) == 0
    assert await postman.deliver() == 0


async def test_nobody_reads_it_in_the_database(postbox: Postbox, database: Database) -> None:
    await postbox.put(LETTER)
    stored = await database.fetchval("select sealed from outgoing_mail")
    assert "secret" not in stored
    assert "ann" not in stored
    assert "secret" not in repr(LETTER)


async def test_it_is_tried_again_later_and_later(
    postbox: Postbox, postman: Postman, server: Kept, clock: FakeClock, database: Database
) -> None:
    server.answers = ["451 later", "421 busy"]
    await postbox.put(LETTER)
    assert await postman.deliver() == 1
    assert await postman.deliver() == 0
    waits = [await postbox.next_due_seconds()]
    clock.advance(timedelta(seconds=waits[0] or 0))
    assert await postman.deliver() == 1
    waits.append(await postbox.next_due_seconds())
    assert waits == [15, 45]
    clock.advance(45)
    assert await postman.deliver() == 1
    assert len(server.letters) == 1
    assert await count(database) == 0


@pytest.mark.parametrize("answer", ["550 nobody here", "554 5.7.1 spam"])
async def test_what_is_refused_for_good_is_given_up(
    postbox: Postbox, postman: Postman, server: Kept, database: Database, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers = [answer]
    await postbox.put(LETTER)
    await postman.deliver()
    assert await count(database) == 0
    assert "given up" in caplog.text
    assert "ann@example.com" not in caplog.text
    assert "secret" not in caplog.text


async def test_a_server_that_is_down_loses_nothing(
    postbox: Postbox, clock: FakeClock, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Postman(postbox, settings_of("smtp://user:hunter2@127.0.0.1:1?tls=none"), clock)
    await postbox.put(LETTER)
    await gone.deliver()
    assert await count(database) == 1
    assert "tried again" in caplog.text
    assert "hunter2" not in caplog.text


DISGUISED = "=?utf-8?q?eve=40evil.example=2C=20?=ann@example.com"


async def test_a_letter_goes_to_its_address_and_not_to_one_that_hides_in_it(
    postbox: Postbox, postman: Postman, server: Kept
) -> None:
    await postbox.put(replace(LETTER, to=DISGUISED))
    await postman.deliver()
    # Whether this server takes such an address is its own affair.
    assert [each for sent in server.recipients for each in sent if each != DISGUISED] == []


async def test_a_letter_that_cannot_be_written_stops_no_other(
    postbox: Postbox, postman: Postman, server: Kept, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await postbox.put(replace(LETTER, to="=?utf-8?q??=@example.com"))
    await postbox.put(LETTER)
    await postman.deliver()
    assert server.recipients == [["ann@example.com"]]
    assert await count(database) == 0
    assert "given up" in caplog.text


async def test_a_letter_is_not_sent_after_its_time(
    postbox: Postbox, postman: Postman, clock: FakeClock, database: Database
) -> None:
    await postbox.put(LETTER, lifetime=timedelta(hours=1))
    clock.advance(timedelta(hours=1))
    assert await postman.deliver() == 0
    assert await postbox.forget_expired() == 1
    assert await count(database) == 0


async def test_another_master_key_gives_a_letter_up(
    database: Database, postbox: Postbox, server: Kept, clock: FakeClock
) -> None:
    await postbox.put(LETTER)
    other = Postbox(database, MasterKey(b"o" * 32), clock, enabled=True)
    await Postman(other, settings_of(f"smtp://127.0.0.1:{server.port}?tls=none"), clock).deliver()
    assert server.letters == []
    assert await count(database) == 0


async def test_without_mail_nothing_is_kept(database: Database, clock: FakeClock) -> None:
    await Postbox(database, MasterKey(b"k" * 32), clock, enabled=False).put(LETTER)
    assert await count(database) == 0


@pytest.mark.parametrize("password", ["p%40ss%20word", "wrong"])
async def test_starttls_comes_before_the_login(
    postbox: Postbox, clock: FakeClock, tmp_path: Path, password: str
) -> None:
    authority = Authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.ca_file))
    with mail_server(speaking_tls(authority)) as server:
        url = f"smtp://us%65r:{password}@localhost:{server.port}"
        await postbox.put(LETTER)
        await Postman(postbox, settings_of(url), clock, tls=trusting).deliver()
        right = password != "wrong"
        assert len(server.letters) == right
        assert server.logins[0][0] == b"user"
        assert server.encrypted == [True] * right


async def test_an_untrusted_server_is_told_nothing(postbox: Postbox, clock: FakeClock, tmp_path: Path) -> None:
    with mail_server(speaking_tls(Authority(tmp_path))) as server:
        await postbox.put(LETTER)
        await Postman(postbox, settings_of(f"smtp://user:pw@localhost:{server.port}"), clock).deliver()
        assert (server.letters, server.logins) == ([], [])


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: all@example.com", "Grüße 🎉", "x" * 2000])
def test_a_subject_stays_one_line(subject: str, clock: FakeClock) -> None:
    made = message(Letter("ann@example.com", subject, "t", "<p>"), "wiki@example.com", None, clock)
    assert made["Bcc"] is None
    assert "\nBcc" not in made.as_bytes().decode().replace("\r", "")


def test_names_are_escaped_in_html_and_not_in_text(clock: FakeClock) -> None:
    letters = Letters(Settings.model_validate({"branding": {"name": "R&D <b>"}}))
    now = clock.now()
    user = User(
        "1",
        "a",
        "a@example.com",
        "<i>Ann</i>",
        (),
        is_active=True,
        is_verified=True,
        created_at=now,
        updated_at=now,
        last_login=None,
    )
    letter = letters.reset(user, SECRET, timedelta(hours=1))
    assert "<i>Ann</i>" in letter.text
    assert "&lt;i&gt;Ann" in letter.html
    assert "R&amp;D &lt;b&gt;" in letter.html
    assert "%(" not in letter.text


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example",
        "smtp://",
        "smtp://user@mail.example",
        "smtp://mail.example/path",
        "smtp://mail.example:99999",
        "smtp://mail.example?tls=maybe",
        "smtp://mail.example?timeout=3",
        "mail.example",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(?!.*mail\.example)"):
        check_mail_url(url)


@pytest.mark.parametrize(
    ("url", "port", "starttls", "implicit"),
    [
        ("smtp://mail.example", 587, True, False),
        ("smtps://mail.example", 465, False, True),
        ("smtp://mail.example:25?tls=none", 25, False, False),
    ],
)
def test_a_url_says_how_it_is_spoken_to(url: str, port: int, starttls: bool, implicit: bool) -> None:
    server = MailServer(url)
    assert (server.port, server.starttls, server.implicit_tls) == (port, starttls, implicit)
    assert "hunter2" not in repr(MailServer("smtp://u:hunter2@mail.example"))
