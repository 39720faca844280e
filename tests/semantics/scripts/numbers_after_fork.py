"""Linear algebra, a frame and a small service loop, all after the fork."""

import asyncio
import os

import numpy
import pandas

square = numpy.arange(90000.0).reshape(300, 300)
print("product", float((square @ square)[0, 0]))
frame = pandas.DataFrame({"close": range(100)})
print("mean", frame["close"].ewm(span=5).mean().iloc[-1].round(6))


async def main():
    await asyncio.sleep(0.001)
    reader, writer = await asyncio.create_subprocess_exec(
        "echo", "child", stdout=asyncio.subprocess.PIPE
    ), None
    print("echo", await reader.stdout.read(), await reader.wait())
    return await asyncio.to_thread(os.getpid) == os.getpid()


print("asyncio", asyncio.run(main()))
