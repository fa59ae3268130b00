"""Path patterns of routes: literal segments, ``*`` for exactly one, a final ``**`` for any rest, none included.

A trailing slash makes no difference, in the pattern or in the path: applications seldom tell ``/admin`` from
``/admin/``, and a rule that did would be a way around it. Letters are told apart by case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import TargetRejected
from gateway.policy.target import parse_target

STAR: Final = None
_META: Final = frozenset(r".^$*+?{}[]()|\\")
_QUANTIFIERS: Final = frozenset("?*+{")
# Groups that may hold comments, in which a bracket is no bracket.
_ODD_GROUP: Final = re.compile(r"\(\?(?!:|P<)")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """``segments`` are decoded as a target's are; None stands for any one segment."""

    text: str
    segments: tuple[str | None, ...]
    any_rest: bool

    def matches(self, segments: tuple[str, ...]) -> bool:
        """Tell by comparing one segment after the other. ``RuleTable`` answers the same from its tries."""
        wanted = len(self.segments)
        if len(segments) < wanted or (len(segments) > wanted and not self.any_rest):
            return False
        return all(want is STAR or want == have for want, have in zip(self.segments, segments, strict=False))


def parse_pattern(text: str) -> PathPattern:
    """Read a pattern of the configuration. Raises ValueError that says what is wrong."""
    body, any_rest = (text[:-2], True) if text.endswith("/**") else (text, False)
    if "**" in body:
        raise ValueError("** may stand only at the end, after a slash")
    if ";" in body:
        raise ValueError("paths are matched without ;parameters, so this would match nothing")
    if "?" in body:
        raise ValueError("paths are matched without the query; * is one segment, path_regex does the rest")
    for part in body.split("/"):
        if "*" in part and part != "*":
            raise ValueError("* stands for a whole segment; use path_regex for parts of one")
    try:
        target = parse_target("GET", spell(body), "pattern", "http")
    except TargetRejected as error:
        raise ValueError(f"no request with such a path is let in ({error.reason})") from error
    # By the text: an encoded star is the character.
    parts = zip(body[1:].split("/"), target.segments, strict=False)
    segments = tuple(STAR if part == "*" else segment for part, segment in parts)
    return PathPattern(text, segments, any_rest)


def literal_prefix(regex: str) -> PathPattern:
    """Return a pattern that every path matching ``regex`` matches too, so that tries can hold the expression.

    It is read off the leading characters that can mean only themselves; where there is doubt it is ``/**``.
    """
    literal = literal_beginning(regex) or "/"
    segments = literal[1:].split("/")[:-1]
    return PathPattern(f"{literal[: literal.rindex('/')]}/**", tuple(segments), any_rest=True)


def literal_beginning(regex: str) -> str:
    """Return text that every path matching ``regex`` begins with: empty where there is doubt, else from the slash."""
    text = regex.removeprefix("^")
    length = next((at for at, letter in enumerate(text) if letter in _META), len(text))
    if text[length : length + 1] in _QUANTIFIERS:
        length -= 1  # the quantifier is about the letter before it
    literal = text[: max(length, 0)]
    return literal if literal.startswith("/") and not _may_branch(text) else ""


def _may_branch(regex: str) -> bool:
    """Tell whether a ``|`` may stand outside all groups: then the branches share no beginning."""
    if "|" not in regex:
        return False
    if "[" in regex or _ODD_GROUP.search(regex):
        return True
    depth = 0
    for letter in re.sub(r"\\.", "", regex):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and depth <= 0:
            return True
    return False


def spell(text: str) -> str:
    """Percent-encode what a configuration may spell out and a request line may not."""
    return re.sub(r"[^!-~]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
