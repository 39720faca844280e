"""The paper exchange: matching, margins and the ledger of one account.

Pure: every function is given what it needs (an order, a quote, an instant) and returns events.
It reads no clock, opens no file but its own table of rates, and awaits nothing. What happened is
the sequence of events; what is true is their fold.

    orders and quotes ──▶ rules, matching ──▶ events ──▶ AccountState.apply ──▶ day views
                            (decide)          (facts)        (fold)
"""
