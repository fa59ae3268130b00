"""What an upstream sees is what the client sent, but for the prefix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.path_pattern import parse_pattern
from gateway.policy.rewrite import upstream_target
from gateway.policy.rules import Rewrite
from tests.policy.asking import ask


def rewrite(strip: str = "", add: str = "") -> Rewrite:
    return Rewrite(parse_pattern(f"{strip}/**") if strip else None, add)


@pytest.mark.parametrize(
    ("strip", "add", "raw", "forwarded"),
    [
        ("/wiki", "", "/wiki/a/b?c=/wiki", "/a/b?c=/wiki"),
        ("/wiki", "", "/wiki", "/"),
        ("/wiki", "", "/wiki/", "/"),
        ("/wiki", "", "/wiki?a", "/?a"),
        ("/wiki", "", "/wikipedia/a", "/wikipedia/a"),
        ("/wiki", "", "/a/wiki", "/a/wiki"),
        ("/wiki", "", "/%77iki/caf%C3%A9", "/caf%C3%A9"),
        ("/wiki", "", "/wiki;v=1/a;w=2", "/a;w=2"),
        ("/wiki", "", "/wiki/wiki", "/wiki"),
        ("/a/b", "", "/a/b/c/", "/c/"),
        ("/a/b", "", "/a", "/a"),
        ("", "/app", "/x", "/app/x"),
        ("", "/app", "/", "/app/"),
        ("/wiki", "/app", "/wiki/x", "/app/x"),
        ("/wiki", "/app", "/wiki", "/app/"),
    ],
)
def test_prefixes(strip: str, add: str, raw: str, forwarded: str) -> None:
    assert upstream_target(ask(raw), rewrite(strip, add)) == forwarded


def test_without_rewrite_not_a_byte_changes() -> None:
    raw = "/%77iki;x/caf%C3%A9/?a=%2F&&b"
    assert upstream_target(ask(raw), None) == raw
    assert upstream_target(ask(raw), rewrite()) == raw


SEGMENTS = st.lists(st.sampled_from(["a", "b", "a;x", "%61", "c.d"]), max_size=5)


@given(SEGMENTS, st.booleans(), st.sampled_from(["", "/a", "/a/b"]), st.sampled_from(["", "/app", "/p/q"]))
def test_rewritten_target_is_one_that_the_gateway_would_let_in(
    segments: list[str], slash: bool, strip: str, add: str
) -> None:
    target = ask("/" + "/".join(segments) + ("/" if slash and segments else ""))
    again = ask(upstream_target(target, rewrite(strip, add)))
    stripped = tuple(strip.split("/")[1:])
    kept = target.segments[len(stripped) :] if target.segments[: len(stripped)] == stripped else target.segments
    assert again.segments == (*add.split("/")[1:], *kept)
