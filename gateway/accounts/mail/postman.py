"""Gives letters to the mail server: one task of the program; any process of a fleet sends any letter."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from email.message import EmailMessage
from typing import Final

import aiosmtplib

from gateway.accounts.mail.letter import message
from gateway.accounts.mail.postbox import TOPIC, Postbox, Waiting
from gateway.clock import Clock
from gateway.config.mail import MailServer, MailSettings
from gateway.errors import GatewayError
from gateway.storage.events import EventFeed

_AT_ONCE: Final = 5
_MOST_ATTEMPTS: Final = 9
_LOOKS_EVERY_SECONDS: Final = 30.0
_SOONEST_SECONDS: Final = 0.05
_REFUSED_FOR_GOOD: Final = 500
_log: Final = logging.getLogger(__name__)

Send = Callable[[EmailMessage], Awaitable[None]]


class Postman:
    """Sends what the postbox holds. What a mail server refuses for good is given up, and logged without its address."""

    def __init__(
        self,
        postbox: Postbox,
        settings: MailSettings,
        clock: Clock,
        feed: EventFeed | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._postbox = postbox
        self._settings = settings
        self._clock = clock
        self._tls = tls
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if feed is not None:
            feed.subscribe(self._on_event, self._wake.set)

    def start(self) -> None:
        """Begin to send, where mail is configured."""
        if self._settings.enabled:
            self._task = asyncio.create_task(self._run(), name="mail")

    async def stop(self) -> None:
        """End the task. A letter that was under way may be sent once more: better twice than not at all."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def deliver(self) -> int:
        """Send what is due. Returns how many letters were tried."""
        waiting = await self._postbox.take(_AT_ONCE)
        for each in waiting:
            await self._try(each)
        return len(waiting)

    def _on_event(self, topic: str, _key: str) -> None:
        if topic == TOPIC:
            self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                wait = 0.0 if await self.deliver() else await self._postbox.next_due_seconds()
            except GatewayError as error:
                _log.warning("outgoing mail could not be read: %s", error)
                wait = _LOOKS_EVERY_SECONDS
            seconds = _LOOKS_EVERY_SECONDS if wait is None else min(max(wait, _SOONEST_SECONDS), _LOOKS_EVERY_SECONDS)
            try:
                await asyncio.wait_for(self._wake.wait(), seconds)
            except TimeoutError:
                continue

    async def _try(self, waiting: Waiting) -> None:
        if waiting.letter is None:
            _log.warning("a letter cannot be read: it was sealed under another secret_key; it is given up")
            await self._postbox.done(waiting)
            return
        try:
            made = message(waiting.letter, str(self._settings.sender), self._settings.reply_to, self._clock)
            made.as_bytes()
        except Exception as error:  # the library reads an address, and some of them end in any error
            _log.warning("a letter cannot be written: %s; it is given up", type(error).__name__)
            await self._postbox.done(waiting)
            return
        try:
            await self._send(made, waiting.letter.to)
        except aiosmtplib.SMTPResponseException as error:
            reason, final = f"it answered {error.code}", error.code >= _REFUSED_FOR_GOOD
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            reason, final = f"it refused the address with {codes}", min(codes) >= _REFUSED_FOR_GOOD
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            # The message may quote what was sent; the kind says enough.
            reason, final = type(error).__name__, False
        else:
            await self._postbox.done(waiting)
            return
        if final or waiting.attempts >= _MOST_ATTEMPTS:
            _log.warning("a letter was not taken by the mail server: %s; it is given up", reason)
            await self._postbox.done(waiting)
        else:
            _log.warning("a letter was not taken by the mail server: %s; it is tried again", reason)

    async def _send(self, letter: EmailMessage, recipient: str) -> None:
        url = self._settings.url
        if url is None:
            raise LookupError("no mail is configured")
        server = MailServer(url.get_secret_value())
        await aiosmtplib.send(
            letter,
            # Never read out of the header: what it holds is decoded there, and may name somebody else.
            recipients=[recipient],
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.implicit_tls,
            start_tls=server.starttls,
            tls_context=self._tls,
            timeout=self._settings.timeout.total_seconds(),
        )
