"""Words and rules of algohost, pure: no input or output, no clock, no asyncio.

Everything here decides or describes; nothing here acts. The other packages import it,
it imports none of them.
"""
