"""Why a request's target is refused: every word that ``TargetRejected`` carries from this package.

The words go to logs and metrics, the sentences to the client. A sentence tells what is wrong with the
request and never what the gateway would have decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REJECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bad_method": "The method is not a token in upper case.",
        "connect": "CONNECT is not served here.",
        "asterisk_form": "The target * names no resource.",
        "not_origin_form": "The target must be a path that starts with a slash.",
        "not_absolute": "The URL must be absolute, with http or https.",
        "fragment": "The target contains a fragment.",
        "userinfo": "The target contains a user name or password.",
        "scheme_mismatch": "The target's scheme is not the one of this connection.",
        "host_mismatch": "The target names another host than the Host field.",
        "missing_host": "The request has no Host field.",
        "bad_host": "The host is not a valid name or address.",
        "bad_port": "The port is not a number from 1 to 65535.",
        "bad_scheme": "The scheme is neither http nor https.",
        "control_byte": "The target contains a control character or a space.",
        "non_ascii": "The target contains bytes that must be percent-encoded.",
        "backslash": "The path contains a backslash.",
        "empty_segment": "The path contains an empty segment.",
        "dot_segment": "The path contains a dot segment.",
        "bad_rewrite": "The route's rewrite makes no path of it.",
        "bad_escape": "The path contains a percent sign that starts no escape.",
        "encoded_slash": "The path contains an encoded slash.",
        "encoded_backslash": "The path contains an encoded backslash.",
        "encoded_control": "The path contains an encoded control character.",
        "bad_utf8": "The path's escapes are not UTF-8.",
        "overlong_utf8": "The path contains an overlong encoding.",
        "over_encoded": "The path is encoded too many times.",
        "bad_peer": "The connection's address cannot be read.",
        "bad_forwarded_for": "X-Forwarded-For contains something that is no address.",
        "bad_forwarded_proto": "X-Forwarded-Proto is neither http nor https.",
        "bad_forwarded_host": "X-Forwarded-Host is empty.",
    }
)
