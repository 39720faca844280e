"""The master contract: the list of instruments that the paper broker makes each day.

``specs`` and the tables have what there is, ``expiries`` the exchanges' rules, ``chains`` and
``paper`` make the list of a day, ``table`` and ``search`` hold it in columns and search it,
``file`` keeps it on disk, and ``source`` is all of it for the download job.
"""

from algohost.market.contracts.source import PaperContracts

__all__ = ["PaperContracts"]
