"""Where per_…, cus_… and dlr_… are reached."""

from sqlalchemy import Connection

from hub.contacts.service import Contacts, Reach
from hub.outbox.messages import Address, Withhold
from hub.registry.people.rules import may_be_messaged
from hub.registry.people.service import works_today
from hub.registry.service import Registry
from shared.clock import Clock


class AddressBook:
    """Implements `hub.outbox.messages.Addresses`."""

    def __init__(self, registry: Registry, contacts: Contacts, clock: Clock) -> None:
        """People of the network from `registry`, customers from `contacts`."""
        self._clock = clock
        self._registry = registry
        self._contacts = contacts

    def address(self, connection: Connection, to: str) -> Address | Withhold:
        """As it is now; who has left, or has not agreed to messages, gets none."""
        if to.startswith("dlr_"):
            return self._mailbox(connection, to.removeprefix("dlr_"))
        if to.startswith("per_"):
            return self._person(connection, to)
        reach = self._contacts.address(connection, to)
        if isinstance(reach, Reach):
            return Address(phone=reach.phone, bsuid=reach.bsuid)
        return Withhold(reach.reason)

    def _mailbox(self, connection: Connection, code: str) -> Address | Withhold:
        dealer = self._registry.dealer_in(connection, code)
        if dealer is None or dealer.email is None:
            return Withhold("no e-mail address of this dealer is known")
        return Address(phone=None, bsuid=None, email=dealer.email)

    def _person(self, connection: Connection, to: str) -> Address | Withhold:
        person = self._registry.person(connection, to)
        if person is None:
            return Withhold("there is no such person")
        now_ms = self._clock.wall_ms()
        if not works_today(connection, person, now_ms):
            return Withhold("has left")
        if not may_be_messaged(person, now_ms):
            return Withhold("has no phone, or has not agreed to messages")
        bsuid = self._registry.bsuid_of(connection, to)
        return Address(phone=person.phone, bsuid=bsuid)
