"""What a user means by a scope and an id, and what of it is theirs."""

from collections.abc import Collection

from algohost.domain.accounts import is_account_of
from algohost.domain.errors import Invalid, NotFound
from algohost.domain.kill_switch import WHOLE_HOST, KillScope, KillTarget
from algohost.domain.users import User, paper_account
from algohost.host.registry import Registry


def target_of(
    user: User,
    scope: str,
    id_: str,
    *,
    registry: Registry,
    accounts: Collection[str],
    what: str,
) -> KillTarget:
    """The target of a kill switch or of limits; ``account`` without an id is the user's own.

    ``accounts`` may be meant: those that there are, and those removed for which something is set
    yet. ``what`` is named in the refusals. Raises ``Invalid`` for a scope that there is not, and
    ``NotFound`` for what is not theirs; the whole host is anybody's to name.
    """
    if scope not in set(KillScope):
        known = ", ".join(KillScope)
        raise Invalid(f"“{scope[:20]}” is not a scope of {what}; use {known}.")
    match KillScope(scope):
        case KillScope.HOST:
            return WHOLE_HOST
        case KillScope.ACCOUNT:
            found = KillTarget(scope=KillScope.ACCOUNT, id=id_ or paper_account(user))
        case KillScope.STRATEGY:
            found = KillTarget(scope=KillScope.STRATEGY, id=id_)
    is_known = found.scope is KillScope.STRATEGY or found.id in accounts
    if not is_known or not concerns(user, found, registry=registry):
        raise NotFound(f"There is no such {scope}; it may have been deleted.", code="NO_TARGET")
    return found


def concerns(user: User, target: KillTarget, *, registry: Registry) -> bool:
    """Whether what holds for the target holds for the user; an administrator sees all."""
    match target.scope:
        case KillScope.HOST:
            return True
        case KillScope.ACCOUNT:
            return user.is_admin or is_account_of(target.id, user.id)
        case KillScope.STRATEGY:
            view = registry.find(target.id)
            return view is not None and (user.is_admin or view.strategy.owner_id == user.id)
