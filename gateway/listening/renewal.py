"""Keeps the certificates in use those that are in the files."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from gateway.clock import Clock
from gateway.config.server import Tls
from gateway.errors import StartupError
from gateway.listening.certificates import CertificateRejected, Credentials, KeyPair, content, load

_LOOK_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class Certificates:
    """The TLS context of connections that begin now. ``current`` says whether it is what the files hold."""

    def __init__(self, tls: Tls, clock: Clock) -> None:
        """Read the files. Raises StartupError."""
        self._pairs = key_pairs(tls)
        self._client_ca_file = tls.client_ca_file
        self._clock = clock
        self._seen = b""
        self._task: asyncio.Task[None] | None = None
        self.current = True
        try:
            self._seen = _print(self._files())
            self._credentials = load(self._pairs, self._client_ca_file)
        except CertificateRejected as error:
            raise StartupError(f"server.tls: {error}") from error
        if not self._in_time(self._credentials):
            _log.error("the certificate is not valid now", extra=_validity(self._credentials))

    @property
    def context(self) -> ssl.SSLContext:
        return self._credentials.context

    @property
    def expires_at(self) -> float:
        """When the first of the certificates in use ends, in seconds since 1970."""
        return self._credentials.valid[1].timestamp()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="certificates")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def look(self) -> None:
        """Read the files again if their content has changed, or could not be used when it was read last."""
        seen = b""
        try:
            seen = await asyncio.to_thread(_print, self._files())
            if seen == self._seen and self.current:
                return
            credentials = await asyncio.to_thread(load, self._pairs, self._client_ca_file)
        except CertificateRejected as error:
            self._keep(seen, str(error))
        else:
            if not self._in_time(credentials):
                self._keep(seen, "the new one is not valid now")
                return
            self._seen, self._credentials, self.current = seen, credentials, True
            _log.info("the certificate was read again", extra=_validity(credentials))

    def _keep(self, seen: bytes, reason: str) -> None:
        if self.current or seen != self._seen:  # said once for each state of the files
            _log.error("the certificate was not changed: %s", reason)
        self._seen, self.current = seen, False

    def _in_time(self, credentials: Credentials) -> bool:
        first, last = credentials.valid
        return first <= self._clock.now() <= last

    def _files(self) -> Iterator[Path]:
        for pair in self._pairs:
            yield from pair
        if self._client_ca_file is not None:
            yield self._client_ca_file

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # a bad moment must not be the last look
                _log.exception("the certificates could not be looked at")


def key_pairs(tls: Tls) -> Sequence[KeyPair]:
    """Return the pairs, the one for everybody first."""
    return [KeyPair(each.cert_file, each.key_file) for each in (tls, *tls.sni)]


def _print(files: Iterator[Path]) -> bytes:
    """Return what stands for the files' content. A time of change would not tell of each way to replace a file."""
    return b"".join(hashlib.sha256(content(path)).digest() for path in files)


def _validity(credentials: Credentials) -> dict[str, str]:
    first, last = credentials.valid
    return {"not_before": _text(first), "not_after": _text(last)}


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
