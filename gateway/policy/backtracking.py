"""Regular expressions of which a match can take time that doubles with each character: told by their text.

Python's engine tries every way in which a repeated group can match. There is one way only where nothing inside it
repeats, is optional or branches; possessive quantifiers (``a++``) and atomic groups (``(?>...)``) do not try again.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"\\."
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]"
    r"|(?P<open>\((?:\?(?:P<\w+>|P=\w+|[:=!>]|<[=!]|[aiLmsux-]+[:)]))?)"
    r"|(?P<close>\))"
    r"|(?P<branch>\|)"
    r"|(?P<quantifier>[*+?]|\{[0-9]*(?:,[0-9]*)?\})(?P<mode>[+?]?)",
    re.DOTALL,
)
_ONCE: Final = frozenset({"?", "{0}", "{1}", "{,1}", "{0,1}", "{,0}", "{1,1}"})
_FIXED: Final = re.compile(r"\{[0-9]+\}")


class _Group:
    """What has been seen inside a group; ``atomic`` ones are matched in one way."""

    def __init__(self, *, atomic: bool) -> None:
        self.atomic = atomic
        self.many_ways = False


def may_explode(regex: str) -> bool:
    """Tell whether something that repeats holds something with several ways to match."""
    groups = [_Group(atomic=False)]
    last: _Group | None = None  # the group that has just been closed
    for token in _TOKEN.finditer(regex):
        closed, last = last, None
        if token["open"]:
            if not token["open"].endswith(")"):  # flags, or a name: no group
                groups.append(_Group(atomic=token["open"] == "(?>"))
        elif token["close"]:
            if len(groups) > 1:
                last = groups.pop()
                groups[-1].many_ways |= last.many_ways and not last.atomic
        elif token["branch"]:
            groups[-1].many_ways = True
        elif token["quantifier"]:
            follows = closed if closed is not None and regex[token.start() - 1] == ")" else None
            if follows is not None and _explodes(follows, token["quantifier"], token["mode"]):
                return True
            if token["mode"] != "+" and not _FIXED.fullmatch(token["quantifier"]):
                groups[-1].many_ways = True
    return False


def _explodes(group: _Group, quantifier: str, mode: str) -> bool:
    return group.many_ways and not group.atomic and mode != "+" and quantifier not in _ONCE
