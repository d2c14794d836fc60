"""Where per_… and cus_… are reached."""

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
        if not to.startswith("per_"):
            reach = self._contacts.address(connection, to)
            if isinstance(reach, Reach):
                return Address(phone=reach.phone, bsuid=reach.bsuid)
            return Withhold(reach.reason)
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
