"""The audit's chain, and how far the journals beside it have been taken into it.

What people do is added by the transaction that does it, so neither is there without the other.
Orders, starts and stops have journals of their own, written when every millisecond counts: they
are taken in afterwards, in order and once.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Integer,
    Label,
    RowMapping,
    Table,
    func,
    insert,
    literal_column,
    select,
)

from algohost.domain.audit import Detail, Entry, Link, linked
from algohost.store.tables import intents
from algohost.store.trading_tables import audit, audit_positions, order_intents, order_journal
from algohost.store.types import insertion, utc_text

_PAGE: Final = 1_000
_INSERT: Final = insertion(audit)
_TAKEN_IN: Final = """
    SELECT a.number, a.account, a.journal, a.digest, j.body FROM (
        SELECT number, json_extract(detail, '$.account') AS account,
               json_extract(detail, '$.journal') AS journal,
               json_extract(detail, '$.sha256') AS digest
        FROM audit WHERE number > ? ORDER BY number LIMIT ?
    ) AS a LEFT JOIN order_journal AS j ON j.account_id = a.account AND j.number = a.journal
    ORDER BY a.number
"""
_OF_ACCOUNTS: Final = ("account_", "cash_", "gtt_")
_ROW: Final[Label[int]] = literal_column("rowid", Integer).label(
    "row"
)  # grows with every insert: nothing is deleted


@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """Whether order facts are what the chain says of them."""

    last: int | None
    """The last link that was looked at; ``None`` where there was none."""
    problem: str | None = None
    """A sentence about the first that is not."""


def append(connection: Connection, *entries: Entry) -> None:
    """Adds entries to the end of the chain, in the transaction of what they tell."""
    last, rows = newest(connection), []
    for entry in entries:
        last = linked(_fitting(entry), after=last)
        rows.append(_values(last))
    if rows:
        connection.exec_driver_sql(_INSERT, rows)  # past the types: orders wait for this writer


def note(
    connection: Connection,
    act: str,
    *,
    at: datetime,
    by: str,
    subject: str = "",
    **detail: Detail,
) -> None:
    """Adds one entry; never give it a secret's value."""
    append(connection, Entry(at=at, by=by, act=act, subject=subject, detail=detail))


def newest(connection: Connection) -> Link | None:
    """The end of the chain; its hash is what to keep elsewhere."""
    row = connection.execute(select(audit).order_by(audit.c.number.desc()).limit(1))
    found = row.mappings().first()
    return None if found is None else _link(found)


def page(
    connection: Connection,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int = _PAGE,
    subject: str = "",
) -> Sequence[Link]:
    """Links with numbers above ``after``, oldest first; or the newest below ``before``."""
    chosen = select(audit).where(audit.c.number > after)
    if before is not None:
        chosen = chosen.where(audit.c.number < before)
    if subject:
        chosen = chosen.where(audit.c.subject == subject)
    is_backwards = before is not None
    order = audit.c.number.desc() if is_backwards else audit.c.number
    rows = connection.execute(chosen.order_by(order).limit(limit)).mappings().all()
    return [_link(row) for row in (reversed(rows) if is_backwards else rows)]


def whole(connection: Connection) -> Iterator[Link]:
    """The chain from its beginning."""
    after = 0
    while links := page(connection, after=after):
        yield from links
        after = links[-1].number


# ---- journals that are taken in


def is_behind(connection: Connection) -> bool:
    """Whether a journal has entries that the chain does not have yet."""
    at = _positions(connection)
    return any(
        (connection.execute(select(func.max(literal_column("rowid"))).select_from(table)).scalar()
         or 0) > at.get(name, 0)
        for name, (table, _) in _SOURCES.items()
    )  # fmt: skip


def take_in(connection: Connection, *, limit: int = _PAGE) -> int:
    """Adds the journals' next entries to the chain; returns how many it read, ``limit`` at most."""
    at = _positions(connection)
    entries: list[Entry | None] = []
    for name in _SOURCES:
        room = limit - len(entries)
        rows = _rows_of(connection, name, at.get(name, 0), room) if room else []
        if not rows:
            continue
        entries += [entry for _, entry in rows]
        known = audit_positions.c.source == name
        connection.execute(audit_positions.delete().where(known))
        connection.execute(insert(audit_positions).values(source=name, position=rows[-1][0]))
    append(connection, *(entry for entry in entries if entry is not None))
    return len(entries)


def taken_in_is_unchanged(connection: Connection, *, after: int, limit: int = _PAGE) -> Unchanged:
    """Looks at the order facts of the ``limit`` links above ``after``."""
    rows = connection.exec_driver_sql(_TAKEN_IN, (after, limit)).all()
    for number, account, journal, digest, body in rows:
        if journal is not None and (body is None or _sha256(json.loads(body)) != digest):
            return Unchanged(
                last=number,
                problem=f"Entry {journal} in the order journal of account {account} is not what"
                f" link {number} of the audit says of it.",
            )
    return Unchanged(last=rows[-1][0] if rows else None)


def _positions(connection: Connection) -> dict[str, int]:
    rows = connection.execute(select(audit_positions)).mappings()
    return {row["source"]: row["position"] for row in rows}


def _rows_of(
    connection: Connection, name: str, position: int, limit: int
) -> list[tuple[int, Entry | None]]:
    table, read = _SOURCES[name]
    chosen = select(_ROW, table).where(literal_column("rowid") > position).order_by(_ROW)
    rows = connection.execute(chosen.limit(limit)).mappings()
    return [(row["row"], read(row)) for row in rows]


def _start_or_stop(row: RowMapping) -> Entry | None:
    if row["number"] == 0:  # a new strategy's: nobody has stopped it
        return None
    act = {"running": "start_wanted", "stopped": "stop_wanted"}.get(row["wanted"], row["wanted"])
    return Entry(at=row["at"], by=row["by"], act=act, subject=row["strategy_id"])


def _order_sent(row: RowMapping) -> Entry:
    body = row["body"]
    return Entry(
        at=datetime.fromisoformat(body["placed_at"]), by=_owner(body),
        act="order_intended", subject=row["order_id"],
        detail={"account": row["account_id"], "order": _in_words(body["request"])},
    )  # fmt: skip


def _order_fact(row: RowMapping) -> Entry:
    body: dict[str, Any] = row["body"]
    order, kind = body.get("order") or {}, row["kind"].replace("-", "_")
    detail: dict[str, Detail] = {
        "account": row["account_id"],
        "journal": row["number"],
        "sha256": _sha256(body),
    }
    if request := order.get("request") or body.get("request"):
        detail["order"] = _in_words(request)
        if request.get("label"):
            detail["label"] = str(request["label"])[:80]
    if reason := order.get("reason") or body.get("reason"):
        detail["reason"] = str(reason)[:200]
    if "price" in body and "quantity" in body:
        detail["filled"] = f"{body['quantity']} at {body['price']}"
    gtt = body.get("gtt_id") or (body.get("id") if kind.startswith("gtt_") else None)
    whose = _owner(body if gtt and "strategy_id" in body else order)
    return Entry(
        at=row["at"],
        by=body.get("by") or whose or f"account:{row['account_id']}",
        act=kind if kind.startswith(_OF_ACCOUNTS) else f"order_{kind}",
        subject=str(gtt or order.get("id") or body.get("order_id") or row["account_id"]),
        detail=detail,
    )


_SOURCES: Final[Mapping[str, tuple[Table, Callable[[RowMapping], Entry | None]]]] = {
    "intents": (intents, _start_or_stop),
    "order_intents": (order_intents, _order_sent),
    "order_journal": (order_journal, _order_fact),
}


def _owner(order: Mapping[str, Any]) -> str:
    """Whose an order or a GTT is; empty where there is none."""
    if strategy := order.get("strategy_id"):
        return f"strategy:{strategy}"
    return f"account:{order['account_id']}" if "account_id" in order else ""


def _in_words(request: Mapping[str, Any]) -> str:
    parts = (request["action"], request["quantity"], f"{request['exchange']}:{request['symbol']}")
    return " ".join(
        str(part)
        for part in (*parts, request.get("price_type", ""), request.get("price", ""),
                     request.get("product", ""))
        if part not in {"", "0"}
    )  # fmt: skip


def _sha256(body: object) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _fitting(entry: Entry) -> Entry:
    """As the columns can hold it: what is hashed is what is kept."""
    by, act, subject = entry.by[:120], entry.act[:40], entry.subject[:120]
    return Entry(at=entry.at, by=by, act=act, subject=subject, detail=entry.detail)


def _values(link: Link) -> tuple[object, ...]:
    """In the order of the columns, as they lie in them."""
    entry = link.entry
    return (
        link.number, utc_text(entry.at), entry.by, entry.act, entry.subject,
        json.dumps(dict(entry.detail)), link.previous, link.hash,
    )  # fmt: skip


def _link(row: RowMapping) -> Link:
    entry = Entry(
        at=row["at"], by=row["by"], act=row["act"], subject=row["subject"], detail=row["detail"]
    )
    return Link(number=row["number"], entry=entry, previous=row["previous"], hash=row["hash"])
