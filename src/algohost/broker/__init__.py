"""The gateway, the one door of every order, and the brokers behind it.

gateway ──▶ journal (intent) ──▶ broker port ──▶ paper broker ──▶ exchange (decides)
   ▲                                               │
   └──── orders, after they are durable ◀──────────┴──▶ journal (events)
"""
