"""Roles by what others say of somebody."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, StrictBool, StrictFloat, StrictInt, model_validator

from gateway.config.section import Section
from gateway.config.values import Label, OneOrMore

_CLAIM: Final = re.compile(r"[!-~]{1,200}")


def _claim_name(text: str) -> str:
    if not _CLAIM.fullmatch(text):
        raise ValueError("must be a claim's name, or names with dots between them, such as realm_access.roles")
    return text


ClaimName = Annotated[str, AfterValidator(_claim_name)]
Scalar = StrictBool | StrictInt | StrictFloat | str


class RoleRule(Section):
    """One rule: whoever has this in a claim has a role."""

    claim: ClaimName
    """The claim that is looked at; dots lead into objects. Of a list, any element counts."""
    equals: Scalar | None = None
    """What the claim must be."""
    in_: Annotated[tuple[Scalar, ...], OneOrMore] = Field((), alias="in")
    """What the claim may be: any one of these."""
    role: Label
    """The role."""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if (self.equals is None) is not bool(self.in_):
            raise ValueError("takes equals or in, and not both")
        return self

    @property
    def values(self) -> tuple[Scalar, ...]:
        """What gives the role."""
        return self.in_ if self.equals is None else (self.equals,)
