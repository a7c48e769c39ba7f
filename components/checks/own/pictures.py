"""Cameras against what is usual for them: sharpness, light, and whether they show what they always show."""

from __future__ import annotations

import numpy as np

from components.checks.own.rows import Floats, Rows, usual

DARKEST = 1.0


def pictures(rows: Rows) -> dict[str, Floats]:
    """Columns [N] of the worst camera; neutral (1, 0, 0) where nothing can be compared.

    `blur`: usual share of fine detail over that of the episode; `exposure_stops`: how many stops brighter or darker
    than usual, clipped pixels counted as light that is lost; `camera_swap`: how much more a camera looks like another
    one than like itself.
    """
    cameras = rows.body.observation.cameras
    none = np.zeros(len(rows))
    if not rows.can_compare or not cameras:
        return {"blur": none + 1.0, "exposure_stops": none, "camera_swap": none}
    return {
        "blur": np.max([_blur(rows, camera) for camera in cameras], axis=0),
        "exposure_stops": np.max([_stops(rows, camera) for camera in cameras], axis=0),
        "camera_swap": _swap(rows, len(cameras)),
    }


def _blur(rows: Rows, camera: str) -> Floats:
    detail = rows.number(f"detail_{camera}")
    return np.where(detail > 0, usual(detail, rows.tasks) / np.maximum(detail, 1e-9), 1.0)


def _stops(rows: Rows, camera: str) -> Floats:
    light = np.log2(np.maximum(rows.number(f"brightness_{camera}"), DARKEST))
    away = np.abs(light - usual(light, rows.tasks))
    lost = np.zeros(len(rows))
    for side in ("dark", "bright"):
        clipped = rows.number(f"clipped_{side}_{camera}")
        more = np.maximum(0.0, clipped - usual(clipped, rows.tasks))
        # Where a share s of the pixels is at the limit, the light that they lost is at least that of 1 - s.
        lost = np.maximum(lost, -np.log2(np.maximum(1.0 - more, 0.05)))
    return away + lost


def _swap(rows: Rows, cameras: int) -> Floats:
    thumbs = rows.vector("thumbs").reshape(len(rows), cameras, -1)
    if cameras < 2:
        return np.zeros(len(rows))
    seen = normalised(thumbs)
    known = normalised(usual(thumbs.reshape(len(rows), -1), rows.tasks).reshape(thumbs.shape))
    alike = np.einsum("nck,nok->nco", seen, known)
    own = np.einsum("ncc->nc", alike)
    others = np.where(np.eye(cameras, dtype=bool), -np.inf, alike).max(axis=2)
    return np.maximum(0.0, (others - own).max(axis=1))


def normalised(thumbs: Floats) -> Floats:
    centred = thumbs - thumbs.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
