"""Places of faults in the pictures: cameras, and the ticks at which they show the wrong thing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.checks.locate.seen import Seen
from components.checks.locate.subject import Flags, Place, Subject, arriving, runs
from components.checks.measure.pictures import STRETCH
from components.checks.own.pictures import DARKEST, normalised

Floats = npt.NDArray[np.float64]


def frozen_camera(subject: Subject) -> list[Place]:
    found = []
    for camera, seen in subject.seen.items():
        still, held = _stretches(subject, seen)
        longest = still & (held == held.max(initial=0))
        share = longest.sum() / max(1, subject.moving.sum())
        if share > subject.limit("frozen_share"):
            found.append(_camera(camera, f"one picture for {share:.0%} of the time in which the hand moves", longest))
    return found


def duplicate_frames(subject: Subject) -> list[Place]:
    found = []
    for camera, seen in subject.seen.items():
        still, held = _stretches(subject, seen)
        repeated = still & (held < STRETCH)
        if repeated.sum() / max(1, subject.moving.sum()) > subject.limit("repeated_share"):
            note = f"{repeated.sum()} pictures repeat the one before while the hand moves"
            found.append(_camera(camera, note, repeated, gap=0))
    return found


def stills(subject: Subject, camera: str) -> Flags:
    """[T]: pictures of a camera that repeat the one before while the hand moves; none where it is no camera."""
    seen = subject.seen.get(camera)
    return np.zeros(0, bool) if seen is None else _stretches(subject, seen)[0]


def _stretches(subject: Subject, seen: Seen) -> tuple[Flags, npt.NDArray[np.int64]]:
    """[T]: whether a tick shows what the one before did, although the hand moved and there was light; and in how many
    ticks its picture is shown so.
    """
    still = arriving(seen.same & subject.moving & ~(seen.dark[:-1] & seen.dark[1:]))
    stretch = np.cumsum(arriving(~seen.same))
    return still, np.bincount(stretch, weights=still).astype(np.int64)[stretch]


def black_frames(subject: Subject) -> list[Place]:
    return [
        _camera(camera, f"{seen.dark.sum()} pictures are dark, down to {seen.light.min():.1f} of 255", seen.dark)
        for camera, seen in subject.seen.items()
        if seen.dark.mean() > subject.limit("black_share")
    ]


def even(subject: Subject) -> list[Place]:
    """Pictures that show nothing at all."""
    found = {camera: seen.even for camera, seen in subject.seen.items()}
    return [
        _camera(camera, f"{flags.sum()} pictures show one even surface", flags)
        for camera, flags in found.items()
        if flags.mean() > subject.limit("even_share")
    ]


def blurred(subject: Subject) -> list[Place]:
    found, limit = [], subject.limit("blur")
    for camera, seen in subject.seen.items():
        normal, own = subject.usual(f"detail_{camera}"), subject.own(f"detail_{camera}")
        if own > 0 and normal / own > limit:
            note = f"1/{normal / own:.2f} of the usual fine detail"
            found.append(_camera(camera, note, normal > limit * np.maximum(seen.detail, 1e-9)))
    return found


def exposure(subject: Subject) -> list[Place]:
    found, limit = [], subject.limit("exposure_stops")
    for camera, seen in subject.seen.items():
        normal = np.log2(max(subject.usual(f"brightness_{camera}"), DARKEST))
        away = np.log2(np.maximum(seen.light, DARKEST)) - normal
        lost = {
            side: np.maximum(0.0, values - subject.usual(f"clipped_{side}_{camera}"))
            for side, values in (("dark", seen.clipped_dark), ("bright", seen.clipped_bright))
        }
        stops = np.abs(away) - np.log2(np.maximum(1.0 - np.maximum(*lost.values()), 0.05))
        light = np.log2(max(subject.own(f"brightness_{camera}"), DARKEST)) - normal
        if abs(light) > limit or stops.mean() > limit:
            clipped = {side: f"{values.mean():.0%} {side}" for side, values in lost.items() if values.mean() > 0.01}
            more = f", clipped beyond the usual: {', '.join(clipped.values())}" if clipped else ""
            note = f"{abs(light):.2f} stops {'brighter' if light > 0 else 'darker'} than usual{more}"
            found.append(_camera(camera, note, stops > limit))
    return found


def camera_swapped(subject: Subject) -> list[Place]:
    cameras = subject.dataset.cameras
    thumbs = normalised(subject.own("thumbs").reshape(len(cameras), -1))
    known = normalised(subject.usual("thumbs").reshape(len(cameras), -1))
    alike = thumbs @ known.T
    found = []
    for number, camera in enumerate(cameras):
        other = int(np.argmax(np.where(np.arange(len(cameras)) == number, -np.inf, alike[number])))
        if alike[number, other] - alike[number, number] > subject.limit("camera_swap"):
            found.append(Place("camera", camera, f"shows what {cameras[other]} usually shows"))
    return found


def _camera(name: str, note: str, guilty: Flags, gap: int = 1) -> Place:
    return Place("camera", name, note, runs(guilty, gap))
