"""Before anything is measured: does it answer, and does it refuse?"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.bench.contenders import Contender

START_SECONDS = 30.0


class LeftOut(Exception):
    """A contender that cannot be compared; the text says why."""


def answering(port: int, started: subprocess.Popen[bytes]) -> None:
    """Wait until something accepts connections there. Raises LeftOut when the program ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if started.poll() is not None:
            raise LeftOut(f"it ended with code {started.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise LeftOut(f"it did not listen within {START_SECONDS:.0f} s")


def check(contender: Contender) -> None:
    """Raise LeftOut unless good credentials get the 1 KiB and bad ones a refusal."""
    status, length = _ask(contender.url, contender.good)
    if (status, length) != (http.client.OK, 1024):
        raise LeftOut(f"answered {status} with {length} bytes where 200 with 1024 is right")
    if contender.bad is None:
        return
    status, _ = _ask(contender.url, contender.bad)
    if status not in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        raise LeftOut(f"answered {status} to a forged credential")


def _ask(url: str, headers: Mapping[str, str]) -> tuple[int, int]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", "/", headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except (OSError, http.client.HTTPException) as error:
        raise LeftOut(f"did not answer: {error}") from error
    finally:
        connection.close()
