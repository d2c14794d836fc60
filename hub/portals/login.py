"""Signing in and out, one's own account, and who is behind a request."""

from typing import Final
from urllib.parse import urlencode, urlsplit

import segno
from flask import (
    Blueprint,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
)
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError

from hub.accounts.passwords import TooBusy
from hub.accounts.rules import PASSWORD_CHARS_MIN, SESSION_LIFE_MS, Account
from hub.accounts.service import SignedIn, new_totp_secret, totp_uri
from hub.portals.answers import fault_page, is_machine_path, problem, wants_data
from hub.portals.languages import LANGUAGE_COOKIE, LANGUAGES, later, say
from hub.portals.services import portal

csrf = CSRFProtect()
gate = Blueprint("gate", __name__, template_folder="templates")
own = Blueprint("own", __name__, template_folder="templates")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_BLUEPRINTS: Final = frozenset({"gate", "portal_assets"})
DEALER_BLUEPRINTS: Final = OPEN_BLUEPRINTS | {"own", "everyones"}
"""What is open to people of dealers: pages that show each of them no dealer but theirs."""
YEAR_S = 365 * 24 * 3600
HOME = "/ledger"
DEALER_HOME = "/leads"
BUSY: Final = later("Too many people are signing in right now. Try again in a few seconds.")
REFUSALS: Final = {
    "wrong": later("E-mail, password or code do not fit."),
    "totp_needed": later("Now the six digits of your authenticator app."),
    "too_many": later("Too many tries. Wait a quarter of an hour, then try again."),
    "busy": BUSY,
}
PASSWORD_FAULTS: Final = {
    "too_short": later("At least %(n)s characters, please. A sentence is easier to remember."),
    "too_long": later("That is longer than this hub takes."),
    "too_plain": later("That is among the first anybody would try."),
    "is_the_email": later("Anything but your own e-mail address."),
    "no_address": later(
        "You have no e-mail address in the list of people, and one signs in with address and "
        "password. Ask your head office to add it."
    ),
    "address_taken": later(
        "Your e-mail address opens somebody else's account, so a password would open nothing. Ask "
        "your head office for an address of your own, or sign in by links."
    ),
}


def session_cookie() -> str:
    """The cookie that holds a session's token: bound to this host when there is TLS."""
    return "__Host-kickstand" if portal().secure else "kickstand"


def meet() -> Response | None:
    """Before every request of a person: read the clock, know the account, guard the door."""
    if is_machine_path(request.path):
        return None
    services = portal()
    g.now_ms = services.clock.wall_ms()
    g.token = request.cookies.get(session_cookie(), "")
    polled = request.path.endswith("/fresh")
    g.account = (
        services.accounts.session(g.token, now_ms=g.now_ms, used=not polled) if g.token else None
    )
    if request.method not in SAFE_METHODS:
        _refuse_other_sites()
        if request.endpoint != "gate.use_link":
            csrf.protect()
    if g.account is None and request.endpoint and request.blueprint not in OPEN_BLUEPRINTS:
        return _ask_to_sign_in()
    if g.account is not None and not _in_reach(g.account):
        return _keep_out()
    return None


def _in_reach(account: Account) -> bool:
    """Head office may go everywhere, everybody else where it is said that they may."""
    known = request.endpoint is not None
    return account.head_office or not known or request.blueprint in DEALER_BLUEPRINTS


def _keep_out() -> Response:
    if wants_data():
        return problem(403, "head-office-only", "this shows every dealer; your account does not")
    if request.path == "/":
        return make_response(redirect(DEALER_HOME, 303))
    return fault_page(403, text=say("This page shows every dealer; your account shows yours."))


def signed_in() -> bool:
    """Is it a live session of head office? For doors of machines that people may also open."""
    services = portal()
    token = request.cookies.get(session_cookie(), "")
    now_ms = services.clock.wall_ms()
    account = services.accounts.session(token, now_ms=now_ms) if token else None
    return account is not None and account.head_office


def _refuse_other_sites() -> None:
    """A form of another site is refused before its token is even looked at."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
        abort(403)


def _ask_to_sign_in() -> Response:
    if wants_data():
        return problem(401, "sign-in-needed", "sign in first: POST /login")
    target = "/login"
    if request.method == "GET" and request.full_path not in {"/?", HOME + "?"}:
        target = "/login?" + urlencode({"next": request.full_path.removesuffix("?")})
    if request.headers.get("HX-Request"):
        answer = make_response("", 401)
        answer.headers["HX-Redirect"] = "/login"
        return answer
    return make_response(redirect(target, 303))


def local_path(text: str | None) -> str:
    """`text` if it is a path of this hub, else the ledger: no redirect leads elsewhere."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")) or "\n" in text:
        return HOME
    parts = urlsplit(text)
    return text if not parts.netloc and not parts.scheme else HOME


def _landing(account: Account, target: str) -> str:
    """Where they were going, unless that was only the start page of somebody else."""
    return DEALER_HOME if target == HOME and not account.head_office else target


def _welcome(signed_in: SignedIn, target: str) -> Response:
    if g.token:
        # A session never survives a sign-in: whoever planted its token gains nothing.
        portal().accounts.sign_out(g.token)
    session.clear()
    answer = make_response(redirect(_landing(signed_in.account, target), 303))
    answer.set_cookie(
        session_cookie(),
        signed_in.token,
        max_age=SESSION_LIFE_MS // 1000,
        secure=portal().secure,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return answer


def _login_page(status: int = 200, refusal: str | None = None, email: str = "") -> Response:
    html = render_template(
        "portals/login.html",
        refusal=say(REFUSALS[refusal]) if refusal else None,
        ask_code=refusal == "totp_needed",
        email=email,
        target=local_path(request.values.get("next")),
    )
    answer = make_response(html, status)
    if status == 429:
        answer.headers["Retry-After"] = "900"
    return answer


@gate.get("/login")
def login() -> Response:
    """The form; somebody who is signed in is sent on."""
    if g.account is not None:
        target = _landing(g.account, local_path(request.args.get("next")))
        return make_response(redirect(target, 303))
    return _login_page()


@gate.post("/login")
def sign_in() -> Response:
    """E-mail, password and, if set, the TOTP code."""
    form = request.form
    email = form.get("email", "")
    try:
        outcome = portal().accounts.sign_in(
            email,
            form.get("password", ""),
            form.get("totp", ""),
            address=request.remote_addr or "",
            now_ms=g.now_ms,
        )
    except TooBusy:
        return _login_page(503, "busy", email)
    if isinstance(outcome, SignedIn):
        return _welcome(outcome, local_path(form.get("next")))
    status = 429 if outcome == "too_many" else 422
    return _login_page(status, outcome, email)


@gate.get("/login/<token>")
def link(token: str) -> Response:
    """The page of a login link. It changes nothing: a chat's preview opens links too."""
    live = portal().accounts.link_is_open(token, now_ms=g.now_ms)
    return _link_page(200 if live else 410)


def _link_page(status: int, refusal: str | None = None) -> Response:
    html = render_template(
        "portals/link.html",
        live=status != 410,
        action=request.path,
        ask_code=refusal is not None,
        refusal=say(REFUSALS[refusal]) if refusal else None,
    )
    return make_response(html, status)


@gate.post("/login/<token>")
def use_link(token: str) -> Response:
    """The button of that page: uses the link up and opens a session."""
    code = request.form.get("totp", "")
    outcome = portal().accounts.sign_in_by_link(token, code, now_ms=g.now_ms)
    if outcome == "link_unknown":
        return _link_page(410)
    if not isinstance(outcome, SignedIn):
        return _link_page(429 if outcome == "too_many" else 422, outcome)
    # People come in by links as a habit, the hub's own accounts once, to set a password.
    own = outcome.account.person is None and not outcome.account.has_password
    return _welcome(outcome, "/account" if own else HOME)


@gate.post("/language")
def choose_language() -> Response:
    """Remember the reader's language and go back to where they were."""
    language = request.form.get("language", "")
    if language not in LANGUAGES:
        abort(400)
    if g.account is not None:
        portal().accounts.choose_language(g.account.id, language)
    answer = make_response(redirect(local_path(request.form.get("back")), 303))
    answer.set_cookie(
        LANGUAGE_COOKIE,
        language,
        max_age=YEAR_S,
        secure=portal().secure,
        httponly=True,
        samesite="Lax",
    )
    return answer


@own.post("/logout")
def sign_out() -> Response:
    """End this session."""
    portal().accounts.sign_out(g.token)
    session.clear()
    answer = make_response(redirect("/login", 303))
    answer.delete_cookie(session_cookie(), path="/", secure=portal().secure, httponly=True)
    return answer


def _account_page(status: int = 200, **notes: str | None) -> Response:
    secret = session.get("totp_secret")
    qr = None
    if secret and not g.account.has_totp:
        qr = segno.make(totp_uri(secret, g.account.label), error="m").svg_data_uri(scale=4)
    html = render_template(
        "portals/account.html",
        qr=qr,
        secret=secret,
        sessions=portal().accounts.session_count(g.account.id),
        password_chars_min=PASSWORD_CHARS_MIN,
        notes=notes,
    )
    return make_response(html, status)


@own.get("/account")
def account() -> Response:
    """One's own account: password, second factor, sessions."""
    done = {
        "password": say("The new password holds from now on; every other session has ended."),
        "totp": say("From the next sign-in on, the code of your app is asked for."),
        "totp-off": say("The second factor is off."),
        "sessions": say("Every other session has ended."),
    }
    return _account_page(done=done.get(request.args.get("done", "")))


def _confirmed() -> bool:
    """Is it the person who set the password? Somebody at an open screen must not lock them out."""
    if not g.account.has_password:
        return True
    return portal().accounts.password_fits(g.account.id, request.form.get("current", ""))


@own.post("/account/password")
def set_password() -> Response:
    """Set a password, confirmed by the old one if there was one."""
    if not _confirmed():
        return _account_page(422, current=say("That is not your password."))
    wrong = portal().accounts.set_password(g.account, request.form.get("new", ""), token=g.token)
    if wrong is not None:
        return _account_page(422, new=say(PASSWORD_FAULTS[wrong], n=PASSWORD_CHARS_MIN))
    return make_response(redirect("/account?done=password", 303))


@own.post("/account/totp")
def begin_totp() -> Response:
    """Offer a secret; nothing is asked for at sign-in until a code has proven it arrived."""
    if not g.account.has_totp:
        session["totp_secret"] = new_totp_secret()
    return make_response(redirect("/account#totp", 303))


@own.post("/account/totp/confirm")
def confirm_totp() -> Response:
    """Turn the second factor on, if the code proves that the app has the secret."""
    secret = session.get("totp_secret")
    code = request.form.get("totp", "")
    if not secret or g.account.has_totp:
        abort(400)
    if not portal().accounts.set_totp(g.account.id, secret, code, now_ms=g.now_ms):
        return _account_page(422, totp=say("That code does not fit. Is the phone's clock right?"))
    session.pop("totp_secret", None)
    return make_response(redirect("/account?done=totp", 303))


@own.post("/account/totp/remove")
def remove_totp() -> Response:
    """Turn the second factor off, confirmed by the password."""
    if not _confirmed():
        return _account_page(422, remove=say("That is not your password."))
    portal().accounts.remove_totp(g.account.id)
    return make_response(redirect("/account?done=totp-off", 303))


@own.post("/account/sessions")
def end_other_sessions() -> Response:
    """Sign out everywhere else."""
    portal().accounts.sign_out_elsewhere(g.account.id, g.token)
    return make_response(redirect("/account?done=sessions", 303))


@gate.app_errorhandler(CSRFError)
def form_too_old(error: CSRFError) -> Response:
    """A form without a valid token."""
    if wants_data():
        return problem(403, "csrf", error.description or "the form's token is missing or too old")
    return fault_page(403, text=say("The form was open for too long. Go back, reload, try again."))


@own.app_errorhandler(TooBusy)
def too_busy(_: TooBusy) -> Response:
    """More passwords at once than this machine takes."""
    answer = fault_page(503, text=say(BUSY))
    answer.headers["Retry-After"] = "5"
    return answer
