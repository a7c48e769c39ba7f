"""What a loader is told."""

from __future__ import annotations

from dataclasses import dataclass, fields

from components.core.errors import ParamsError


@dataclass(frozen=True)
class LoaderSettings:
    """`chunk`: actions of a window; `history`: observations of a window, `history_stride` frames apart, the last now.

    `run_frames`: consecutive frames that are decoded in one go; `pool_windows`: windows that are shuffled among each
    other, and so about the frames of a pool; `threads`: those that decode. Two pools are in memory at a time.
    """

    chunk: int
    history: int = 1
    history_stride: int = 1
    run_frames: int = 32
    pool_windows: int = 1024
    threads: int = 2

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ParamsError(f"loader: {field.name} is {getattr(self, field.name)}, expected at least 1")
        if self.pool_windows < self.run_frames:
            raise ParamsError(
                f"loader: pool_windows is {self.pool_windows}, less than the {self.run_frames} of run_frames",
                hint="A pool holds at least one run",
            )

    @property
    def runs_per_pool(self) -> int:
        return self.pool_windows // self.run_frames

    @property
    def lead_frames(self) -> int:
        """Frames before a window that its history reaches back to."""
        return (self.history - 1) * self.history_stride
