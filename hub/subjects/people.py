"""By what somebody is looked for. No I/O."""

from dataclasses import dataclass

from hub.contacts.rules import canonical_phone, clean_bsuid, clean_email


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What they told us of themselves, in any spelling."""

    phone: str | None = None
    bsuid: str | None = None
    email: str | None = None

    @property
    def canonical(self) -> str | None:
        """The phone in the form in which it is stored."""
        return None if self.phone is None else canonical_phone(self.phone)

    @property
    def possible(self) -> bool:
        """Whether it can be somebody's at all."""
        return bool(self.canonical or clean_bsuid(self.bsuid) or clean_email(self.email))
