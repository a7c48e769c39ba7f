"""Two cameras on one off-screen renderer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.sim.gl import load_mujoco, missing_gl

# Our camera name -> the camera of the scene, and whether that one is mounted upside down.
CAMERAS: dict[str, tuple[str, bool]] = {"fixed": ("corner4", True), "wrist": ("gripperPOV", False)}

# With OSMesa, a renderer that the garbage collector frees after a second one was made corrupts the images of the second,
# silently. Holding every renderer here until `close` makes sure that the collector never frees one.
_OPEN: set[Any] = set()


class Cameras:
    """Renders `CAMERAS` of one model as uint8 [image_px, image_px, 3] RGB. Call `close` before dropping it."""

    def __init__(self, model: Any, image_px: int) -> None:
        mujoco = load_mujoco()
        # Before the renderer is made: no multisampling and no large buffers, which cost 10x in software rendering.
        model.vis.quality.offsamples = 0
        model.vis.quality.shadowsize = 0
        model.vis.global_.offwidth = image_px
        model.vis.global_.offheight = image_px
        try:
            self._renderer: Any = mujoco.Renderer(model, image_px, image_px)
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            raise missing_gl(error) from error
        _OPEN.add(self._renderer)
        scene = self._renderer.scene
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        # Sites mark the goals. A camera does not see them, and they would tell the two faucet tasks apart.
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0

    def render(self, data: Any, camera: str) -> npt.NDArray[np.uint8]:
        """One image of the state that `data` holds; its kinematics must be up to date."""
        name, upside_down = CAMERAS[camera]
        self._renderer.update_scene(data, camera=name, scene_option=self._options)
        image = self._renderer.render()
        return np.ascontiguousarray(image[::-1, ::-1]) if upside_down else image

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            _OPEN.discard(self._renderer)
            self._renderer = None
