"""The path that an upstream sees."""

from __future__ import annotations

from gateway.policy.rules import Rewrite
from gateway.policy.target import Target


def upstream_target(target: Target, rewrite: Rewrite | None) -> str:
    """Return the origin-form to forward: byte for byte the client's, but for what ``rewrite`` changes.

    A prefix is taken off by whole segments, so that ``/wiki`` is no prefix of ``/wikipedia``; a path that
    does not have it keeps its front. What is left over starts with one slash.
    """
    if rewrite is None:
        return target.raw
    path = target.path
    prefix = rewrite.strip_prefix
    if prefix is not None and prefix.matches(target.segments):
        for _ in prefix.segments:
            path = path[path.find("/", 1) :] if path.find("/", 1) > 0 else "/"
    path = rewrite.add_prefix + path
    return path if target.query is None else f"{path}?{target.query}"
