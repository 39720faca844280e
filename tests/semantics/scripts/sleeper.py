"""Says when it is up, then sleeps until a signal comes."""

import time

print("up", flush=True)
time.sleep(60)
