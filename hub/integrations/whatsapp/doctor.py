"""What an admin asks when messages do not come or go: settings, token, account, numbers, door.

Every check asks and changes nothing. What Meta does not tell is not reported as good.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import requests

from hub.integrations.whatsapp.account import LIMIT_FIELD, MetaAccount, limit_of
from hub.integrations.whatsapp.graph import Answer, Misaddressed, Unreached
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, mapping, objects, text, whole
from hub.integrations.whatsapp.senders import digits
from hub.integrations.whatsapp.settings import MetaNumber
from hub.integrations.whatsapp.template_book import APPROVED, MISSING
from hub.integrations.whatsapp.template_shelf import ShelfUnreadable, Standing, why_refused

DOOR_TIMEOUT_S: Final = 10
DAY_S: Final = 86_400
EXPIRY_NOTE_S: Final = 14 * DAY_S
SCOPES: Final = ("whatsapp_business_messaging", "whatsapp_business_management")
NUMBER_FIELDS: Final = f"display_phone_number,verified_name,quality_rating,status,{LIMIT_FIELD}"
ACCOUNT_FIELDS: Final = f"name,account_review_status,{LIMIT_FIELD}"

Verdict: TypeAlias = Literal["good", "note", "wrong"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at, and what to do about it."""

    check: str
    verdict: Verdict
    detail: str
    fix: str = ""


def good(check: str, detail: str) -> Finding:
    """As it should be."""
    return Finding(check=check, verdict="good", detail=detail)


def note(check: str, detail: str, fix: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(check=check, verdict="note", detail=detail, fix=fix)


def wrong(check: str, detail: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(check=check, verdict="wrong", detail=detail, fix=fix)


def examine(account: MetaAccount, now_s: int) -> list[Finding]:
    """All checks in order. Never raises for what the network or Meta does."""
    found = list(_settings(account))
    if any(finding.verdict == "wrong" for finding in found):
        return found
    for check in CHECKS:
        try:
            found.extend(check(account, now_s))
        except Unreached as error:
            found.append(
                wrong("graph", f"no answer: {error}", "look at the hub's way out to the internet")
            )
            break
        except Misaddressed as error:
            found.append(wrong("graph", str(error), "correct [whatsapp] api_url"))
            break
    found.extend(_door(account))
    return found


def _settings(account: MetaAccount) -> Iterator[Finding]:
    held = account.settings
    missing = [
        name
        for name in ("waba_id", "access_token", "app_secret", "verify_token")
        if not getattr(held, name)
    ]
    if missing:
        files = ", ".join(name if name == "waba_id" else f"{name}_file" for name in missing)
        yield wrong("settings", f"missing: {files}", "complete [whatsapp] in hub.toml")
    if not held.numbers:
        yield wrong("settings", "no number with channel meta", "add one to [[numbers]]")
    for number in held.numbers:
        if not number.phone_number_id:
            fix = "copy it from the number's page in WhatsApp Manager"
            yield wrong("settings", f"{number.name}: phone_number_id is missing", fix)
    if len(account.numbers) < len(held.numbers):
        yield wrong("settings", "two numbers share a phone_number_id", "correct [[numbers]]")
    if not held.public_url.startswith("https://"):
        yield note("settings", "public_url is not https", "Meta calls only https addresses")


def _token(account: MetaAccount, now_s: int) -> Iterator[Finding]:
    answer = account.graph.get("debug_token", {"input_token": account.settings.access_token})
    why = why_refused(answer)
    told = mapping(answer.document.get("data"))
    fix = "make a system user's token that never expires, with both WhatsApp permissions"
    if answer.refusal is not None and answer.refusal.code == 190:
        yield wrong("token", f"refused: {why}", fix)
        return
    if why is not None:
        yield note("token", f"cannot be looked into: {why}", "nothing, if the checks below pass")
        return
    if told.get("is_valid") is not True:
        yield wrong("token", "Meta calls it invalid", fix)
        return
    scopes = told.get("scopes")
    lacking = [name for name in SCOPES if isinstance(scopes, list) and name not in scopes]
    expires_s = whole(told, "expires_at") or 0
    if lacking:
        yield wrong("token", f"lacks {', '.join(lacking)}", fix)
    elif expires_s and expires_s - now_s < EXPIRY_NOTE_S:
        days = max(0, (expires_s - now_s) // DAY_S)
        yield note("token", f"expires in {days} days", fix)
    else:
        yield good("token", "valid")


def _account(account: MetaAccount, _now_s: int) -> Iterator[Finding]:
    waba_id = account.settings.waba_id
    answer = account.graph.get(waba_id, {"fields": ACCOUNT_FIELDS})
    why = why_refused(answer)
    if why is not None:
        fix = "correct [whatsapp] waba_id, or give the token's system user the account"
        yield wrong("account", f"{waba_id}: {why}", fix)
        return
    review = text(answer.document, "account_review_status", NAME_CHARS_MAX)
    if review not in (None, APPROVED):
        yield wrong("account", f"review status {review}", "see the account in Business Manager")
    else:
        yield good("account", f"{waba_id}: {_limit(answer)}")
    apps = account.graph.get(f"{waba_id}/subscribed_apps")
    why = why_refused(apps)
    if why is not None:
        yield note("webhooks", f"subscriptions cannot be read: {why}", "look in the app's settings")
    elif objects(apps.document.get("data")):
        yield good("webhooks", "an app is subscribed to the account")
    else:
        fix = "subscribe the app to the account and to the fields messages and user_preferences"
        yield wrong("webhooks", "no app is subscribed: nothing will come in", fix)


def _limit(answer: Answer) -> str:
    if text(answer.document, LIMIT_FIELD) is None:
        return "messaging limit not told"
    limit = limit_of(answer)
    return "no messaging limit" if limit is None else f"{limit} new people in 24 hours"


def _numbers(account: MetaAccount, _now_s: int) -> Iterator[Finding]:
    for number in account.settings.numbers:
        answer = account.graph.get(number.phone_number_id, {"fields": NUMBER_FIELDS})
        yield _number(number, answer)


def _number(number: MetaNumber, answer: Answer) -> Finding:
    check = f"number {number.name}"
    why = why_refused(answer)
    if why is not None:
        return wrong(check, why, "correct its phone_number_id in [[numbers]]")
    told = answer.document
    phone, status = digits(told, "display_phone_number"), text(told, "status", NAME_CHARS_MAX)
    quality = text(told, "quality_rating", NAME_CHARS_MAX)
    if phone is not None and phone != number.phone:
        return wrong(check, "phone_number_id belongs to another phone", "correct [[numbers]]")
    if status not in (None, "CONNECTED"):
        return wrong(check, f"status {status}", "register the number in WhatsApp Manager")
    if quality in ("YELLOW", "RED"):
        fix = "people block or report it: send less, and only what was asked for"
        return note(check, f"quality {quality}", fix)
    return good(check, f"connected, quality {quality or 'not told'}, {_limit(answer)}")


def _templates(account: MetaAccount, _now_s: int) -> Iterator[Finding]:
    try:
        standing = account.shelf.standing()
    except ShelfUnreadable as error:
        yield wrong("templates", str(error), "give the token whatsapp_business_management")
        return
    for purpose in account.settings.templates:
        mine = [one for one in standing if one.purpose == purpose]
        if mine:
            yield from _purpose(purpose, mine)
    if not account.settings.templates.get("offer"):
        fix = "name templates in [templates] offer"
        yield wrong("templates offer", "none: no rep with a closed window is reached", fix)


def _purpose(purpose: str, mine: list[Standing]) -> Iterator[Finding]:
    check = f"templates {purpose}"
    usable = [one for one in mine if one.state == APPROVED]
    push = "run: whatsapp templates push"
    if not usable:
        states = ", ".join(f"{one.name} ({one.language}) {one.state}" for one in mine)
        missing = all(one.state == MISSING for one in mine)
        fix = push if missing else "wait for the review, or add another name to the list"
        yield wrong(check, f"none is approved: {states}", fix)
        return
    for language in sorted({one.language for one in mine} - {one.language for one in usable}):
        yield note(check, f"none is approved in {language}", push)
    dear = [one.name for one in usable if one.category not in (None, "UTILITY")]
    if dear:
        fix = "appeal in WhatsApp Manager: marketing costs more and is held back"
        yield note(check, f"not a utility template: {', '.join(sorted(set(dear)))}", fix)
    changed = sorted({one.name for one in usable if not one.pushed})
    if changed:
        yield note(check, f"differs from our file: {', '.join(changed)}", push)
    yield good(check, f"first in use: {usable[0].name} ({usable[0].language})")


def _door(account: MetaAccount) -> Iterator[Finding]:
    """Ask our own address as Meta would: through the name, the certificate and the proxy."""
    challenge = secrets.token_hex(8)
    url = f"{account.settings.public_url.rstrip('/')}/webhooks/whatsapp"
    query = {
        "hub.mode": "subscribe",
        "hub.verify_token": account.settings.verify_token,
        "hub.challenge": challenge,
    }
    try:
        answer = requests.get(url, params=query, timeout=DOOR_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        fix = "start the hub, and look at name, certificate and reverse proxy"
        yield wrong("door", f"{url} is not reached from here: {type(error).__name__}", fix)
        return
    if (answer.status_code, answer.text) == (200, challenge):
        yield good("door", f"{url} answers the challenge")
    else:
        fix = "the proxy must pass /webhooks/ on to this hub with its query"
        yield wrong("door", f"{url} answers {answer.status_code}, not the challenge", fix)


CHECKS: Final[tuple[Callable[[MetaAccount, int], Iterator[Finding]], ...]] = (
    _token,
    _account,
    _numbers,
    _templates,
)
