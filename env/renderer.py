"""What an environment shows: an array for "rgb_array", or a window for "human"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tussle.env.flat_picture import FlatPicture
from tussle.env.picture_window import PictureWindow

__all__ = ["Renderer"]


class Renderer:
    """Draws the pictures of one environment. The picture and the window are made when they are first needed."""

    def __init__(self, render_mode: str | None, metadata: Mapping[str, Any]) -> None:
        self._mode, self._metadata = render_mode, metadata
        self._picture: FlatPicture | None = None
        self._window: PictureWindow | None = None

    def render(self, *bodies: Any, **marks: Any) -> npt.NDArray[np.uint8] | None:
        """The picture with the arguments of ``FlatPicture.draw``; None if it is shown in a window."""
        if self._picture is None:
            self._picture = FlatPicture()
        picture = self._picture.draw(*bodies, **marks)
        if self._mode == "rgb_array":
            return picture
        if self._window is None:
            self._window = PictureWindow(self._metadata["name"], self._metadata["render_fps"])
        self._window.show(picture)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None
