"""``analyzer`` and its toggle.

OpenAlgo has one switch between live and simulated orders for everything. Here each strategy has a
mode of its own, and no script changes it: a toggle that asks for the mode that is in force is
answered, and so is one that asks a strategy on paper to go live, with where the mode is set. A
strategy that trades live and asks for simulated orders is refused, lest it believes to have them.
"""

from typing import Any, Final, TypeVar

from starlette.responses import Response

from algohost.domain.accounts import mode_of
from algohost.domain.errors import Conflict
from algohost.domain.strategies import Mode
from algohost.web.api_v1.answers import MODE, success
from algohost.web.api_v1.call import Call
from algohost.web.api_v1.orders import opened, scope_of
from algohost.web.api_v1.requests import AnalyzerToggle, Asked

M = TypeVar("M", bound=Asked)

_WHERE: Final = (
    "The mode belongs to each strategy and is set on its page or with 'algohost strategy mode', not"
    " by a script."
)


async def analyzer_status(call: Call[Asked]) -> Response:
    """``analyzer``: the mode of whoever asks; ``total_logs`` counts today's orders in scope."""
    return success(data=await _state(call))


async def analyzer_toggle(call: Call[AnalyzerToggle]) -> Response:
    """``analyzer/toggle``: changes nothing; see the module."""
    state = await _state(call)
    wants_analyze = call.asked.mode
    if wants_analyze == state["analyze_mode"]:
        said = f"Already in {state['mode']} mode. {_WHERE}"
    elif state["analyze_mode"]:
        said = f"Orders stay simulated: nothing was switched. {_WHERE}"
    else:
        raise Conflict(
            f"Orders are live, and stay so: nothing was switched. {_WHERE}", code="MODE_FIXED"
        )
    return success(data={**state, "message": said})


async def _state(call: Call[M]) -> dict[str, Any]:
    gateway = await opened(call)
    is_paper = mode_of(call.principal.account_id) is Mode.PAPER
    return {
        "analyze_mode": is_paper,
        "mode": MODE if is_paper else "live",
        "total_logs": len(gateway.orders(scope_of(call.principal))),
    }
