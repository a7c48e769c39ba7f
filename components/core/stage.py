"""How a stage ends: its message on stderr and its exit code, the same way for all of them."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Callable

from components.core.errors import GriplineError, InputError
from components.core.params import Params, load_params
from components.core.workspace import Workspace, find_workspace

log = logging.getLogger("gripline")


_OWN = ("gripline", "components", "model_registry", "deploy", "flows")


def configure_logging(level: int = logging.INFO) -> None:
    """Messages of the project go to stderr from `level` on; those of its libraries only when they warn."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    for name in _OWN:
        logging.getLogger(name).setLevel(level)


def exit_code_of(error: BaseException) -> int:
    """Logs what went wrong as a sentence and says which exit code it deserves; other errors are raised again."""
    if isinstance(error, GriplineError):
        log.error("error [%s]: %s", error.code, error)
        return error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("error [disk_full]: no space left on the device at %s. Free some and run again.", error.filename)
        return InputError.exit_code
    raise error


def stage_main(run: Callable[[Workspace, Params], None]) -> None:
    """Runs one stage in the workspace around the current folder and exits."""
    configure_logging()
    try:
        workspace = find_workspace()
        run(workspace, load_params(workspace.root / "params.yaml"))
    except Exception as error:
        sys.exit(exit_code_of(error))
    sys.exit(0)
