"""How the list of instruments of each broker stood when it last changed."""

from sqlalchemy import Connection, select

from algohost.domain.master_contracts import ContractReport, ContractStatus
from algohost.store.trading_tables import master_contract_status


def put(connection: Connection, report: ContractReport) -> None:
    """Keeps a report, instead of the broker's earlier one."""
    table = master_contract_status
    connection.execute(table.delete().where(table.c.broker == report.broker))
    connection.execute(
        table.insert().values(
            broker=report.broker,
            status=report.status.value,
            message=report.message[:500],
            last_updated=report.last_updated,
            total_symbols=report.total_symbols,
            is_ready=report.is_ready,
        )
    )


def of(connection: Connection, broker: str) -> ContractReport | None:
    """The report that was kept last, if there is one."""
    table = master_contract_status
    row = connection.execute(select(table).where(table.c.broker == broker)).mappings().first()
    if row is None:
        return None
    return ContractReport(
        broker=row["broker"],
        status=ContractStatus(row["status"]),
        message=row["message"],
        last_updated=row["last_updated"],
        total_symbols=row["total_symbols"],
        is_ready=row["is_ready"],
    )
