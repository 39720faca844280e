"""Limits and the governor's queue: their routes, and what the pages show of them."""

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from algohost.domain.kill_switch import KillScope
from algohost.domain.orders import Product
from algohost.domain.risk import WHOSE, LimitTarget, RiskLimits
from algohost.domain.risk_draft import NAMES
from algohost.domain.users import User
from algohost.host.risk import Standing
from algohost.web.access import Access, HttpEndpoint, Route, host_of, user_of
from algohost.web.answers import done
from algohost.web.bodies import json_as
from algohost.web.shown import iso

if TYPE_CHECKING:
    from algohost.web.services import Host


class _Target(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    scope: str = Field(default=KillScope.ACCOUNT.value, max_length=20)
    id: str = Field(default="", max_length=120)


class _Limits(_Target):
    limits: dict[str, Any]


# ---- in JSON values


def limits_json(limits: RiskLimits) -> dict[str, Any]:
    """Every limit by its name; ``null``, or an empty list, where it is not set."""
    return {
        "most_quantity": limits.most_quantity,
        "most_value": _money(limits.most_value),
        "most_open_orders": limits.most_open_orders,
        "most_orders_a_day": limits.most_orders_a_day,
        "most_daily_loss": _money(limits.most_daily_loss),
        "price_band_percent": _money(limits.price_band_percent),
        "symbols": list(limits.symbols),
        "products": [one.value for one in limits.products],
        "stops_at_loss": limits.stops_at_loss,
    }


def standing_json(host: "Host", user: User, standing: Standing) -> dict[str, Any]:
    """A target's limits, with what it has done today, and whether the user may set them."""
    target, facts, known = standing.target, standing.facts, standing.limits
    sees_today = user.is_admin or target.scope is not KillScope.HOST  # the host's are everybody's
    return {
        "scope": target.scope.value,
        "id": target.id,
        "whose": WHOSE[target.scope],
        "is_set": known is not None,
        "limits": limits_json(RiskLimits() if known is None else known.limits),
        "by": None if known is None else known.by,
        "at": None if known is None else iso(known.at),
        "may_set": host.risk.may_set(user, target),
        "open_orders": facts.open_orders if sees_today else None,
        "orders_today": facts.orders_today if sees_today else None,
        "pnl": str(standing.pnl) if sees_today else None,
        "loss_reached": None
        if facts.loss is None
        else {"at": iso(facts.loss.at), "lost": str(facts.loss.lost)},
    }


async def target_json(host: "Host", user: User, target: LimitTarget) -> dict[str, Any]:
    """A target and what is above it, and what limits refused of it lately."""
    risk = host.risk
    sees = user.is_admin or target.scope is not KillScope.HOST
    events = await run_in_threadpool(risk.events, target) if sees else ()
    return {
        "target": standing_json(host, user, risk.standing(target)),
        "above": [standing_json(host, user, risk.standing(one)) for one in risk.above(target)],
        "events": [
            {"at": iso(one.at), "kind": one.kind, "sentence": one.sentence} for one in events
        ],
        "names": dict(NAMES),
        "products": [one.value for one in Product],
    }


def queues_json(host: "Host", user: User) -> list[dict[str, Any]]:
    """What waits for its turn in the accounts that are the user's, the longest wait first."""
    theirs = host.risk.accounts_of(user)
    return [
        {
            "account_id": one.account_id,
            "exchange": one.exchange.value,
            "per_second": one.per_second,
            "waiting": one.waiting,
            "exits": one.exits,
            "oldest_seconds": round(one.oldest_seconds, 3),
            "refused": one.refused,
        }
        for one in host.governor.queues()
        if one.account_id in theirs
    ]


# ---- routes


async def show(request: Request) -> Response:
    """``GET /api/risk``: everything with limits that concerns the asker, and what waits."""
    host, user = host_of(request), user_of(request)
    found = [standing_json(host, user, one) for one in host.risk.standings(user)]
    return done("", limits=found, queues=queues_json(host, user))


async def show_one(request: Request) -> Response:
    """``GET /api/risk/target?scope=&id=``: one target, what is above it, and its refusals."""
    host, user = host_of(request), user_of(request)
    asked = request.query_params
    scope = asked.get("scope", KillScope.ACCOUNT.value)
    target = host.risk.target(user, scope, asked.get("id", ""))
    return done("", **await target_json(host, user, target))


async def put(request: Request) -> Response:
    """``POST /api/risk/set`` with ``{scope?, id?, limits}``: what is named changes, or goes."""
    body = await json_as(request, _Limits)
    host, user = host_of(request), user_of(request)
    target = host.risk.target(user, body.scope, body.id)
    standing = await host.risk.put(user, target, body.limits)
    message = f"The limits of {WHOSE[target.scope]} hold from now on."
    return done(message, target=standing_json(host, user, standing))


async def clear(request: Request) -> Response:
    """``POST /api/risk/clear`` with ``{scope?, id?}``: all limits of the target go."""
    body = await json_as(request, _Target)
    host, user = host_of(request), user_of(request)
    target = host.risk.target(user, body.scope, body.id)
    standing = await host.risk.clear(user, target)
    message = f"{WHOSE[target.scope].capitalize()} has no limits of its own any more."
    return done(message, target=standing_json(host, user, standing))


async def queues(request: Request) -> Response:
    """``GET /api/governor``: what waits for its turn in the asker's accounts."""
    host, user = host_of(request), user_of(request)
    return done("", queues=queues_json(host, user))


def _money(amount: object) -> str | None:
    return None if amount is None else str(amount)


def _route(method: str, path: str, endpoint: HttpEndpoint) -> Route:
    return Route(
        method=method, path=path, endpoint=endpoint, access=Access.USER, max_body_bytes=32_768
    )


ROUTES: Final[list[Route]] = [
    _route("GET", "/api/risk", show),
    _route("GET", "/api/risk/target", show_one),
    _route("POST", "/api/risk/set", put),
    _route("POST", "/api/risk/clear", clear),
    _route("GET", "/api/governor", queues),
]
