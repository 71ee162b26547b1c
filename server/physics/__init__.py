"""Deterministic contact physics: affine and elastic bodies in one world, free of intersections at every step.

Modules are flat. ``scene_compiler`` makes a Model and a State of a scene, ``solver`` steps them, ``contact_check``
checks a state with ipctk. Most modules import numba. ``world_state`` imports numpy only.
"""
