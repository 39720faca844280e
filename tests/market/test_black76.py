"""Prices, greeks and implied volatilities against published values, and against themselves."""

from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.contract_symbols import ContractKind
from algohost.market import black76

CALL, PUT = ContractKind.CE, ContractKind.PE
levels = st.floats(50, 200)
years_left = st.floats(0.002, 3)
rates = st.floats(0, 0.12)
volatilities = st.floats(0.03, 1.5)


def test_a_put_on_crude_oil_costs_what_hull_says() -> None:
    """Hull, "Options, Futures, and Other Derivatives", European futures options: F and K 60,
    four months, 9 % interest, 25 % volatility: 3.35."""
    assert black76.price(PUT, 60, 60, 4 / 12, 0.09, 0.25) == pytest.approx(3.35, abs=0.005)


@pytest.mark.parametrize(("kind", "worth"), [(CALL, 4.76), (PUT, 0.81)])
def test_options_on_the_spot_cost_what_hull_says(kind: ContractKind, worth: float) -> None:
    """Hull's example of the Black–Scholes–Merton formulas: S 42, K 40, 10 %, 20 %, half a year."""
    found = black76.price(kind, 42 * exp(0.1 * 0.5), 40, 0.5, 0.1, 0.2)
    assert found == pytest.approx(worth, abs=0.005)


def test_the_greeks_of_a_call_are_hulls() -> None:
    """Hull's chapter on greeks: S 49, K 50, 5 %, 20 %, 20 weeks: delta 0.522, gamma 0.066, vega
    12.1 for the whole volatility. Ours are by the forward: a rupee of the spot is more of it."""
    years, growth = 0.3846, exp(0.05 * 0.3846)
    found = black76.greeks(CALL, 49 * growth, 50, years, 0.05, 0.2)
    assert found.delta * growth == pytest.approx(0.522, abs=0.0005)
    assert found.gamma * growth**2 == pytest.approx(0.066, abs=0.0005)
    assert found.vega * 100 == pytest.approx(12.1, abs=0.05)


@given(kind=st.sampled_from([CALL, PUT]), forward=levels, strike=levels, years=years_left,
       rate=rates, volatility=volatilities)  # fmt: skip
def test_greeks_are_the_slopes_of_the_price(
    kind: ContractKind,
    forward: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
) -> None:
    """By finite differences, each in its unit."""

    def worth(
        f: float = forward, t: float = years, r: float = rate, v: float = volatility
    ) -> float:
        return black76.price(kind, f, strike, t, r, v)

    found = black76.greeks(kind, forward, strike, years, rate, volatility)
    step, day = 1e-3 * forward * volatility * years**0.5, 1e-3 * years
    slopes = {
        "delta": (worth(f=forward + step) - worth(f=forward - step)) / (2 * step),
        "theta": (worth(t=years - day) - worth(t=years + day)) / (2 * day) / 365,
        "vega": (worth(v=volatility + 1e-5) - worth(v=volatility - 1e-5)) / 2e-5 / 100,
        "rho": (worth(r=rate + 1e-5) - worth(r=rate - 1e-5)) / 2e-5 / 100,
    }
    for name, slope in slopes.items():
        assert getattr(found, name) == pytest.approx(slope, rel=2e-3, abs=1e-5), name
    curve = (worth(f=forward + step) - 2 * worth() + worth(f=forward - step)) / step**2
    assert found.gamma == pytest.approx(curve, rel=2e-2, abs=1e-5)


@given(kind=st.sampled_from([CALL, PUT]), forward=levels, strike=levels, years=years_left,
       rate=rates, volatility=volatilities)  # fmt: skip
def test_a_price_implies_the_volatility_that_it_was_made_with(
    kind: ContractKind,
    forward: float,
    strike: float,
    years: float,
    rate: float,
    volatility: float,
) -> None:
    """Or, where the option has no time value to speak of, one that makes the same price."""
    worth = black76.price(kind, forward, strike, years, rate, volatility)
    found = black76.implied_volatility(kind, worth, forward, strike, years, rate)
    if found is None:
        floor = black76.price(kind, forward, strike, years, rate, 0)
        assert worth == pytest.approx(floor, abs=1e-9)
        return
    again = black76.price(kind, forward, strike, years, rate, found)
    assert again == pytest.approx(worth, abs=1e-8)
    if black76.greeks(kind, forward, strike, years, rate, volatility).vega > 1e-3:
        assert found == pytest.approx(volatility, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "paid"), [(CALL, 9.99), (CALL, 110.0), (CALL, 200.0), (PUT, 0.0), (PUT, 100.0)]
)
def test_prices_that_no_volatility_gives_imply_none(kind: ContractKind, paid: float) -> None:
    assert black76.implied_volatility(kind, paid, 110.0, 100.0, 0.5, 0.0) is None


def test_an_option_that_expires_implies_none_and_is_worth_its_exercise() -> None:
    assert black76.implied_volatility(CALL, 10.0, 110.0, 100.0, 0.0, 0.05) is None
    assert black76.price(CALL, 110.0, 100.0, 0.0, 0.05, 0.2) == 10.0
    assert black76.price(PUT, 110.0, 100.0, 0.0, 0.05, 0.2) == 0.0


@given(kind=st.sampled_from([CALL, PUT]), strike=levels, forwards=st.lists(levels, min_size=1),
       spread=st.floats(0.01, 1))  # fmt: skip
def test_many_prices_are_those_of_each_alone(
    kind: ContractKind, strike: float, forwards: list[float], spread: float
) -> None:
    array = np.array(forwards)
    found = black76.prices(
        kind, array, strike, np.full(len(array), 0.97), np.full(len(array), spread)
    )
    alone = [black76.value(kind, forward, strike, 0.97, spread) for forward in forwards]
    assert found.tolist() == pytest.approx(alone, rel=1e-12, abs=1e-12)
