"""The brokers that come with the host do what every broker must."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal

import pytest

from algohost.broker.accounts import PaperBrokers
from algohost.broker.kinds import GROUP, BrokerKind, broker_kinds
from algohost.domain.strategies import Mode
from algohost.market.synthetic import SyntheticMarket
from algohost.testing.broker_conformance import BrokerCase, BrokerConformance
from algohost.testing.clock import FakeClock
from algohost.testing.journal import MemoryJournal
from tests.api.served import MONDAY_0930, Served, running
from tests.exchange.desk import ACCOUNT
from tests.live.world import LIVE, SBIN, living


class TestPaper(BrokerConformance):
    """The paper exchange over a synthetic market."""

    def case(self) -> AbstractAsyncContextManager[BrokerCase]:
        """As ``BrokerConformance.case``."""
        return _paper()


@asynccontextmanager
async def _paper() -> AsyncIterator[BrokerCase]:
    clock, journal = FakeClock(MONDAY_0930), MemoryJournal()
    market = SyntheticMarket(clock, seed=7)
    market.tick()
    brokers = PaperBrokers(journal=journal, market=market)
    low = market.quote(SBIN).low
    yield BrokerCase(
        account_id=ACCOUNT,
        open=lambda: brokers.open(ACCOUNT),
        journal=journal,
        clock=clock,
        key=SBIN,
        quantity=3,
        resting_price=(low * Decimal("0.97")).quantize(Decimal("0.1")),
        other_price=(low * Decimal("0.98")).quantize(Decimal("0.1")),
    )


class TestOpenAlgo(BrokerConformance):
    """A live account behind another server of ours."""

    served: Served

    @pytest.fixture(autouse=True)
    def _a_server(self) -> Iterator[None]:
        with running() as self.served:
            yield

    def case(self) -> AbstractAsyncContextManager[BrokerCase]:
        """As ``BrokerConformance.case``."""
        return _openalgo(self.served)


@asynccontextmanager
async def _openalgo(served: Served) -> AsyncIterator[BrokerCase]:
    low = served.do(lambda: served.host.market.quote(SBIN).low)
    async with living(served) as world:
        yield BrokerCase(
            account_id=LIVE,
            open=lambda: world.open_broker(LIVE),
            journal=world.journal,
            clock=world.clock,
            key=SBIN,
            quantity=3,
            resting_price=(low * Decimal("0.97")).quantize(Decimal("0.1")),
            other_price=(low * Decimal("0.98")).quantize(Decimal("0.1")),
        )


def test_the_brokers_that_come_with_the_host_are_registered() -> None:
    kinds = broker_kinds()
    assert {name: kind.mode for name, kind in kinds.items()} == {
        "paper": Mode.PAPER,
        "openalgo": Mode.LIVE,
    }
    assert all(isinstance(kind, BrokerKind) for kind in kinds.values())
    assert GROUP == "algohost.brokers"


def test_a_broker_that_cannot_be_loaded_is_left_out_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Point:
        name, value = "broken", "nowhere:KIND"

        def load(self) -> object:
            raise ImportError("No module named nowhere")

    monkeypatch.setattr("algohost.broker.kinds.entry_points", lambda group: [Point()])
    assert set(broker_kinds()) == {"paper", "openalgo"}
    assert "broker_not_loaded name=broken" in caplog.text
