"""Draws triangles into a picture without a display: depth, shadows, light, and antialiased edges.

    triangles -> fill_triangles (seen from the light) -> shadow map
    triangles -> fill_triangles (2 x 2 samples a pixel) -> shade_pixels: each surface once a pixel -> 8-bit sRGB

A pixel that shows the same part of the same surface as in the picture before, in the same shadow, is kept: most of a
film is the ground (cover_tiles says where a shadow may have changed).

The result depends on the input alone. This module must never know a recording.
"""

from __future__ import annotations

import numpy as np

from tussle.server.physics.jit import inlined, kernel
from tussle.server.recordings.export.raster_code import keep_raster_code
from tussle.server.recordings.frame_store import Array

__all__ = [
    "TILE",
    "corner_normals",
    "cover_tiles",
    "fill_triangles",
    "shade_pixels",
    "sorted_corners",
    "srgb_table",
]

keep_raster_code()

CREASE = np.cos(np.radians(40.0))
"""Faces that meet at a larger angle have an edge; others look round."""

SHADOW_BIAS = 1.5
"""A surface that is less than this behind the nearest one is lit, in samples of the shadow map; more where the light
falls on it at a flat angle."""


TILE = 32
"""Side of a tile of the shadow map, in samples."""


@inlined
def _span(start: float, slope: float, first: int, last: int) -> tuple[int, int]:
    """The part of a row in which start + slope (x + 0.5) is not negative, and a pixel on each side for rounding."""
    if slope > 0.0:
        first = max(first, int(min(last + 4.0, max(first - 4.0, -start / slope))) - 2)
    elif slope < 0.0:
        last = min(last, int(max(first - 4.0, min(last + 4.0, -start / slope))) + 2)
    return first, last


@kernel
def fill_triangles(screen: Array, faces: Array, nearest: Array, owner: Array) -> None:
    """Enter each triangle where it is nearer than what is there.

    screen: x, y [pixels] and nearness of each vertex, (v, 3); a triangle with a nearness <= 0 is left out. nearest,
    owner: (h, w), the largest nearness and its triangle; both are changed.
    """
    height, width = nearest.shape
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, an = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bn = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cn = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if an <= 0.0 or bn <= 0.0 or cn <= 0.0 or area == 0.0:
            continue
        x0 = max(0, int(np.floor(min(ax, bx, cx))))
        x1 = min(width - 1, int(np.ceil(max(ax, bx, cx))))
        y0 = max(0, int(np.floor(min(ay, by, cy))))
        y1 = min(height - 1, int(np.ceil(max(ay, by, cy))))
        # Weights and nearness are linear over the picture: w = (base + across x + along y) / area.
        u_across, u_along = (by - cy) / area, (cx - bx) / area
        v_across, v_along = (cy - ay) / area, (ax - cx) / area
        u_base = (bx * cy - by * cx) / area
        v_base = (cx * ay - cy * ax) / area
        for y in range(y0, y1 + 1):
            u_row = u_base + u_along * (y + 0.5)
            v_row = v_base + v_along * (y + 0.5)
            first, last = _span(u_row, u_across, x0, x1)
            first, last = _span(v_row, v_across, first, last)
            first, last = _span(1.0 - u_row - v_row, -u_across - v_across, first, last)
            for x in range(first, last + 1):
                u = u_row + u_across * (x + 0.5)
                v = v_row + v_across * (x + 0.5)
                if u >= 0.0 and v >= 0.0 and u + v <= 1.0:
                    near = cn + u * (an - cn) + v * (bn - cn)
                    if near > nearest[y, x]:
                        nearest[y, x] = near
                        owner[y, x] = face


@kernel
def cover_tiles(screen: Array, faces: Array, changed: Array, covered: Array) -> None:
    """Mark the tiles of the shadow map that a changed triangle, or the filter around its samples, may touch. screen: as
    of fill_triangles; changed: (f,); covered: (tiles, tiles), changed."""
    last = covered.shape[0] - 1
    for face in range(faces.shape[0]):
        if not changed[face]:
            continue
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        x0 = max(0, int(np.floor(min(screen[a, 0], screen[b, 0], screen[c, 0]))) // TILE - 1)
        x1 = min(last, int(np.ceil(max(screen[a, 0], screen[b, 0], screen[c, 0]))) // TILE + 1)
        y0 = max(0, int(np.floor(min(screen[a, 1], screen[b, 1], screen[c, 1]))) // TILE - 1)
        y1 = min(last, int(np.ceil(max(screen[a, 1], screen[b, 1], screen[c, 1]))) // TILE + 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                covered[y, x] = True


@kernel
def corner_normals(points: Array, faces: Array, rest: Array, starts: Array, corners: Array) -> Array:
    """Unit normals of each corner of each face, (f, 3, 3): the mean of the faces at the vertex that make no edge with
    it. rest: unit face normals of the undeformed mesh, or zeros. starts, corners: of sorted_corners."""
    count = faces.shape[0]
    flat = np.empty((count, 3))
    for face in range(count):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        flat[face, 0] = uy * vz - uz * vy
        flat[face, 1] = uz * vx - ux * vz
        flat[face, 2] = ux * vy - uy * vx
    normals = np.zeros((count, 3, 3))
    for face in range(count):
        for corner in range(3):
            vertex = faces[face, corner]
            x = y = z = 0.0
            for at in range(starts[vertex], starts[vertex + 1]):
                other = corners[at] // 3
                dot = 0.0
                for axis in range(3):
                    dot += rest[face, axis] * rest[other, axis]
                if other == face or dot >= CREASE:
                    x += flat[other, 0]
                    y += flat[other, 1]
                    z += flat[other, 2]
            length = np.sqrt(x * x + y * y + z * z)
            if length > 0.0:
                normals[face, corner, 0] = x / length
                normals[face, corner, 1] = y / length
                normals[face, corner, 2] = z / length
    return normals


def sorted_corners(faces: Array, vertices: int) -> tuple[Array, Array]:
    """(starts, corners): the corners 3 * face + k at vertex v are corners[starts[v] : starts[v + 1]]."""
    flat = faces.reshape(-1)
    corners = np.argsort(flat, kind="stable")
    return np.searchsorted(flat[corners], np.arange(vertices + 1)), corners


def srgb_table() -> Array:
    """8-bit sRGB values of 4096 light intensities from 0 to 1 (IEC 61966-2-1)."""
    light = np.arange(4096) / 4095
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * curve), np.uint8)


@inlined
def _lit_share(x: float, y: float, z: float, facing: float, shadow: Array, to_light: Array) -> float:
    """The share of the key light that reaches a point: 3 x 3 samples of the shadow map. facing: cosine of the angle
    between surface and light."""
    if facing <= 0.0:
        return 0.0
    sample = 1.0 / np.sqrt(to_light[0, 0] ** 2 + to_light[0, 1] ** 2 + to_light[0, 2] ** 2)
    slope = min(8.0, np.sqrt(max(0.0, 1.0 - facing * facing)) / facing)
    bias = SHADOW_BIAS * sample * (1.0 + slope)
    size = shadow.shape[0]
    u = to_light[0, 0] * x + to_light[0, 1] * y + to_light[0, 2] * z + to_light[0, 3]
    v = to_light[1, 0] * x + to_light[1, 1] * y + to_light[1, 2] * z + to_light[1, 3]
    near = to_light[2, 0] * x + to_light[2, 1] * y + to_light[2, 2] * z + to_light[2, 3]
    lit = 0
    iu, iv = int(np.floor(u)), int(np.floor(v))
    for dv in range(-1, 2):
        for du in range(-1, 2):
            i, j = iv + dv, iu + du
            if i < 0 or j < 0 or i >= size or j >= size or shadow[i, j] <= near + bias:
                lit += 1
    return lit / 9.0


@inlined
def _weights(
    x: float, y: float, z: float, points: Array, faces: Array, face: int
) -> tuple[float, float, float]:
    """The barycentric coordinates of a point on a triangle."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    d00 = d01 = d11 = d20 = d21 = 0.0
    for axis, value in enumerate((x, y, z)):
        e, f, g = (
            points[b, axis] - points[a, axis],
            points[c, axis] - points[a, axis],
            value - points[a, axis],
        )
        d00 += e * e
        d01 += e * f
        d11 += f * f
        d20 += g * e
        d21 += g * f
    area = d00 * d11 - d01 * d01
    if area == 0.0:
        return 1.0, 0.0, 0.0
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    return float(1.0 - v - w), float(v), float(w)


@inlined
def _toned(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Tone mapping: the fit to the ACES film curve by K. Narkowicz (2015), for each channel."""
    red = red * (2.51 * red + 0.03) / (red * (2.43 * red + 0.59) + 0.14)
    green = green * (2.51 * green + 0.03) / (green * (2.43 * green + 0.59) + 0.14)
    blue = blue * (2.51 * blue + 0.03) / (blue * (2.43 * blue + 0.59) + 0.14)
    return red, green, blue


@inlined
def _colour_of_sample(
    face: int,
    near: float,
    rx: float,
    ry: float,
    rz: float,
    points: Array,
    faces: Array,
    normals: Array,
    colours: Array,
    camera: Array,
    lights: Array,
    bench: Array,
    shadow: Array,
    to_light: Array,
) -> tuple[float, float, float]:
    """The colour that a ray sees, tone-mapped, from 0 to 1."""
    length = np.sqrt(rx * rx + ry * ry + rz * rz)
    vx, vy, vz = -rx / length, -ry / length, -rz / length
    nx, ny, nz = 0.0, 1.0, 0.0
    cr, cg, cb = lights[7, 0], lights[7, 1], lights[7, 2]
    gloss, haze = 0.0, 0.0
    if face >= 0:
        px, py, pz = camera[0, 0] + rx / near, camera[0, 1] + ry / near, camera[0, 2] + rz / near
        u, v, w = _weights(px, py, pz, points, faces, face)
        nx = u * normals[face, 0, 0] + v * normals[face, 1, 0] + w * normals[face, 2, 0]
        ny = u * normals[face, 0, 1] + v * normals[face, 1, 1] + w * normals[face, 2, 1]
        nz = u * normals[face, 0, 2] + v * normals[face, 1, 2] + w * normals[face, 2, 2]
        size = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        nx, ny, nz = nx / size, ny / size, nz / size
        cr, cg, cb = colours[face, 0], colours[face, 1], colours[face, 2]
        gloss = 0.22
    else:
        depth = (bench[0] - camera[0, 1]) / ry if ry != 0.0 else -1.0
        if depth <= 0.0:
            r, g, b = _toned(lights[6, 0], lights[6, 1], lights[6, 2])
            return r, g, b
        px, py, pz = camera[0, 0] + rx * depth, bench[0], camera[0, 2] + rz * depth
        haze = min(1.0, ((px - bench[2]) ** 2 + (pz - bench[3]) ** 2) / bench[1] ** 2)
    facing = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
    lit = _lit_share(px, py, pz, facing, shadow, to_light)
    key = max(0.0, facing) * lit
    hx, hy, hz = vx + lights[0, 0], vy + lights[0, 1], vz + lights[0, 2]
    half = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-12
    shine = max(0.0, (nx * hx + ny * hy + nz * hz) / half) ** 2
    shine = shine * shine * shine  # the 6th power, then the 48th
    shine = gloss * lit * (shine * shine * shine * shine) ** 2
    rim = max(0.0, nx * lights[4, 0] + ny * lights[4, 1] + nz * lights[4, 2])
    upward = 0.5 + 0.5 * ny
    r = cr * (key * lights[1, 0] + rim * lights[5, 0] + upward * lights[2, 0] + (1.0 - upward) * lights[3, 0])
    g = cg * (key * lights[1, 1] + rim * lights[5, 1] + upward * lights[2, 1] + (1.0 - upward) * lights[3, 1])
    b = cb * (key * lights[1, 2] + rim * lights[5, 2] + upward * lights[2, 2] + (1.0 - upward) * lights[3, 2])
    r, g, b = r + shine * lights[1, 0], g + shine * lights[1, 1], b + shine * lights[1, 2]
    r, g, b = r + haze * (lights[6, 0] - r), g + haze * (lights[6, 1] - g), b + haze * (lights[6, 2] - b)
    r, g, b = _toned(r, g, b)
    return r, g, b


@inlined
def _shadow_changed(
    face: int,
    near: float,
    rx: float,
    ry: float,
    rz: float,
    camera: Array,
    bench: Array,
    to_light: Array,
    covered: Array,
) -> bool:
    """Whether the shadow may have changed where a ray meets the surface."""
    depth = 0.0
    if face >= 0:
        depth = 1.0 / near
    elif ry != 0.0:
        depth = (bench[0] - camera[0, 1]) / ry
    if depth <= 0.0:
        return False
    px, py, pz = camera[0, 0] + rx * depth, camera[0, 1] + ry * depth, camera[0, 2] + rz * depth
    u = to_light[0, 0] * px + to_light[0, 1] * py + to_light[0, 2] * pz + to_light[0, 3]
    v = to_light[1, 0] * px + to_light[1, 1] * py + to_light[1, 2] * pz + to_light[1, 3]
    size = covered.shape[0] * TILE
    if not (-2.0 < u < size + 2.0 and -2.0 < v < size + 2.0):
        return False
    column = min(size - 1, max(0, int(u))) // TILE
    row = min(size - 1, max(0, int(v))) // TILE
    return bool(covered[row, column])


@kernel
def shade_pixels(
    nearest: Array,
    owner: Array,
    points: Array,
    faces: Array,
    normals: Array,
    colours: Array,
    camera: Array,
    lights: Array,
    bench: Array,
    shadow: Array,
    to_light: Array,
    table: Array,
    before: Array,
    changed: Array,
    covered: Array,
    picture: Array,
) -> None:
    """Fill ``picture``, (h, w, 3) bytes.

    nearest, owner: 2 x 2 samples a pixel, nearness 1 / depth. camera: eye; the ray of the first sample's corner; its
    change for a sample to the right, and for one down, (4, 3); a ray has the depth 1. lights: key direction, key
    colour, sky, floor, rim direction, rim colour, backdrop, bench colour, (8, 3). bench: its height, and the
    radius, x and z of the disc beyond which it has the backdrop's colour. shadow, to_light: the shadow map, and the
    rows of the map from a point to its x, y and nearness. table: of srgb_table. before: the owners in the picture that
    ``picture`` holds, -2 if there is none; changed: the triangles that are not as in it, (f,); covered: of cover_tiles,
    where its shadows may have changed.
    """
    height, width = picture.shape[0], picture.shape[1]
    for y in range(height):
        for x in range(width):
            sy, sx = 2 * y, 2 * x
            face = owner[sy, sx]
            if (
                owner[sy, sx + 1] == face
                and owner[sy + 1, sx] == face
                and owner[sy + 1, sx + 1] == face
                and before[sy, sx] == face
                and before[sy, sx + 1] == face
                and before[sy + 1, sx] == face
                and before[sy + 1, sx + 1] == face
                and (face < 0 or not changed[face])
            ):
                rx = camera[1, 0] + camera[2, 0] * (sx + 0.5) + camera[3, 0] * (sy + 0.5)
                ry = camera[1, 1] + camera[2, 1] * (sx + 0.5) + camera[3, 1] * (sy + 0.5)
                rz = camera[1, 2] + camera[2, 2] * (sx + 0.5) + camera[3, 2] * (sy + 0.5)
                if not _shadow_changed(face, nearest[sy, sx], rx, ry, rz, camera, bench, to_light, covered):
                    continue
            red = green = blue = 0.0
            seen = 0
            while seen < 15:  # a bit for each sample whose surface is shaded
                sample = 0
                while seen >> sample & 1:
                    sample += 1
                sy, sx = 2 * y + sample // 2, 2 * x + sample % 2
                face, count = owner[sy, sx], 0
                for other in range(sample, 4):
                    if owner[2 * y + other // 2, 2 * x + other % 2] == face:
                        count += 1
                        seen |= 1 << other
                rx = camera[1, 0] + camera[2, 0] * (sx + 0.5) + camera[3, 0] * (sy + 0.5)
                ry = camera[1, 1] + camera[2, 1] * (sx + 0.5) + camera[3, 1] * (sy + 0.5)
                rz = camera[1, 2] + camera[2, 2] * (sx + 0.5) + camera[3, 2] * (sy + 0.5)
                r, g, b = _colour_of_sample(
                    face, nearest[sy, sx], rx, ry, rz, points, faces, normals, colours, camera, lights, bench,
                    shadow, to_light,
                )  # fmt: skip
                red += count * r
                green += count * g
                blue += count * b
            for channel, light in enumerate((0.25 * red, 0.25 * green, 0.25 * blue)):
                picture[y, x, channel] = table[int(4095.0 * min(1.0, max(0.0, light)) + 0.5)]
