"""Worker processes by every start method."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor


def square(x):
    return x * x


def facts(_):
    return os.path.basename(sys.argv[0]), __name__ in ("__main__", "__mp_main__"), os.getcwd()


def main():
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print(method, pool.map(square, [1, 2, 3]), pool.map(facts, [0]), flush=True)
    with ProcessPoolExecutor(2) as executor:
        print("executor", list(executor.map(square, [4, 5])))


if __name__ == "__main__":
    main()
