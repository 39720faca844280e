"""The JSON routes of accounts, and of the account and mode of a strategy.

No answer ever holds an API key, nor a refusal what was sent as one.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.accounts import OPENALGO, PAPER, Account
from algohost.domain.errors import AlgohostError, Invalid
from algohost.domain.money import format_inr
from algohost.domain.strategies import Mode
from algohost.domain.users import User
from algohost.host.views import StrategyView
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as
from algohost.web.pages import inner_page
from algohost.web.rows import rows
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host

_MOST_CASH: Final = Decimal(10**12)
PAGE: Final = "/accounts"
"""Where a form's page goes on after it was sent."""
_MODE_WORDS: Final = {Mode.PAPER: "paper", Mode.LIVE: "live, with real money"}


class NewAccount(BaseModel):
    """What a new account is made of; addresses and key are of live ones."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: str = Field(max_length=200)
    broker: str = Field(default=OPENALGO, max_length=40)
    base_url: str = Field(default="", max_length=400)
    feed_url: str = Field(default="", max_length=400)
    api_key: str = Field(default="", max_length=400, repr=False)


class NamedAccount(BaseModel):
    """An account, by its id or its name; and what is to be changed of it."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: str = Field(max_length=100)
    name: str = Field(default="", max_length=200)
    api_key: str = Field(default="", max_length=400, repr=False)


class FreshAccount(BaseModel):
    """A paper account that is to begin anew, with rupees as text; with its opening cash without."""

    model_config = ConfigDict(frozen=True, strict=True)

    id: str = Field(max_length=100)
    cash: str = Field(default="", max_length=40)


class NewMode(BaseModel):
    """Where a strategy's orders are to go."""

    model_config = ConfigDict(frozen=True, strict=True)

    mode: str = Field(default="", max_length=10)
    """``paper`` or ``live``; empty for that of the account."""
    account: str = Field(default="", max_length=100)
    confirmation: str = Field(default="", max_length=200)


def account_json(host: "Host", account: Account) -> dict[str, Any]:
    """An account in JSON values, without its key."""
    return {
        "id": account.id,
        "name": account.name,
        "broker": account.broker,
        "mode": account.mode.value,
        "base_url": account.base_url,
        "feed_url": account.feed_url,
        "is_disabled": account.disabled_at is not None,
        "created_at": iso(account.created_at),
        "strategies": list(host.accounts.strategies_in(account.id)),
    }


def accounts_json(host: "Host", user: User) -> list[dict[str, Any]]:
    """The user's accounts, the first paper one before all others."""
    return [account_json(host, one) for one in host.accounts.list(user)]


async def added(host: "Host", user: User, asked: NewAccount) -> Account:
    """A new account, paper or live. Raises as ``Accounts.add_paper`` and ``add_live``."""
    if asked.broker == PAPER:
        return await host.accounts.add_paper(user, asked.name)
    return await host.accounts.add_live(
        user,
        asked.name,
        broker=asked.broker,
        base_url=asked.base_url,
        feed_url=asked.feed_url,
        api_key=asked.api_key,
    )


async def tested(host: "Host", user: User, account_id: str) -> dict[str, Any]:
    """What a live account's server says now. Raises ``Invalid``, ``Unavailable``."""
    account = host.accounts.get(user, account_id)
    standing = await host.live_gate.standing(account)
    reach = (
        "It is in its own analyzer mode: what it takes reaches no exchange."
        if standing.is_analyzing
        else "It trades live: what it takes reaches the exchange."
    )
    return {
        "account": account_json(host, account),
        "broker": standing.broker,
        "is_analyzing": standing.is_analyzing,
        "available": f"{standing.available:.2f}",
        "sentence": f"{account.name}: the server answers, logged in to {standing.broker}. {reach}",
    }


async def begun_anew(host: "Host", user: User, asked: FreshAccount) -> str:
    """Resets a paper account and says so. Raises ``Conflict`` for a live one, ``Invalid``."""
    cash = _rupees(asked.cash)
    account = await host.accounts.note_reset(user, asked.id)
    funds = await host.gateway.reset(account.id, cash)
    return f"“{account.name}” begins anew with {format_inr(funds.cash)}."


def _rupees(text: str) -> Decimal | None:
    try:
        cash = Decimal(text) if text else None
    except ArithmeticError:
        cash = Decimal("NaN")
    if cash is not None and not (cash.is_finite() and 0 <= cash <= _MOST_CASH):
        raise Invalid(
            f"“{text}” is no cash to begin with; give rupees from 0 to {format_inr(_MOST_CASH)}.",
            code="BAD_CASH",
        )
    return cash


async def moved(host: "Host", user: User, strategy_id: str, asked: NewMode) -> StrategyView:
    """Has a strategy trade on paper or live. Raises as ``Modes``."""
    if not asked.mode and asked.account:
        account = host.accounts.get(user, asked.account)
        return await host.modes.put_in(
            user, strategy_id, account.id, confirmation=asked.confirmation
        )
    if asked.mode == Mode.LIVE.value:
        return await host.modes.to_live(
            user, strategy_id, account_id=asked.account, confirmation=asked.confirmation
        )
    if asked.mode != Mode.PAPER.value:
        raise _no_mode(asked.mode)
    if not asked.account:
        return await host.modes.to_paper(user, strategy_id)
    account = host.accounts.get(user, asked.account)
    if account.mode is not Mode.PAPER:
        raise _no_mode(f"paper in {account.name}")
    return await host.modes.put_in(user, strategy_id, account.id)


def mode_json(host: "Host", view: StrategyView) -> dict[str, Any]:
    """Where a strategy's orders go, and the sentence that says so."""
    strategy = view.strategy
    account = host.accounts.find(strategy.account)
    words = _MODE_WORDS.get(strategy.mode, strategy.mode.value)
    return {
        "mode": strategy.mode.value,
        "account": account_json(host, account),
        "sentence": f"“{strategy.name}” trades {words}, in the account “{account.name}”.",
    }


# ---- routes


async def page(request: Request) -> Response:
    """``GET /accounts``: all of it on one page; ``?test=ID`` asks a live account's server."""
    host, user = host_of(request), user_of(request)
    verdict, account_id = "", request.query_params.get("test", "")
    if account_id:
        try:
            verdict = (await tested(host, user, account_id))["sentence"]
        except AlgohostError as error:
            verdict = error.message
    mine = [v for v in host.strategies.list(user) if v.strategy.owner_id == user.id]
    return inner_page(
        request,
        "accounts.html",
        nav="accounts",
        accounts=accounts_json(host, user),
        strategies=rows(mine, host),
        verdict=verdict,
    )


async def list_accounts(request: Request) -> Response:
    """``GET /api/accounts``."""
    return done("", accounts=accounts_json(host_of(request), user_of(request)))


async def add(request: Request) -> Response:
    """``POST /api/accounts`` with ``{name, broker, base_url?, feed_url?, api_key?}``."""
    host, user = host_of(request), user_of(request)
    account = await added(host, user, await json_as(request, NewAccount))
    return done(
        f"The account “{account.name}” was added.",
        account=account_json(host, account),
        next=PAGE,
    )


async def rename(request: Request) -> Response:
    """``POST /api/accounts/rename`` with ``{id, name}``."""
    host, user, asked = await _asked(request)
    account = await host.accounts.rename(user, asked.id, asked.name)
    return _told(host, user, f"The account is called “{account.name}” now.")


async def set_key(request: Request) -> Response:
    """``POST /api/accounts/key`` with ``{id, api_key}``; never shown again."""
    host, user, asked = await _asked(request)
    account = await host.accounts.set_key(user, asked.id, asked.api_key)
    return _told(host, user, f"The API key of “{account.name}” was set.")


async def disable(request: Request) -> Response:
    """``POST /api/accounts/disable`` with ``{id}``: no starts, no new orders."""
    host, user, asked = await _asked(request)
    account = await host.accounts.disable(user, asked.id)
    return _told(host, user, f"“{account.name}” takes no new orders, and nothing starts in it.")


async def enable(request: Request) -> Response:
    """``POST /api/accounts/enable`` with ``{id}``."""
    host, user, asked = await _asked(request)
    account = await host.accounts.enable(user, asked.id)
    return _told(host, user, f"“{account.name}” is enabled; what waits for it starts by itself.")


async def reset(request: Request) -> Response:
    """``POST /api/accounts/reset`` with ``{id, cash?}``: a paper account begins anew."""
    host, user = host_of(request), user_of(request)
    said = await begun_anew(host, user, await json_as(request, FreshAccount))
    return _told(host, user, said)


async def remove(request: Request) -> Response:
    """``POST /api/accounts/remove`` with ``{id}``; 409 while it is used."""
    host, user, asked = await _asked(request)
    await host.accounts.remove(user, asked.id)
    return _told(host, user, "The account was removed; its orders stay on record.")


async def test(request: Request) -> Response:
    """``POST /api/accounts/test`` with ``{id}``: asks a live account's server how it stands."""
    host, user, asked = await _asked(request)
    found = await tested(host, user, asked.id)
    return done(found.pop("sentence"), **found)


async def mode(request: Request) -> Response:
    """``GET /python/mode/<id>``."""
    host = host_of(request)
    view = host.strategies.get(user_of(request), request.path_params["strategy_id"])
    return done("", **mode_json(host, view))


async def set_mode(request: Request) -> Response:
    """``POST /python/mode/<id>`` with ``{mode, account?, confirmation?}``.

    For ``live`` the confirmation is the strategy's name. 409 while it runs.
    """
    asked = await json_as(request, NewMode)
    host, user = host_of(request), user_of(request)
    view = await moved(host, user, request.path_params["strategy_id"], asked)
    told = mode_json(host, view)
    return done(told.pop("sentence"), **told, next=PAGE)


async def _asked(request: Request) -> tuple["Host", User, NamedAccount]:
    return host_of(request), user_of(request), await json_as(request, NamedAccount)


def _told(host: "Host", user: User, message: str) -> Response:
    return done(message, accounts=accounts_json(host, user), next=PAGE)


def _no_mode(word: str) -> Invalid:
    return Invalid(f"“{word[:60]}” is not a mode; use paper or live.", code="BAD_MODE")


def _user(method: str, path: str, endpoint: HttpEndpoint) -> Route:
    return Route(
        method=method, path=path, endpoint=endpoint, access=Access.USER, max_body_bytes=4_096
    )


def _owner(method: str, path: str, endpoint: HttpEndpoint) -> Route:
    return Route(
        method=method, path=path, endpoint=endpoint, access=Access.OWNER, max_body_bytes=4_096
    )


_COMMANDS: Final[dict[str, Callable[[Request], Awaitable[Response]]]] = {
    "": add,
    "/rename": rename,
    "/key": set_key,
    "/disable": disable,
    "/enable": enable,
    "/remove": remove,
    "/reset": reset,
    "/test": test,
}

ROUTES: Final[list[Route]] = [
    _user("GET", PAGE, page),
    _user("GET", "/api/accounts", list_accounts),
    *(_user("POST", f"/api/accounts{name}", act) for name, act in _COMMANDS.items()),
    _owner("GET", "/python/mode/{strategy_id}", mode),
    _owner("POST", "/python/mode/{strategy_id}", set_mode),
]
