"""What the requests of a run look like: all the same, or each another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The moment in each name keeps the next run from asking for what this one asked for.
_QUERY = """
local run, number = os.time(), 0
request = function()
  number = number + 1
  return wrk.format(nil, "/items?run=" .. run .. "&page=" .. number)
end
"""
_PATHS = """
local run, number = os.time(), 0
request = function()
  number = number + 1
  return wrk.format(nil, "/items/" .. run .. "/" .. number)
end
"""
# It stops before the file is used up: a token sent twice would not be cold. So many are still under way then.
_TOKENS = """
local tokens, sent, answered, spare = {}, 0, 0, 0
init = function(args)
  for line in io.lines(args[1]) do tokens[#tokens + 1] = "Bearer " .. line end
  spare = tonumber(args[2])
end
request = function()
  sent = sent + 1
  wrk.headers["Authorization"] = tokens[sent]
  return wrk.format()
end
response = function()
  answered = answered + 1
  if answered + spare >= #tokens then wrk.thread:stop() end
end
"""


@dataclass(frozen=True)
class Shape:
    """A kind of run: ``members`` take part in it, ``script`` is wrk's (none: the same request again and again)."""

    name: str
    what: str
    members: Sequence[str]
    script: str = ""

    def options(self, directory: Path) -> list[str]:
        """Return wrk's options for this shape; its script is written into ``directory``."""
        if not self.script:
            return []
        path = directory / f"{self.name}.lua"
        path.write_text(self.script, encoding="utf-8")
        return ["-s", str(path)]


GATEWAY = ("gateway-jwt", "gateway-session", "gateway-api-token")
SAME = Shape(
    "same",
    "the same request again and again",
    ("nginx", "envoy", "caddy", "haproxy", "oauth2-proxy", "heimdall", *GATEWAY),
)
QUERY = Shape("query", "each request has another query", ("nginx", "envoy", "gateway-jwt"), _QUERY)
PATHS = Shape("paths", "each request has another path", ("nginx", "envoy", "gateway-jwt"), _PATHS)
COLD = Shape(
    "cold",
    "each request has another JWT, never seen before",
    ("haproxy-cold", "gateway-cold", "gateway-renewed"),
    _TOKENS,
)
SHAPES = (SAME, QUERY, PATHS, COLD)
