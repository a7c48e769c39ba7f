"""Two cameras on one off-screen renderer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.sim.gl import load_mujoco, missing_gl

# Our camera name -> the camera of the scene, and whether that one is mounted upside down.
CAMERAS: dict[str, tuple[str, bool]] = {"fixed": ("corner4", True), "wrist": ("gripperPOV", False)}

# With OSMesa, a renderer that the garbage collector frees after a second one was made corrupts the images of the
# second, silently. Holding every renderer here until `close` makes sure that the collector never frees one.
_OPEN: set[Any] = set()

# Software rendering spends its time on the vertices of the arm, most of which the wrist camera never sees. Shapes out
# of view are put into this group for one image, and the group is not drawn.
_HIDDEN_GROUP = 5


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
        except (ImportError, AttributeError, OSError, RuntimeError, mujoco.FatalError) as error:
            raise missing_gl(error) from error
        _OPEN.add(self._renderer)
        scene = self._renderer.scene
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        # Sites mark the goals. A camera does not see them, and they would tell the two faucet tasks apart.
        self._options = mujoco.MjvOption()
        self._options.sitegroup[:] = 0
        self._options.geomgroup[_HIDDEN_GROUP] = 0
        self._model = model
        self._groups = model.geom_group.copy()

    def render(self, data: Any, camera: str) -> npt.NDArray[np.uint8]:
        """One image of the state that `data` holds; its kinematics must be up to date."""
        name, upside_down = CAMERAS[camera]
        self._model.geom_group[:] = np.where(self._in_view(data, name), self._groups, _HIDDEN_GROUP)
        self._renderer.update_scene(data, camera=name, scene_option=self._options)
        self._model.geom_group[:] = self._groups
        image = self._renderer.render()
        return np.ascontiguousarray(image[::-1, ::-1]) if upside_down else image

    def _in_view(self, data: Any, name: str) -> npt.NDArray[np.bool_]:
        """Which shapes' bounding spheres reach into the cone around what the camera sees; planes have none."""
        camera = data.camera(name)
        half_height = np.deg2rad(self._model.camera(name).fovy[0]) / 2
        # The cone goes through the corners of the square image.
        half_angle = np.arctan(np.sqrt(2.0) * np.tan(half_height))
        offset = data.geom_xpos - camera.xpos
        along = -offset @ camera.xmat.reshape(3, 3)[:, 2]
        across = np.sqrt(np.maximum(np.sum(offset**2, axis=1) - along**2, 0.0))
        radius = self._model.geom_rbound
        seen: npt.NDArray[np.bool_] = across * np.cos(half_angle) - along * np.sin(half_angle) <= radius
        return seen | (radius == 0.0)

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            _OPEN.discard(self._renderer)
            self._renderer = None
