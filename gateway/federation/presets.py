"""What is known of the providers that people have: a table of facts, and no code.

Where a provider speaks OpenID Connect, its metadata says the rest. The others have the addresses of their OAuth 2
endpoints here, and what their user-info answers call things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Names:
    """Which claims say who somebody is; dots lead into objects. ``verified`` says that the address is theirs."""

    subject: str = "sub"
    username: str = "preferred_username"
    email: str = "email"
    verified: str = "email_verified"
    name: str = "name"


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of provider. Without ``issuer`` it is OAuth 2 alone, and the three addresses are needed.

    ``metadata_url`` is where the metadata is, when not under the issuer. ``emails_url`` is a list of addresses that its
    user-info leaves out. ``believes_email``: whether what it says of an address can be true at all.
    """

    label: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    issuer: str = ""
    metadata_url: str = ""
    authorization_url: str = ""
    token_url: str = ""
    userinfo_url: str = ""
    emails_url: str = ""
    names: Names = Names()
    believes_email: bool = True
    secret_in_body: bool = False
    posts_back: bool = False
    is_oidc: bool = True


PRESETS: Final[Mapping[str, Preset]] = {
    "oidc": Preset(""),
    "oauth2": Preset("", scopes=(), is_oidc=False, secret_in_body=True),
    "google": Preset("Google", issuer="https://accounts.google.com"),
    # Any organisation's accounts: the issuer has the tenant's number in it. Addresses are whatever an organisation's
    # administrator typed (a published way to take accounts over), so none of them is believed.
    "microsoft": Preset(
        "Microsoft",
        issuer="https://login.microsoftonline.com/{tenantid}/v2.0",
        metadata_url="https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
        believes_email=False,
    ),
    "gitlab": Preset("GitLab", issuer="https://gitlab.com", names=Names(username="nickname")),
    # It answers with a form as soon as a scope is asked for.
    "apple": Preset("Apple", ("openid", "email", "name"), issuer="https://appleid.apple.com", posts_back=True),
    "keycloak": Preset("Keycloak"),
    "okta": Preset("Okta"),
    "auth0": Preset("Auth0", names=Names(username="nickname")),
    "github": Preset(
        "GitHub",
        ("read:user", "user:email"),
        issuer="https://github.com",
        authorization_url="https://github.com/login/oauth/authorize",
        token_url="https://github.com/login/oauth/access_token",  # noqa: S106 - an address, not a secret
        userinfo_url="https://api.github.com/user",
        emails_url="https://api.github.com/user/emails",
        names=Names(subject="id", username="login"),
        secret_in_body=True,
        is_oidc=False,
    ),
    "discord": Preset(
        "Discord",
        ("identify", "email"),
        issuer="https://discord.com",
        authorization_url="https://discord.com/oauth2/authorize",
        token_url="https://discord.com/api/oauth2/token",  # noqa: S106 - an address, not a secret
        userinfo_url="https://discord.com/api/users/@me",
        names=Names(subject="id", username="username", verified="verified", name="global_name"),
        secret_in_body=True,
        is_oidc=False,
    ),
    "facebook": Preset(
        "Facebook",
        ("email", "public_profile"),
        issuer="https://www.facebook.com",
        authorization_url="https://www.facebook.com/v23.0/dialog/oauth",
        token_url="https://graph.facebook.com/v23.0/oauth/access_token",  # noqa: S106 - an address, not a secret
        userinfo_url="https://graph.facebook.com/v23.0/me?fields=id,name,email",
        names=Names(subject="id", username=""),
        believes_email=False,
        secret_in_body=True,
        is_oidc=False,
    ),
    # It signs ID tokens, and does not put our nonce into them: what it says over its user-info is enough.
    "linkedin": Preset(
        "LinkedIn",
        issuer="https://www.linkedin.com/oauth",
        authorization_url="https://www.linkedin.com/oauth/v2/authorization",
        token_url="https://www.linkedin.com/oauth/v2/accessToken",  # noqa: S106 - an address, not a secret
        userinfo_url="https://api.linkedin.com/v2/userinfo",
        names=Names(username=""),
        secret_in_body=True,
        is_oidc=False,
    ),
}
