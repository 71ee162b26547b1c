"""Handles of elastic bodies: the mean of their vertices, by a bounded number of nodes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.worlds import scene
from tussle.lobby.rules.scenes import Body, Handle, Material, Recipe
from tussle.server.physics.scene_compiler import compile_scene

CELLS = 11
"""Its 1728 vertices in rows of 12: an even choice of them could be in one plane."""
TOP = tuple(range((CELLS + 1) ** 2))
"""The vertices of one side."""


@pytest.mark.parametrize(("name", "count"), [("centre", 1728), ("side", len(TOP)), ("v7", 108)])
def test_a_large_handle_has_few_nodes_and_the_mean_of_its_vertices(name: str, count: int) -> None:
    """At rest and after an affine map, with weights near 1/n: all nodes of a spring share entries of the system, which
    would be dense. One with few vertices has them all."""
    recipe = Recipe("block", {"size": [1.0, 0.7, 0.4], "cells": [CELLS] * 3})
    handles = (Handle("side", TOP),)
    body = Body("a", recipe, Material(density=100.0), "elastic", position=(0, 3, 0), handles=handles)
    model, state = compile_scene(scene([body]), grips=True)
    nodes, weights = model.handles[0, name]
    every = {"centre": np.arange(1728), "side": np.array(TOP), "v7": nodes}[name]
    assert len(every) == count
    assert len(np.unique(nodes)) == len(nodes) == min(count, 128)
    assert set(nodes) <= set(every)
    assert weights == pytest.approx(np.full(len(nodes), 1.0 / len(nodes)), rel=0.7)
    change = np.eye(3) + 0.3 * np.random.default_rng(1).normal(size=(3, 3))
    for q in (state.q, state.q @ change.T + 5.0):
        assert weights @ q[nodes] == pytest.approx(q[every].mean(axis=0), abs=1e-12)
