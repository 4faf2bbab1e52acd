# SPDX-License-Identifier: BSD-3-Clause
"""Colors of X11's list, by which MPE and Jumpshot name them, for colors of CSS and for the functions of MPI."""

from __future__ import annotations

import re
import zlib

X11 = {
    "white": 0xFFFFFF, "black": 0x000000, "gray": 0xBEBEBE, "DimGray": 0x696969, "SlateGray": 0x708090, "red": 0xFF0000,
    "firebrick": 0xB22222, "brown": 0xA52A2A,
    "tomato": 0xFF6347, "coral": 0xFF7F50, "salmon": 0xFA8072, "OrangeRed": 0xFF4500, "orange": 0xFFA500, "gold": 0xFFD700,
    "goldenrod": 0xDAA520, "yellow": 0xFFFF00,
    "khaki": 0xF0E68C, "OliveDrab": 0x6B8E23, "green": 0x00FF00, "DarkGreen": 0x006400, "ForestGreen": 0x228B22, "SeaGreen": 0x2E8B57,
    "LimeGreen": 0x32CD32,
    "SpringGreen": 0x00FF7F, "turquoise": 0x40E0D0, "cyan": 0x00FFFF, "CadetBlue": 0x5F9EA0, "SteelBlue": 0x4682B4, "SkyBlue": 0x87CEEB,
    "LightBlue": 0xADD8E6,
    "blue": 0x0000FF, "navy": 0x000080, "RoyalBlue": 0x4169E1, "SlateBlue": 0x6A5ACD, "purple": 0xA020F0, "orchid": 0xDA70D6,
    "violet": 0xEE82EE, "plum": 0xDDA0DD,
    "magenta": 0xFF00FF, "maroon": 0xB03060, "HotPink": 0xFF69B4, "pink": 0xFFC0CB, "tan": 0xD2B48C, "chocolate": 0xD2691E,
    "sienna": 0xA0522D, "beige": 0xF5F5DC,
}  # fmt: skip
CSS = {
    "teal": "CadetBlue",
    "lime": "green",
    "grey": "gray",
    "olive": "OliveDrab",
    "aqua": "cyan",
    "fuchsia": "magenta",
    "indigo": "purple",
    "crimson": "firebrick",
}
FUNCTIONS = (  # as MPE colored them; the first that fits
    ("sendrecv", "SeaGreen"), ("(im|i)?probe", "OliveDrab"), ("irecv|imrecv", "LimeGreen"), ("m?recv", "green"), ("i[brs]?send", "SkyBlue"),
    ("[brs]?send", "blue"),
    ("wait", "red"), ("test", "orange"), ("i?barrier", "yellow"), ("i?bcast", "cyan"), ("i?allreduce|i?reduce|i?e?x?scan", "purple"),
    ("i?all", "magenta"), ("i?gather", "HotPink"), ("i?scatter", "orchid"), ("put|get|accumulate|win_", "gold"), ("file_", "tan"),
)  # fmt: skip
LOWER = {name.lower(): name for name in X11}
REST = tuple(name for name in X11 if name not in ("white", "black", "beige"))


def x11(color: str, name: str) -> str:
    """The name of a color in X11's list that is that color (a name, or #rrggbb), or nearest to it; without one, a color for an operation
    of this name."""
    plain = color.strip().lower().replace(" ", "")
    if plain in LOWER or plain in CSS:
        return LOWER.get(plain) or CSS[plain]
    if re.fullmatch("#[0-9a-f]{6}", plain):
        return nearest(int(plain[1:], 16))
    if re.fullmatch("#[0-9a-f]{3}", plain):
        return nearest(int("".join(2 * digit for digit in plain[1:]), 16))
    function = name.lower().removeprefix("mpi_")
    for pattern, choice in FUNCTIONS:
        if re.match(pattern, function):
            return choice
    return REST[zlib.crc32(name.encode("utf-8", "replace")) % len(REST)]


def nearest(rgb: int) -> str:
    """The color that differs least."""
    return min(X11, key=lambda name: sum(((rgb >> shift & 255) - (X11[name] >> shift & 255)) ** 2 for shift in (0, 8, 16)))
