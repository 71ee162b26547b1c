"""Deterministic contact physics: affine and elastic bodies in one world in which nothing passes through
anything.

The public names of the solver. Importing this package imports numba; ``server.physics.world_state`` costs numpy
only."""
