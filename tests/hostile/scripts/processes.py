"""What a strategy does that may start processes."""

import json
import multiprocessing
import multiprocessing.shared_memory
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def square(number: int) -> int:
    return number * number


def workers(method: str) -> str:
    with multiprocessing.get_context(method).Pool(2) as pool:
        return str(pool.map(square, [1, 2, 3]))


def main() -> None:
    results = {method: workers(method) for method in ("fork", "spawn", "forkserver")}
    with ProcessPoolExecutor(2) as executor:
        results["executor"] = str(list(executor.map(square, [4, 5])))
    with multiprocessing.Manager() as manager:
        results["manager"] = str(dict(manager.dict(a=1)))
    memory = multiprocessing.shared_memory.SharedMemory(create=True, size=64)
    assert memory.buf is not None
    memory.buf[:2] = b"ab"
    results["memory"] = bytes(memory.buf[:2]).decode()
    results["shared"] = str(sorted(path.name[:4] for path in Path("/dev/shm").iterdir()))
    memory.close()
    memory.unlink()
    command = [sys.executable, "-c", "import pandas; print(pandas.DataFrame([1]).sum()[0])"]
    results["program"] = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    results["shell"] = subprocess.getoutput("echo $((1 + 1)); cat /etc/shadow 2>&1 | tail -c 18")
    sleeper = subprocess.Popen(["sleep", "60"])
    sleeper.terminate()
    results["ended"] = str(sleeper.wait())
    print("RESULTS " + json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
