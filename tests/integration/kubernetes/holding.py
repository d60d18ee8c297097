"""A process that takes a lease and answers whether it holds it: `python holding.py kubernetes|gs PLACE NAME`.

It prints `holding`; then for each line of its input `True` or `False`. At the end of its input it releases the lease.
"""

from __future__ import annotations

import sys

from thundercast.adapters.locks import Elector, Timing

TIMING = Timing(duration=4.5, renew=3.5, retry=0.4)


def open_lease(kind: str, place: str, name: str) -> Elector:
    # Each of the clients takes a second or two to import.
    if kind == "kubernetes":
        from thundercast.adapters.kubernetes.lease import KubernetesLease

        return KubernetesLease(place, name, timing=TIMING)
    from thundercast.adapters.google.storage_lock import StorageLock

    return StorageLock(place, name, timing=TIMING)


def main() -> None:
    lease = open_lease(*sys.argv[1:])
    while not lease.acquire(1.0):
        pass
    print("holding", flush=True)
    for _ in sys.stdin:
        print(lease.held(), flush=True)
    lease.release()


if __name__ == "__main__":
    main()
