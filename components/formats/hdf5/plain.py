"""HDF5 of nobody's known layout: read where a mapping says what is what, described where none does."""

from __future__ import annotations

from components.formats.hdf5.calibration import stated_calibration
from components.formats.hdf5.dialect import Dialect
from components.formats.hdf5.robomimic import describe, streams
from components.formats.hdf5.values import attribute_texts

# Groups in `data` without the signs of any known program, guessed at as if they were robomimic's.
DEMOS = Dialect(
    "hdf5", lambda root, demos, where: bool(demos), streams, describe=describe, calibration=stated_calibration
)
# The whole file is one episode; only with a mapping.
WHOLE = Dialect(
    "hdf5",
    lambda root, demos, where: True,
    lambda scene: {},
    demos=False,
    describe=lambda scene: attribute_texts(scene.root, where=scene.where),
    calibration=stated_calibration,
)
