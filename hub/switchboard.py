"""Everything between WhatsApp and leads, put together: doors, inbox, leads, outbox, channels."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from hub.adapters.addresses import AddressBook
from hub.adapters.market import Clientele, Market
from hub.adapters.sold import SoldUnits
from hub.alerts.service import Alerts
from hub.config import HubConfig, NumberConfig
from hub.contacts.erasures import ErasureJournal
from hub.contacts.service import Contacts
from hub.errors import ConfigError
from hub.gateway import Gateway, Parse
from hub.inbox.incoming import TemplateNews
from hub.inbox.service import Inbox
from hub.integrations.whatsapp.channel import MetaChannel
from hub.integrations.whatsapp.graph import Graph, GraphSettings
from hub.integrations.whatsapp.parse import parse as parse_meta
from hub.integrations.whatsapp.routes import Refusals, WebhookSettings
from hub.integrations.whatsapp.template_book import TemplateBook
from hub.keys import HubKeys
from hub.leads.conversation import Conversation
from hub.leads.desk import Desk
from hub.leads.questions import ScreeningWords
from hub.leads.renderer import LeadRenderer
from hub.leads.service import Leads
from hub.ledger.service import Ledger
from hub.outbox.messages import Channel, Failed
from hub.outbox.rules import Limits
from hub.outbox.sender import Sender
from hub.outbox.service import Outbox
from hub.registry.service import Registry
from hub.store import Database
from shared.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What vendors and we share, as read from their files."""

    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    access_token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchboard:
    """The services of leads."""

    contacts: Contacts
    inbox: Inbox
    outbox: Outbox
    alerts: Alerts
    leads: Leads
    gateway: Gateway
    sender: Sender
    templates: TemplateBook
    graph: Graph | None
    webhook: WebhookSettings
    refusals: Refusals
    clock: Clock

    def step(self) -> int:
        """Act on what came in and on what time has made due; how much that was."""
        return self.inbox.step(self.gateway.handle) + self.leads.step(self.clock.wall_ms())

    def idle(self) -> bool:
        """Whether nothing that came in or is due waits, and nothing that may go out."""
        return self.inbox.idle() and self.leads.idle(self.clock.wall_ms()) and self.sender.idle()


def read_secret(path: Path | None) -> str:
    """The secret in a file, without the newline at its end; "" when there is no file to read.

    Raises ConfigError when the file is named and cannot be read.
    """
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def open_switchboard(
    config: HubConfig,
    keys: HubKeys,
    database: Database,
    *,
    clock: Clock,
    registry: Registry,
) -> Switchboard:
    """Put it together; nothing is sent or received yet. Raises ConfigError."""
    whatsapp = config.whatsapp
    secrets = Secrets(
        app_secret=read_secret(whatsapp.app_secret_file),
        verify_token=read_secret(whatsapp.verify_token_file),
        access_token=read_secret(whatsapp.access_token_file),
    )
    contacts = Contacts(keys.contacts, ErasureJournal(config.server.keys_dir / "erasures"))
    outbox, alerts = Outbox(database, clock), Alerts(database, clock)
    market, clientele = Market(registry), Clientele(contacts)
    desk = Desk(
        directory=market,
        outbox=outbox,
        alerts=alerts,
        facts=Ledger,
        customers=clientele,
        settings=config.leads,
        clock=clock,
    )
    leads = Leads(database, desk, SoldUnits())
    conversation = Conversation(desk, leads, contacts, market)
    outbox.on_change.append(leads.offer_status)
    templates = TemplateBook(asdict(config.templates))
    graph = None
    if secrets.access_token:
        graph = Graph(
            GraphSettings(
                access_token=secrets.access_token,
                api_url=whatsapp.api_url,
                api_version=whatsapp.api_version,
            )
        )
    sender = Sender(
        outbox,
        channels(config, graph, templates),
        number_for=lambda role: _name(config.number_for(role)),
        renderer=LeadRenderer(
            market,
            clientele,
            ScreeningWords(),
            claim_s=config.leads.claim_s,
            contact_s=config.leads.contact_s,
        ),
        addresses=AddressBook(registry, contacts),
        limits=_limits(config),
    )
    sender.on_stopped.append(_stopped(alerts))
    return Switchboard(
        contacts=contacts,
        inbox=Inbox(database, clock),
        outbox=outbox,
        alerts=alerts,
        leads=leads,
        gateway=Gateway(
            parsers=parsers(config),
            registry=registry,
            contacts=contacts,
            outbox=outbox,
            leads=leads,
            conversation=conversation,
            on_template=_on_template(templates),
        ),
        sender=sender,
        templates=templates,
        graph=graph,
        webhook=WebhookSettings(app_secret=secrets.app_secret, verify_token=secrets.verify_token),
        refusals=Refusals(),
        clock=clock,
    )


def _name(number: NumberConfig | None) -> str | None:
    return None if number is None else number.name


def channels(config: HubConfig, graph: Graph | None, templates: TemplateBook) -> dict[str, Channel]:
    """The channel of every number that can send."""
    found: dict[str, Channel] = {}
    for number in config.numbers:
        if number.channel == "meta" and graph is not None and number.phone_number_id is not None:
            found[number.name] = MetaChannel(
                number.name,
                phone_number_id=number.phone_number_id,
                graph=graph,
                templates=templates,
            )
    return found


def parsers(config: HubConfig) -> Mapping[str, Parse]:
    """How each source's bodies are read."""
    meta = {
        number.phone_number_id: number.name
        for number in config.numbers
        if number.channel == "meta" and number.phone_number_id is not None
    }
    return {"whatsapp": lambda body: parse_meta(body, meta)}


def _limits(config: HubConfig) -> dict[str, Limits]:
    limit = config.whatsapp.messaging_limit
    first_contacts = None if limit == "auto" else limit
    return {number.name: Limits(first_contacts=first_contacts) for number in config.numbers}


def _on_template(templates: TemplateBook) -> Callable[[TemplateNews], object]:
    return templates.heard


def _stopped(alerts: Alerts) -> Callable[[Connection, str, Failed], object]:
    """A number through which the vendor lets nothing pass is an alert of its own."""

    def told(connection: Connection, number: str, failed: Failed) -> object:
        return alerts.raise_(
            connection,
            "P0",
            "number_stopped",
            f"number_stopped/{number}",
            what=f"The number {number} sends nothing: {failed.reason}"[:400],
            consequence="Offers and answers wait until it is let through again.",
            action="See what `kickstand-hub whatsapp doctor` says.",
        )

    return told
