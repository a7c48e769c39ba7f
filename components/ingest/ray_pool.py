"""The same work on Ray: on this machine, or on the cluster that GRIPLINE_RAY_ADDRESS names.

Every machine of a cluster needs gripline installed and the recordings under the same paths.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from components.core.children import CPU_LIMIT_S, attempt
from components.core.errors import MissingDependency, StageFailed
from components.ingest.pool import AHEAD

Item = TypeVar("Item")
Result = TypeVar("Result")

ADDRESS = "GRIPLINE_RAY_ADDRESS"
# Ray replaces 127.0.0.1 by an address that others can reach; a cluster of one machine has no use for one.
_LOOPBACK = "127.0.0.2"
# A worker may die of its machine; whoever kills two in a row is the file.
_ATTEMPTS = 2


class RayWorkers:
    """`count` Ray workers, or as many as its cluster has CPUs; same interface and results as `pool.Workers`.

    Ray starts with the first item. A cluster that this process is connected to already is used and left as it was.
    """

    def __init__(self, count: int, *, cpu_limit_s: int = CPU_LIMIT_S) -> None:
        self._count = count
        self._cpu_limit_s = cpu_limit_s
        self._started = False
        self._sized = False

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._started:
            _ray().shutdown()
            self._started = False

    def map(
        self,
        work: Callable[[Item], Result],
        items: Iterable[Item],
        lost: Callable[[Item, str], Result] | None = None,
    ) -> Iterator[Result]:
        """Results in the order of `items`, which are drawn only a little ahead of what is taken.

        `lost`: makes the result of an item that took down every worker it was given to, from the item and the reason.
        Raises what `work` raises, and `StageFailed` where memory ran out or Ray fails, or a crash comes without `lost`.
        """
        source = iter(items)
        under_way: deque[tuple[Item, Any]] = deque()
        while True:
            while len(under_way) < self._count * AHEAD:
                try:
                    item = next(source)
                except StopIteration:
                    break
                under_way.append((item, self._submit(work, item)))
            if not under_way:
                return
            yield self._result(work, *under_way.popleft(), lost)

    def _submit(self, work: Callable[[Any], Any], item: Any) -> Any:
        if not self._started and not _ray().is_initialized():
            _start(self._count)
            self._started = True
        if not self._sized:
            # A cluster may have more to offer than this machine.
            self._count = max(self._count, int(_ray().cluster_resources().get("CPU", 0)))
            self._sized = True
        # Errors travel as values: Ray would wrap them into a class of its own.
        remote = _ray().remote(max_retries=0, num_cpus=1)(attempt)
        return remote.remote(work, item, self._cpu_limit_s)

    def _result(
        self, work: Callable[[Item], Result], item: Item, reference: Any, lost: Callable[[Item, str], Result] | None
    ) -> Result:
        errors = _ray().exceptions
        for turn in range(_ATTEMPTS):
            try:
                failed, value = _ray().get(reference if not turn else self._submit(work, item))
            except errors.WorkerCrashedError:
                continue
            except errors.RayError as error:
                said = " ".join(str(error).split())[:300]
                hint = "If memory ran out, give Ray fewer CPUs or more memory"
                raise StageFailed(f"Ray cannot do the work ({said})", hint=hint) from error
            if failed:
                raise value
            result: Result = value
            return result
        if lost is None:
            raise StageFailed("a Ray worker crashed twice on the same item", hint="Ray's logs say what it died of")
        return lost(item, "crashed")


def _ray() -> Any:
    # Read when Ray is imported: it reports its use to its makers otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependency("Ray is not installed", hint="Run `pip install 'gripline[ray]'`") from error
    return ray


def _start(count: int) -> None:
    address = os.environ.get(ADDRESS, "")
    here: dict[str, Any] = {"address": address}
    if not address:
        here = {
            "address": "local",
            "num_cpus": count,
            "include_dashboard": False,
            "_node_ip_address": _LOOPBACK,
        }
    try:
        # Ray announces itself on stdout and stderr, where results and progress belong.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            _ray().init(**here, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = address or "on this machine"
        raise StageFailed(f"Ray does not start ({error})", where=where, hint=f"Check {ADDRESS}") from error
