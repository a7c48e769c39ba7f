"""Every error that gripline raises on purpose.

    GriplineError                    exit code 1
    ├── GateRefused                  1  a gate looked at good input and said no
    ├── UsageError                   2  the command or the params do not make sense
    │   └── ParamsError              2  params.yaml does not match its model
    ├── InputError                   3  what was given cannot be used; nothing was written
    │   ├── FormatError              3  a recording is unreadable, truncated or of an unknown format
    │   ├── EpisodeError             3  one episode of a readable file cannot be used
    │   ├── DatasetError             3  a dataset tree is damaged, or lacks what its metadata promises
    │   ├── ContractError            3  two parts disagree about observations or actions; names the field
    │   ├── BundleError              3  a policy bundle is damaged, or does not verify
    │   ├── RecordError              3  a record is missing, or its digest does not match
    │   ├── StateError               3  a training run holds something that no state can keep
    │   └── LineageError             3  a link of the chain from action to episode is missing
    └── ComponentError               4  a program, library or server is missing or down
        ├── MissingDependency        4  not installed; the message holds the command that installs it
        ├── ServerError              4  a server did not start, answer or stop
        ├── StageFailed              4  a stage of the pipeline ended with an error of its own
        └── Busy                     4  somebody else holds the lock or the port

A message says what was found, where, and what to do next.
"""

from __future__ import annotations


class GriplineError(Exception):
    """Root of the tree; `exit_code` is what a command ends with."""

    exit_code = 1
    code = "error"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.message}" if self.where else self.message]
        if self.hint:
            parts.append(self.hint)
        return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process pools; keyword-only arguments need help to be pickled.
        return (_rebuild, (type(self), self.message, self.where, self.hint, self.code))

    def as_dict(self) -> dict[str, str | None]:
        return {"code": self.code, "message": self.message, "where": self.where, "hint": self.hint}


def _rebuild(cls: type[GriplineError], message: str, where: str | None, hint: str | None, code: str) -> GriplineError:
    error = cls(message, where=where, hint=hint)
    error.code = code
    return error


class GateRefused(GriplineError):
    code = "gate_refused"


class UsageError(GriplineError):
    exit_code = 2
    code = "usage"


class ParamsError(UsageError):
    code = "params"


class InputError(GriplineError):
    exit_code = 3
    code = "input"


class FormatError(InputError):
    """`code` names the reason: unreadable, truncated, unknown_format, no_episodes ..."""

    code = "unreadable"

    def __init__(
        self, message: str, *, where: str | None = None, hint: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        if code:
            self.code = code


class EpisodeError(FormatError):
    code = "bad_episode"


class DatasetError(InputError):
    code = "dataset"


class ContractError(InputError):
    code = "contract"


class BundleError(InputError):
    code = "bundle"


class RecordError(InputError):
    code = "record"


class StateError(InputError):
    code = "state"


class LineageError(InputError):
    code = "lineage"


class ComponentError(GriplineError):
    exit_code = 4
    code = "component"


class MissingDependency(ComponentError):
    code = "missing_dependency"


class ServerError(ComponentError):
    code = "server"


class StageFailed(ComponentError):
    code = "stage_failed"


class Busy(ComponentError):
    code = "busy"
