"""Names for guests that ask for none: two words, ``Amber Quern``. Pure.

This module draws names and never decides whether one is free: create_guest.lua does. The words are plain and mean
nothing about the player; every pair is a valid new name (names.py) of at most 24 characters. The first letters are
spread over the alphabet, because the mark of a seat shows one letter of the name.
"""

from __future__ import annotations

from random import Random

__all__ = ["FIRST_WORDS", "SECOND_WORDS", "draw_names"]

_FIRST = """
Amber Apricot Ashen Autumn Azure Basalt Birch Blue Bronze Calm Cedar Cherry Cobalt Copper Coral Dapper Dawn
Denim Dusky Early Eastern Ebony Emerald Even Fabled Fair Fern Floral Frosty Gentle Gilded Ginger Golden Granite
Hardy Hazel Hidden Honey Humble Icy Idle Indigo Inland Ivory Jade Jaunty Jolly Juniper Keen Kelp Kind Lemon
Light Lilac Linen Lunar Maple Marble Mellow Mint Misty Native Neat Nimble Noble Northern Oaken Ochre Olive Opal
Orange Patient Pearl Pewter Plum Polar Quartz Quick Quiet Rapid Rowan Ruby Rustic Saffron Sandy Silver Sunny
Teal Tidal Topaz Tidy Umber Upland Urban Velvet Violet Vivid Walnut Western Wintry Yellow Zesty
"""
FIRST_WORDS = tuple(_FIRST.split())
_SECOND = """
Acorn Anchor Anvil Arch Atlas Badger Beacon Bell Bobbin Bridge Canoe Castle Comet Compass Crane Dahlia Delta
Dome Dune Eagle Easel Echo Ember Falcon Feather Fiddle Finch Fjord Garnet Gate Glacier Goblet Harbour Harp Heron
Hinge Iris Island Ivy Jasmine Jetty Jigsaw Jug Kayak Kestrel Kettle Kite Ladder Lantern Lark Ledge Lynx Magnet
Meadow Mill Mirror Moth Nest Nettle Nutmeg Oak Oar Orchard Otter Owl Paddle Pebble Pine Plover Prism Quarry
Quern Quill Quilt Raven Reef Ribbon River Rudder Sail Sextant Sparrow Spindle Summit Table Thistle Tide Tower
Tulip Umbrella Unicorn Urn Valley Vessel Viola Wagon Willow Wren Yacht Yarn Zephyr Zither
"""
SECOND_WORDS = tuple(_SECOND.split())


def draw_names(rng: Random, count: int) -> list[str]:
    """``count`` different names, in the order in which to try them. At most one per pair of words."""
    pairs = rng.sample(range(len(FIRST_WORDS) * len(SECOND_WORDS)), count)
    return [
        f"{FIRST_WORDS[pair // len(SECOND_WORDS)]} {SECOND_WORDS[pair % len(SECOND_WORDS)]}" for pair in pairs
    ]
