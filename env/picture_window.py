"""A window that shows pictures, for ``render_mode="human"``. It needs pygame, which the extra ``tussle[env]`` installs.

Where there is no display, set SDL_VIDEODRIVER=dummy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["PictureWindow"]


class PictureWindow:
    """One window. fps: most pictures a second."""

    def __init__(self, title: str, fps: int) -> None:
        import pygame

        self._pygame = pygame
        self._title, self._fps = title, fps
        self._clock = pygame.time.Clock()
        self._screen: pygame.Surface | None = None

    def show(self, picture: npt.NDArray[np.uint8]) -> None:
        """Show a picture, at the pace of the window."""
        pygame = self._pygame
        height, width, _ = picture.shape
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._screen = pygame.display.set_mode((width, height))
        pygame.event.pump()
        pygame.surfarray.blit_array(self._screen, picture.transpose(1, 0, 2))
        pygame.display.flip()
        self._clock.tick(self._fps)

    def close(self) -> None:
        """Close the window."""
        if self._screen is not None:
            self._pygame.display.quit()
            self._screen = None
