"""The path that an upstream sees, and the way back for what it says about paths."""

from __future__ import annotations

from gateway.errors import TargetRejected
from gateway.policy.path_pattern import spell
from gateway.policy.rules import Rewrite
from gateway.policy.target import Target, parse_target


def upstream_target(target: Target, rewrite: Rewrite | None) -> str:
    """Return the origin-form to forward: byte for byte the client's, but for what ``rewrite`` changes.

    A prefix is taken off by whole segments, so that ``/wiki`` is no prefix of ``/wikipedia``; a path that
    does not have it keeps its front. What is left over starts with one slash. Raises TargetRejected where a
    pattern makes a path that no client would be let in with.
    """
    if rewrite is None:
        return target.raw
    path = target.path
    prefix = rewrite.strip_prefix
    if prefix is not None and prefix.matches(target.segments):
        for _ in prefix.segments:
            path = path[path.find("/", 1) :] if path.find("/", 1) > 0 else "/"
    path = rewrite.add_prefix + path
    if rewrite.pattern is not None and (match := rewrite.pattern.fullmatch(path)) is not None:
        path = _checked(match.expand(rewrite.replacement))
    return path if target.query is None else f"{path}?{target.query}"


def _checked(path: str) -> str:
    if not path.startswith("/") or "?" in path:
        raise TargetRejected("bad_rewrite")
    parse_target("GET", path, "rewritten", "http")
    return path


def client_path(path: str, rewrite: Rewrite | None) -> str:
    """Return the path by which clients reach what an upstream calls ``path``: ``rewrite`` of prefixes, backwards."""
    if rewrite is None:
        return path
    added = rewrite.add_prefix
    if added:
        if path != added and not path.startswith((f"{added}/", f"{added}?", f"{added}#")):
            return path  # it is not below what we put in front: nothing of it is reached through this route
        path = path[len(added) :] or "/"
        path = path if path.startswith("/") else f"/{path}"
    stripped = rewrite.strip_prefix
    if stripped is None:
        return path
    return spell(stripped.text.removesuffix("/**")) + path
