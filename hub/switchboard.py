"""Everything between WhatsApp and leads, put together: doors, inbox, leads, outbox, channels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sqlalchemy import Connection

from hub.addresses import AddressBook
from hub.alerts.service import Alerts
from hub.config import HubConfig, NumberConfig
from hub.contacts.erasures import ErasureJournal
from hub.contacts.service import Contacts
from hub.gateway import Gateway, Parse
from hub.inbox import page_taps
from hub.inbox.incoming import PageTap, TemplateNews
from hub.inbox.service import Inbox, InboxRow
from hub.integrations.mail import NAME as MAIL_NAME
from hub.integrations.mail import MailChannel
from hub.integrations.mail import settings_from as mail_settings
from hub.integrations.qontak.account import QontakAccount
from hub.integrations.qontak.account import connect as connect_qontak
from hub.integrations.qontak.crm.mirror import CrmMirror
from hub.integrations.qontak.parse import parse as parse_qontak
from hub.integrations.whatsapp.account import MetaAccount
from hub.integrations.whatsapp.parse import parse as parse_meta
from hub.integrations.whatsapp.settings import settings_from
from hub.keys import HubKeys
from hub.leads.atlas import Atlas
from hub.leads.board import Board
from hub.leads.conversation import Conversation
from hub.leads.desk import Desk, IsFree
from hub.leads.intake import Intake
from hub.leads.lead_file import LeadFile
from hub.leads.mornings import Mornings
from hub.leads.neighbours import ContactBook, RegistryDirectory, SalesFollowing, SalesUnits
from hub.leads.questions import ScreeningWords
from hub.leads.renderer import LeadRenderer
from hub.leads.routes import IntakeDoor, read_keys
from hub.leads.service import Leads
from hub.ledger.service import Ledger
from hub.outbox.messages import Addresses, Channel, Renderer
from hub.outbox.rules import Limits
from hub.outbox.sender import Sender
from hub.outbox.service import Outbox
from hub.refusals import Refusals
from hub.registry.service import Registry
from hub.setbacks import Setbacks
from hub.store import Database
from hub.subjects.job import Retention
from hub.subjects.service import Subjects
from hub.vault.service import Vault
from shared.clock import Clock

LIMITS: Final = {"meta": Limits(), "qontak": Limits(per_second=20.0)}
"""How fast a number of a channel may speak; Qontak's broadcasts have a pace of their own, in it."""
MAIL_LIMITS: Final = Limits(pair_ms=60_000, pair_burst=10, per_second=2.0)


DUE_WAIT_MS: Final = 50
"""What time has made due is looked for so often while taps come in."""


class _Rest:
    """Whether it is too early for a look."""

    def __init__(self) -> None:
        self._until_ms = 0

    def lasts(self, mono_ms: int) -> bool:
        """If not, the next one begins."""
        if mono_ms < self._until_ms:
            return True
        self._until_ms = mono_ms + DUE_WAIT_MS
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchboard:
    """The services of leads."""

    contacts: Contacts
    inbox: Inbox
    outbox: Outbox
    alerts: Alerts
    leads: Leads
    gateway: Gateway
    board: Board
    sales: SalesFollowing
    retention: Retention
    sender: Sender
    mornings: Mornings
    intake: IntakeDoor
    whatsapp: MetaAccount
    qontak: QontakAccount | None
    crm: CrmMirror | None
    refusals: Refusals
    clock: Clock
    rests: _Rest = field(default_factory=_Rest)

    def step(self) -> int:
        """Act on what came in and on what time has made due; how much that was."""
        leaves = self._leaves()
        done = 0 if leaves else self.decide()
        if (done or leaves) and self.rests.lasts(self.clock.mono_ms()):
            return done  # who taps does not wait for what has time
        now_ms = self.clock.wall_ms()
        done += self.leads.step(now_ms)
        return done + self.mornings.step(now_ms)

    def _leaves(self) -> bool:
        """Whether taps are left to another process: who sends has enough to do, and a tap would
        wait behind what is sent.
        """
        return self.sender.sends() and self.inbox.others_act()

    def news(self) -> bool:
        """Whether something came in that is ours to act on, as far as we know."""
        return self.inbox.news() and not self._leaves()

    def decide(self) -> int:
        """Act on what came in, in its order; how much that was."""
        return self.inbox.step(self.gateway.handle, self.gateway.handle_run)

    def tap_on_page(self, person: str, button: str, by: str) -> bool:
        """Somebody signed in presses a button of ours; durable on return. Whether it is decided.

        It takes its number in the inbox and its turn behind what came before it; False only while
        another process is at those.
        """
        body = page_taps.written(PageTap(person=person, button=button), by=by)
        kept = self.inbox.keep(page_taps.SOURCE, body, {})
        while self.inbox.waits(kept):
            if not self.decide():
                return not self.inbox.waits(kept)
        return True

    def follow_sales(self) -> int:
        """Take in what the ledger says of sales; how many entries were passed."""
        return self.sales.step(self.clock.wall_ms())

    def forget(self) -> int:
        """Erase who asked for it, and what is too old to be kept; how much that was."""
        return self.retention.step(self.clock.wall_ms())

    @property
    def subjects(self) -> Subjects:
        """People, and what is stored about them."""
        return self.retention.subjects

    @property
    def file(self) -> LeadFile:
        """Leads that come in files, through the same intake as requests."""
        return LeadFile(self.intake.database, self.intake.intake, self.clock)

    @property
    def atlas(self) -> Atlas:
        """What people write for places."""
        return Atlas(self.intake.database)

    def idle(self) -> bool:
        """Whether nothing that came in or is due waits, and nothing that may go out."""
        return self.inbox.idle() and self.leads.idle(self.clock.wall_ms()) and self.sender.idle()


def open_switchboard(
    config: HubConfig,
    keys: HubKeys,
    database: Database,
    *,
    clock: Clock,
    registry: Registry,
    vault: Vault,
    position: Callable[[Connection], int],
) -> Switchboard:
    """Put it together; nothing is sent or received yet. Raises ConfigError.

    `position`: how far the ledger's projections have come; sales are looked at behind them.
    """
    account = MetaAccount(settings_from(config))
    qontak = connect_qontak(config, database, clock)
    contacts = Contacts(keys.contacts, ErasureJournal(config.server.keys_dir / "erasures"))
    outbox, alerts = Outbox(database, clock), Alerts(database, clock)
    inbox, atlas = Inbox(database, clock), Atlas(database)
    market, clientele = RegistryDirectory(registry), ContactBook(contacts)
    desk = _desk(config, market, clientele, outbox=outbox, alerts=alerts, clock=clock)
    leads = Leads(database, desk, SalesUnits())
    outbox.on_change += [leads.offer_status, Setbacks(contacts, leads, alerts).changed]
    _watch_numbers(outbox, alerts)
    gateway = Gateway(
        parsers=_parsers(account, qontak),
        rooms=None if qontak is None else partial(_heard_rooms, qontak),
        registry=registry,
        contacts=contacts,
        outbox=outbox,
        leads=leads,
        conversation=Conversation(desk, leads, contacts, registry, places=atlas.places),
        on_template=_on_template(account, alerts),
    )
    return Switchboard(
        contacts=contacts,
        inbox=inbox,
        outbox=outbox,
        alerts=alerts,
        leads=leads,
        gateway=gateway,
        board=Board(database, desk, contacts, places=atlas.places),
        sales=SalesFollowing(database, vault, leads.winning, position=position),
        retention=_retention(
            config,
            Subjects(database, contacts=contacts, leads=leads, vault=vault, clock=clock),
            inbox,
        ),
        mornings=Mornings(database, desk, desk.is_free if config.templates.checkin else None),
        sender=_sender(
            config,
            outbox,
            channels=_channels(config, account, qontak, clock),
            words=_words(config, market, clientele),
            addresses=AddressBook(registry, contacts, clock),
            first_contacts=_first_contacts(config, account),
        ),
        intake=IntakeDoor(
            database=database,
            intake=Intake(desk, leads, contacts, locate=atlas.locate),
            keys=read_keys(config.intake.keys_file),
            clock=clock,
        ),
        whatsapp=account,
        qontak=qontak,
        crm=None if qontak is None else qontak.mirror(database, clock, clientele, _names(market)),
        refusals=Refusals("signature", "too-large", "challenge", "secret"),
        clock=clock,
    )


def _desk(
    config: HubConfig,
    market: RegistryDirectory,
    clientele: ContactBook,
    *,
    outbox: Outbox,
    alerts: Alerts,
    clock: Clock,
) -> Desk:
    return Desk(
        directory=market,
        outbox=outbox,
        alerts=alerts,
        facts=Ledger,
        customers=clientele,
        settings=config.leads,
        clock=clock,
        is_free=_is_free(config, outbox),
        is_mute=_is_mute(config, outbox),
        one_offer_each=_is_on_qontak(config.number_for("reps")),
    )


def _is_on_qontak(number: NumberConfig | None) -> bool:
    return number is not None and number.channel == "qontak"


def _watch_numbers(outbox: Outbox, alerts: Alerts) -> None:
    outbox.numbers.on_stopped.append(alerts.number_stopped)
    outbox.numbers.on_resumed.append(alerts.number_resumed)


def _is_free(config: HubConfig, outbox: Outbox) -> IsFree | None:
    """Whether a rep may be written to freely; None: no number speaks to reps."""
    number = _name(config.number_for("reps"))
    if number is None:
        return None

    def is_free(connection: Connection, person: str, at_ms: int) -> bool:
        return outbox.window_open(connection, number, person, at_ms)

    return is_free


def _is_mute(config: HubConfig, outbox: Outbox) -> Callable[[Connection], bool]:
    number = _name(config.number_for("reps"))
    return lambda connection: number is not None and not outbox.numbers.open(connection, number)


def _channels(
    config: HubConfig, account: MetaAccount, qontak: QontakAccount | None, clock: Clock
) -> dict[str, Channel]:
    """Everything that carries messages, by name."""
    mail = mail_settings(config.smtp)
    return {
        **account.channels,
        **({} if qontak is None else qontak.channels),
        **({} if mail is None else {MAIL_NAME: MailChannel(mail, clock)}),
    }


def _words(config: HubConfig, market: RegistryDirectory, clientele: ContactBook) -> Renderer:
    return LeadRenderer(
        market,
        clientele,
        ScreeningWords(),
        claim_s=config.leads.claim_s,
        contact_s=config.leads.contact_s,
        portal_url=config.server.public_url.rstrip("/"),
    )


def _sender(
    config: HubConfig,
    outbox: Outbox,
    *,
    channels: Mapping[str, Channel],
    words: Renderer,
    addresses: Addresses,
    first_contacts: Callable[[], int | None],
) -> Sender:
    return Sender(
        outbox,
        channels,
        number_for=lambda role: _name(config.number_for(role)),
        renderer=words,
        addresses=addresses,
        limits=_limits(config),
        first_contacts=first_contacts,
    )


def _retention(config: HubConfig, subjects: Subjects, inbox: Inbox) -> Retention:
    # Whether or not this process knows the CRM: another one does what was asked for.
    subjects.on_erased.append(CrmMirror.erased)
    return Retention(subjects, inbox, config.leads)


def _name(number: NumberConfig | None) -> str | None:
    return None if number is None else number.name


def _parsers(account: MetaAccount, qontak: QontakAccount | None) -> dict[str, Parse]:
    """How each source's bodies are read."""
    parsers: dict[str, Parse] = {
        "whatsapp": partial(parse_meta, numbers=account.numbers),
        page_taps.SOURCE: page_taps.parse,
    }
    if qontak is not None:
        parsers["qontak"] = partial(parse_qontak, numbers=qontak.numbers)
    return parsers


def _heard_rooms(qontak: QontakAccount, connection: Connection, row: InboxRow) -> None:
    if row.source == "qontak":
        qontak.rooms.heard(connection, row.body, qontak.numbers, row.received_ms)


def _names(market: RegistryDirectory) -> Callable[[Connection, str], str | None]:
    def name(connection: Connection, code: str) -> str | None:
        dealer = market.dealer(connection, code)
        return None if dealer is None else dealer.name

    return name


def _first_contacts(config: HubConfig, account: MetaAccount) -> Callable[[], int | None]:
    """How many strangers may be written to in a day: as Meta says, or the settings."""
    limit = config.whatsapp.messaging_limit
    return (lambda: account.messaging_limit) if limit == "auto" else (lambda: limit)


def _limits(config: HubConfig) -> dict[str, Limits]:
    numbers = {one.name: LIMITS[one.channel] for one in config.numbers}
    return numbers | {MAIL_NAME: MAIL_LIMITS}


def _on_template(
    account: MetaAccount, alerts: Alerts
) -> Callable[[Connection, TemplateNews], None]:
    """A template of ours that may be used no more, or costs more, is told."""

    def heard(connection: Connection, news: TemplateNews) -> None:
        if account.book.heard(news):
            alerts.raise_(
                connection,
                "P1",
                "template_worse",
                f"template_worse/{news.name}/{news.language}",
                what=f"The template {news.name} ({news.language}) is now {news.event}: "
                f"{news.reason or 'no reason given'}"[:400],
                consequence="The next one of its list is used, or nobody outside a window is told.",
                action="See `kickstand-hub whatsapp templates status`; mend and push it.",
            )

    return heard
