"""One episode as a page: frames with a slider, state and action, who moved the robot, where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.core.figures import numbers, thinned
from components.core.page import plotly_js, render, script_json
from components.dataset.pictures import data_uri
from components.view.find import Chosen
from components.view.signals import Signals

# Pictures of one camera in the page, and points of one line; longer episodes are thinned.
MOST_FRAMES = 240
MOST_POINTS = 2000
_IDENTITY = ("episode_id", "episode_index", "task", "instruction", "length", "duration_s", "split")


def page(chosen: Chosen, signals: Signals, jpegs: Mapping[str, Sequence[bytes]]) -> str:
    """HTML that needs nothing else. `jpegs`: camera -> pictures at the ticks `shown_ticks` gives."""
    length = len(signals.time_s)
    points = thinned(length, MOST_POINTS)
    told = {
        "fps": chosen.dataset.fps,
        "ticks": thinned(length, MOST_FRAMES).tolist(),
        "time_s": numbers(signals.time_s, 4),
        "cameras": {camera: [data_uri(data) for data in pictures] for camera, pictures in jpegs.items()},
        "point_time_s": numbers(signals.time_s[points], 4),
        "groups": [
            {
                "path": group.path,
                "units": group.units,
                "names": list(group.names),
                "values": [numbers(column) for column in np.asarray(group.values)[points].T],
            }
            for group in signals.groups
        ],
        "control": signals.spans(),
    }
    return render(
        "components.view",
        "episode.html.j2",
        title=f"Episode {chosen.index}",
        task=chosen.row["task"],
        instruction=chosen.row["instruction"],
        verdict=chosen.verdict,
        codes=list(chosen.codes),
        rows=_rows(chosen, signals),
        cameras=list(jpegs),
        groups=[group.path for group in signals.groups],
        thinned=length > MOST_FRAMES,
        told=script_json(told),
        plotly=plotly_js(),
    )


def _rows(chosen: Chosen, signals: Signals) -> list[tuple[str, str]]:
    row = {**chosen.row, "duration_s": f"{len(signals.time_s) / chosen.dataset.fps:.2f}"}
    row["dataset"] = chosen.dataset.digest
    names = [*_IDENTITY, *(name for name in row if name not in _IDENTITY)]
    return [(name, str(row[name])) for name in names]
