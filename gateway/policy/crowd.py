"""Many rules at one place of the tree, told apart by what else they ask for.

Rules for the same path differ by a header's value (tenants, versions), or by expressions that begin alike. Asking one
after the other costs as much as there are rules; here only those are asked whose header was sent, or whose expression
begins as the path does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.policy.path_pattern import literal_beginning

if TYPE_CHECKING:
    from gateway.policy.fields import Headers
    from gateway.policy.rules import Rule
    from gateway.policy.target import Target

# So few are asked one after the other as fast.
SMALL: Final = 6

_Buckets = dict[str, list["Rule"]]


class Crowd:
    """Rules in file order, each in one bucket: of a header's value, of a beginning, or of all others."""

    __slots__ = ("_by_beginning", "_by_header", "_others")

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by_header: dict[str, _Buckets] = {}
        self._by_beginning: dict[int, _Buckets] = {}
        self._others: list[Rule] = []
        common = Counter((name.lower(), value) for rule in rules for name, value in rule.match.headers)
        for rule in rules:
            self._bucket(rule, common).append(rule)

    def _bucket(self, rule: Rule, common: Mapping[tuple[str, str], int]) -> list[Rule]:
        match = rule.match
        if match.headers:
            # What the fewest ask for tells the most apart. Case makes no difference in names.
            name, value = min(((name.lower(), value) for name, value in match.headers), key=lambda each: common[each])
            return self._by_header.setdefault(name, {}).setdefault(value, [])
        beginning = literal_beginning(match.regex.pattern) if match.regex is not None else ""
        if beginning:
            return self._by_beginning.setdefault(len(beginning), {}).setdefault(beginning, [])
        return self._others

    def candidates(self, target: Target, headers: Headers) -> list[Rule]:
        """Return, in file order, the rules that may match; none that is left out does."""
        found = [self._others]
        for name, values in self._by_header.items():
            sent = headers.getall(name, ())
            if len(sent) == 1 and (rules := values.get(sent[0])) is not None:
                found.append(rules)
        if self._by_beginning:
            path = target.decoded_path
            for length, beginnings in self._by_beginning.items():
                if (rules := beginnings.get(path[:length])) is not None:
                    found.append(rules)
        if len(found) == 1:
            return self._others
        return sorted((rule for rules in found for rule in rules), key=_index)


def _index(rule: Rule) -> int:
    return rule.index
