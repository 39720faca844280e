import atexit
import os

atexit.register(print, "never shown")
print("going", flush=True)
os._exit(7)
