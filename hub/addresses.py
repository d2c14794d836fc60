"""Where per_… and cus_… are reached."""

from sqlalchemy import Connection

from hub.contacts.service import Contacts, Reach
from hub.outbox.messages import Address, Withhold
from hub.registry.service import Registry


class AddressBook:
    """Implements `hub.outbox.messages.Addresses`."""

    def __init__(self, registry: Registry, contacts: Contacts) -> None:
        """People of the network from `registry`, customers from `contacts`."""
        self._registry = registry
        self._contacts = contacts

    def address(self, connection: Connection, to: str) -> Address | Withhold:
        """As it is now; a person who has not agreed to messages gets none."""
        if not to.startswith("per_"):
            reach = self._contacts.address(connection, to)
            if isinstance(reach, Reach):
                return Address(phone=reach.phone, bsuid=reach.bsuid)
            return Withhold(reach.reason)
        person = self._registry.person(connection, to)
        if person is None:
            return Withhold("there is no such person")
        if person.wa_opt_in_ms is None:
            return Withhold("has not agreed to messages")
        bsuid = self._registry.bsuid_of(connection, to)
        if person.phone is None and bsuid is None:
            return Withhold("has no phone")
        return Address(phone=person.phone, bsuid=bsuid)
