"""The paths of many rules as one tree of segments, walked once a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.policy.crowd import SMALL, Crowd
from gateway.policy.path_pattern import STAR, PathPattern

if TYPE_CHECKING:
    from gateway.policy.fields import Headers
    from gateway.policy.rules import Rule
    from gateway.policy.target import Target

_NONE: Final = 1 << 62


class _Node:
    """``below`` holds the rules for this path and any rest of it, ``here`` those and the ones for just this path.

    Both are in file order; what is too many to ask one after the other becomes a crowd. ``least`` is the smallest
    index in the subtree, so that a walk turns back where nothing better can be.
    """

    __slots__ = ("below", "children", "crowded_below", "crowded_here", "here", "least", "star")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.star: _Node | None = None
        self.here: list[Rule] = []
        self.below: list[Rule] = []
        self.crowded_here: Crowd | None = None
        self.crowded_below: Crowd | None = None
        self.least = _NONE


class PathTrie:
    """Rules are added in file order, then the tree is frozen and searched."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, pattern: PathPattern, rule: Rule) -> None:
        """Put a rule where ``pattern`` leads. Indexes must not descend between calls."""
        node = self._root
        node.least = min(node.least, rule.index)
        for segment in pattern.segments:
            if segment is STAR:
                node.star = node.star or _Node()
                node = node.star
            else:
                node = node.children.setdefault(segment, _Node())
            node.least = min(node.least, rule.index)
        node.here.append(rule)
        if pattern.any_rest:
            node.below.append(rule)

    def freeze(self) -> None:
        """Drop what can never be reached, and sort crowds."""
        pending = [self._root]
        while pending:
            node = pending.pop()
            node.here = _reachable(node.here)
            node.below = _reachable(node.below)
            node.crowded_here = Crowd(node.here) if len(node.here) > SMALL else None
            node.crowded_below = Crowd(node.below) if len(node.below) > SMALL else None
            pending.extend(node.children.values())
            if node.star is not None:
                pending.append(node.star)

    def find(self, target: Target, headers: Headers, best: Rule | None) -> Rule | None:
        """Return the matching rule of the smallest index if that is smaller than ``best``'s, else ``best``."""
        segments = target.segments
        end = len(segments)
        least = _NONE if best is None else best.index
        node: _Node | None = self._root
        at = 0
        # Where a literal and a star both lead on, the star waits here.
        waiting: list[tuple[_Node, int]] | None = None
        while True:
            if node is not None and node.least < least:
                rules, crowd = (node.here, node.crowded_here) if at == end else (node.below, node.crowded_below)
                for rule in rules if crowd is None else crowd.candidates(target, headers):
                    if rule.index >= least:
                        break
                    if rule.match.host_and_path_suffice or rule.match.rest_holds(target, headers):
                        best, least = rule, rule.index
                        break
                if at < end:
                    child, star = node.children.get(segments[at]), node.star
                    at += 1
                    if child is not None and star is not None:
                        waiting = waiting or []
                        waiting.append((star, at))
                    node = child or star
                    continue
            if not waiting:
                return best
            node, at = waiting.pop()


def _reachable(rules: list[Rule]) -> list[Rule]:
    """Leave out rules behind one that takes every request at the same place, or that asks for the same."""
    kept: list[Rule] = []
    asked: set[object] = set()
    for rule in rules:
        conditions = (rule.match.methods, rule.match.regex, rule.match.headers)
        if conditions in asked:
            continue
        asked.add(conditions)
        kept.append(rule)
        if rule.match.host_and_path_suffice:
            break
    return kept
