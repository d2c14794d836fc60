"""What an admin asks when messages do not come from Qontak or go to it; and telling it our address.

Every check asks and changes nothing. Which webhooks are registered Qontak does not say: that is
told, not guessed, and `register` may be run at any time.
"""

from collections.abc import Callable, Iterator
from typing import Final

import requests

from hub.integrations.calls import Misaddressed, Unreached
from hub.integrations.qontak.account import QontakAccount
from hub.integrations.qontak.api import Answer
from hub.integrations.qontak.credentials import Unauthorised
from hub.integrations.qontak.template_ids import NotListed
from hub.integrations.whatsapp.doctor import DOOR_TIMEOUT_S, Finding, good, note, wrong
from hub.integrations.whatsapp.reading import Object, identifier
from hub.integrations.whatsapp.template_files import LANGUAGES

EVENTS: Final[Object] = {
    # Our own messages come back with these, and are told from a customer's by their author.
    "receive_message_from_agent": True,
    "receive_message_from_customer": True,
    "status_message": True,
    "broadcast_log_status": True,
}
BY_HAND: Final = (
    "in Mekari Developer subscribe this address to qontak.chat.room.created and .updated: they "
    "alone tell which button was tapped"
)


def examine(account: QontakAccount, public_url: str) -> list[Finding]:
    """All checks in order. Never raises for what the network or Qontak does."""
    found = list(_settings(account, public_url))
    for check in (_numbers, _templates):
        if not _asked(account, check, found):
            break
    if account.webhook_secret:
        found.extend(_door(public_url))
        fix = f"run: whatsapp doctor --register; {BY_HAND}"
        found.append(note("qontak webhooks", "Qontak does not say which it sends where", fix))
    return found


def register(account: QontakAccount, public_url: str) -> list[Finding]:
    """Tell Qontak where and what to send; the same again changes nothing."""
    found = [finding for finding in _settings(account, public_url) if finding.verdict == "wrong"]
    if not found:
        _asked(account, lambda its: _registered(its, public_url), found)
    return found


def _asked(
    account: QontakAccount,
    check: Callable[[QontakAccount], Iterator[Finding]],
    found: list[Finding],
) -> bool:
    """Add what a check finds; whether Qontak let itself be asked."""
    try:
        found.extend(check(account))
    except Unreached as error:
        fix = "look at the hub's way out to the internet"
        found.append(wrong("qontak", f"no answer: {error}", fix))
    except Misaddressed as error:
        found.append(wrong("qontak", str(error), "correct [qontak] api_url"))
    except (Unauthorised, NotListed) as error:
        fix = "correct [qontak] auth, client_id and client_secret_file"
        found.append(wrong("qontak", str(error), fix))
    else:
        return True
    return False


def _settings(account: QontakAccount, public_url: str) -> Iterator[Finding]:
    if not account.webhook_secret:
        fix = "put one line of letters and digits into a file and name it in webhook_secret_file"
        yield wrong("qontak settings", "no webhook secret: nothing is let in", fix)
    if not account.numbers:
        fix = "add one to [[numbers]], or remove [qontak]"
        yield note("qontak settings", "no number with channel qontak", fix)
    if not public_url.startswith("https://"):
        yield note("qontak settings", "public_url is not https", "Qontak calls https addresses")


def _numbers(account: QontakAccount) -> Iterator[Finding]:
    answer = account.api.chat("GET", "/integrations", parameters={"target_channel": "wa"})
    if not answer.ok:
        yield _refused("qontak account", answer)
        return
    yield good("qontak account", "our application is known")
    listed = {identifier(row, "id") for row in answer.rows}
    for integration, name in account.numbers.items():
        check = f"number {name}"
        if integration in listed:
            yield good(check, "connected at Qontak")
        else:
            fix = "correct channel_integration_id in [[numbers]]: the list is under Integrations"
            yield wrong(check, "Qontak knows no such channel_integration_id", fix)


def _templates(account: QontakAccount) -> Iterator[Finding]:
    for purpose in account.purposes:
        check = f"qontak templates {purpose}"
        lacking = [
            language
            for language in LANGUAGES
            if all(
                found != language for _, found in account.templates.candidates(purpose, language)
            )
        ]
        fix = "submit it in Qontak under the name in [templates], or wait for its review"
        if len(lacking) == len(LANGUAGES):
            yield wrong(check, "none is approved: a closed window stays closed", fix)
        elif lacking:
            yield note(check, f"none is approved in {', '.join(lacking)}", fix)
        else:
            yield good(check, "approved in both languages")


def _registered(account: QontakAccount, public_url: str) -> Iterator[Finding]:
    address = f"{public_url.rstrip('/')}/webhooks/qontak/{account.webhook_secret}"
    answer = account.api.chat("PUT", "/message_interactions", body={**EVENTS, "url": address})
    if answer.ok:
        yield good("qontak webhooks", "messages, statuses and broadcasts are sent to this hub")
        yield note("qontak rooms", "rooms cannot be registered from here", BY_HAND)
    else:
        yield _refused("qontak webhooks", answer)


def _refused(check: str, answer: Answer) -> Finding:
    fix = "give the application the scope qontak-chat:all and correct [qontak]"
    return wrong(check, f"refused: {answer.reason}", fix)


def _door(public_url: str) -> Iterator[Finding]:
    """Our own address, without the secret: whoever only looks is told that one must post."""
    url = f"{public_url.rstrip('/')}/webhooks/qontak/"
    try:
        answer = requests.get(url + "doctor", timeout=DOOR_TIMEOUT_S, allow_redirects=False)
    except requests.RequestException as error:
        fix = "start the hub, and look at name, certificate and reverse proxy"
        yield wrong("qontak door", f"not reached from here: {type(error).__name__}", fix)
        return
    if answer.status_code == requests.codes.method_not_allowed:
        yield good("qontak door", f"{url}… is reached")
    else:
        fix = "the proxy must pass /webhooks/ on to this hub"
        yield wrong("qontak door", f"{url}… answers {answer.status_code}", fix)
