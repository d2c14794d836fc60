"""Our WhatsApp account at Meta: settings in, everything that speaks with it out."""

import re
from typing import Final

from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import (
    Answer,
    Graph,
    GraphSettings,
    Misaddressed,
    Unreached,
)
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, text
from hub.integrations.whatsapp.routes import WebhookSettings
from hub.integrations.whatsapp.settings import MetaSettings
from hub.integrations.whatsapp.template_book import TemplateBook
from hub.integrations.whatsapp.template_shelf import TemplateShelf

LIMIT_FIELD: Final = "whatsapp_business_manager_messaging_limit"
TIER: Final = re.compile(r"TIER_(\d{1,9})(K?)", re.ASCII)
FIRST_TIER: Final = 250
"""What a new account may do; taken where Meta does not say more."""


class MetaAccount:
    """One a process. Nothing is asked of Meta before it is used."""

    def __init__(self, settings: MetaSettings) -> None:
        """Build the client, the book of templates and a channel for each number."""
        self.settings = settings
        self.graph = Graph(
            GraphSettings(
                api_url=settings.api_url,
                api_version=settings.api_version,
                access_token=settings.access_token,
            )
        )
        self.book = TemplateBook(settings.templates)
        self.shelf = TemplateShelf(self.graph, settings.waba_id, self.book, settings.lifetimes_s)
        self.channels = {
            number.name: MetaChannel(
                number.name,
                phone_number_id=number.phone_number_id,
                graph=self.graph,
                templates=self.book,
            )
            for number in settings.numbers
        }
        self.numbers = {number.phone_number_id: number.name for number in settings.numbers}
        """For `parse`."""
        self.messaging_limit: int | None = FIRST_TIER
        """People who may be written to first within 24 hours, as Meta last said; None: any number.

        The first tier's until it has: too slow is repaired by itself, blocked is not.
        """

    @property
    def webhook_settings(self) -> WebhookSettings:
        """For the door."""
        return WebhookSettings(
            app_secret=self.settings.app_secret, verify_token=self.settings.verify_token
        )

    def refresh(self) -> None:
        """Ask Meta which templates may be used and how many people may be written to first.

        Raises ShelfUnreadable. What it does not answer stays as it was.
        """
        self.messaging_limit = self._asked_limit()
        self.shelf.refresh()

    def _asked_limit(self) -> int | None:
        try:
            answer = self.graph.get(self.settings.waba_id, {"fields": LIMIT_FIELD})
        except (Unreached, Misaddressed):
            return self.messaging_limit
        return limit_of(answer) if answer.refusal is None else self.messaging_limit


def limit_of(answer: Answer) -> int | None:
    """The messaging limit in an account's or a number's answer; None is unlimited."""
    tier = text(answer.document, LIMIT_FIELD, NAME_CHARS_MAX) or ""
    if tier == "TIER_UNLIMITED":
        return None
    found = TIER.fullmatch(tier)
    return FIRST_TIER if found is None else int(found[1]) * (1000 if found[2] else 1)
