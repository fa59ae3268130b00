"""A file of names and hashes, as Apache's ``htpasswd`` writes it, read again when it changes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.accounts.passwords.foreign import check_foreign
from gateway.config.htpasswd import HtpasswdSettings

_LARGEST_BYTES: Final = 4 * 1024 * 1024
_LONGEST_NAME: Final = 255
_log: Final = logging.getLogger(__name__)


class HtpasswdFile:
    """Finds a name's hash. Names of the file are people of its own: accounts never share theirs."""

    def __init__(self, settings: HtpasswdSettings, path: Path) -> None:
        self.roles = settings.roles
        self._prefix = settings.username_prefix
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._hashes: Mapping[str, str] = {}

    def username(self, name: str) -> str:
        """Return what somebody of the file is called upstream."""
        return f"{self._prefix}{name}"

    def find(self, name: str) -> str | None:
        """Return the hash of a name, None for one that the file does not have."""
        self._load()
        return self._hashes.get(name)

    def _load(self) -> None:
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if state == self._state:
                return
            self._state = state
            with self._path.open("rb") as file:
                content = file.read(_LARGEST_BYTES + 1)
            self._hashes = read_htpasswd(content)
        except ValueError as error:  # half written, perhaps: it will change again
            _log.warning("the passwords in %s are not to be used, the last ones hold: %s", self._path, error)
        except OSError as error:
            self._state, self._hashes = None, {}
            _log.warning("the passwords in %s cannot be read, nobody of theirs is let in: %s", self._path, error)


def read_htpasswd(content: bytes) -> Mapping[str, str]:
    """Return hashes by name. Raises ValueError, with the line and without what stands there."""
    if len(content) > _LARGEST_BYTES:
        raise ValueError(f"more than {_LARGEST_BYTES} bytes")
    hashes: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, stored = line.partition(":")
        stored = stored.strip()
        if not colon or not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValueError(f"line {number}: must be NAME:HASH")
        try:
            check_foreign(stored)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if name in hashes:
            raise ValueError(f"line {number}: the name is there twice")
        hashes[name] = stored
    return hashes
