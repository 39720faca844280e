"""The six digits of each account in its order and trade numbers: no two accounts share them."""

from algohost.domain.ids import AccountId
from algohost.exchange.numbers import ACCOUNT_NUMBERS, preferred_account_number


class AccountNumbers:
    """Which number is whose, of paper and live accounts alike."""

    def __init__(self) -> None:
        self._whose: dict[int, AccountId] = {}

    def has(self, account_id: AccountId, number: int) -> None:
        """Takes in the number that an account has since it was opened first."""
        self._whose[number] = account_id

    def new_for(self, account_id: AccountId) -> int:
        """The number of a new account: the one that it prefers, or the next that is free."""
        number = preferred_account_number(account_id)
        while self._whose.get(number, account_id) != account_id:
            number = (number + 1) % ACCOUNT_NUMBERS
        self._whose[number] = account_id
        return number
