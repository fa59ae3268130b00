"""Optimistic concurrency: nobody overwrites what they have not seen (RFC 9110 section 13.1.1)."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from gateway.accounts.user import User
from gateway.api.reply import reply
from gateway.errors import Outdated

_ETAG: Final = re.compile(r'"([0-9]{1,10})"')


def user_reply(user: User, status: int = 200) -> web.Response:
    """Answer with a user; the ETag names the revision that it shows."""
    response = reply(user.document(), status)
    response.headers["ETag"] = f'"{user.revision}"'
    return response


def expected_revision(request: web.Request, user: User) -> int | None:
    """Return the revision that a change is meant for; None when it is for whichever there is.

    Raises Outdated when ``If-Match`` names none that the user has. Weak tags match nothing (RFC 9110 section 13.1.1).
    """
    given = request.headers.getall("If-Match", [])
    if not given:
        return None
    tags = [tag.strip() for value in given for tag in value.split(",")]
    if tags == ["*"]:
        return None
    revisions = {int(found[1]) for tag in tags if (found := _ETAG.fullmatch(tag))}
    if user.revision not in revisions:
        raise Outdated("named another revision")
    return user.revision
