"""Who is meant by the address of a request: the rules of `people.toml`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What Slack is asked for in place of a request's address."""

    wanted: str  #: an address, or a Slack id; "": nobody may be asked
    rule: str = ""  #: the line of `people.toml` that says so; "": the address as it came


#: For an address without a rule, if only people with a rule are asked.
NOT_MAPPED: Final = Target(wanted="")


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleRules:
    """Whom to look up for which address. The keys are in lower case; addresses are ASCII."""

    people: Mapping[str, str] = field(default_factory=dict)  #: address → another address, or a Slack id
    domains: Mapping[str, str] = field(default_factory=dict)  #: domain → the domain to look in
    factor: Mapping[str, str] = field(default_factory=dict)  #: address → the subject of its second factor
    strict: bool = False  #: whether only the people and domains that are listed are asked

    def target(self, email: str) -> Target:
        """Return whom to look up for an address; `NOT_MAPPED` if nobody. A person goes before a domain."""
        known = self.people.get(email.lower())
        if known is not None:
            return Target(wanted=known, rule=f'[people] "{email.lower()}" = "{known}"')
        name, _, domain = email.rpartition("@")
        other = self.domains.get(domain.lower())
        if other is not None:
            return Target(wanted=f"{name}@{other}", rule=f'[domains] "{domain.lower()}" = "{other}"')
        return NOT_MAPPED if self.strict else Target(wanted=email)

    def subject(self, email: str) -> str:
        """Return the name by which the provider of the second factor knows the person with this address.

        It never comes from their Slack profile, which somebody who stole their session can change.
        """
        wanted = self.target(email).wanted
        return self.factor.get(email.lower()) or (wanted if "@" in wanted else email)
