"""Text of a GPU's matrix product whose A is the patch matrix of images (`fastnet._kernels.window`)."""

from __future__ import annotations

_AXES = ("image", "positions", "taps", "strides", "dilations", "before", "target", "spacing", "first")
#: names of the numbers of a window, in the order of `Window.numbers`
NAMES = (*(f"{name}_{axis}" for name in _AXES for axis in range(3)), "channels", "groups")


def functions() -> list[str]:
    """The texts of two functions of the numbers of a window.

    ``place_in_image(row, column, group, distance, ...)`` is the index of an element of the patch matrix of a group in
    the images, whose pixels are ``distance`` elements apart; -1 where it lies outside.

    ``pixel_of_result(row, ...)`` is the pixel at which the result of a row of the patch matrix lies.
    """
    names = ", ".join(NAMES)
    place = [
        f"def place_in_image(row, column, group, distance, {names}):",
        "    tap, pixel, scale, is_inside = quotient(column, channels), 0, 1, True",
        "    channel = column - tap * channels",
    ]
    result = [f"def pixel_of_result(row, {names}):", "    pixel, scale = 0, 1"]
    for axis in (2, 1, 0):
        place += [
            f"    further, later = quotient(row, positions_{axis}), quotient(tap, taps_{axis})",
            f"    at = (row - further * positions_{axis}) * strides_{axis} - before_{axis}",
            f"    at += (tap - later * taps_{axis}) * dilations_{axis}",
            f"    is_inside = is_inside and at >= 0 and at < image_{axis}",
            "    pixel += at * scale",
            f"    scale *= image_{axis}",
            "    row, tap = further, later",
        ]
        result += [
            f"    further = quotient(row, positions_{axis})",
            f"    pixel += ((row - further * positions_{axis}) * spacing_{axis} + first_{axis}) * scale",
            f"    scale *= target_{axis}",
            "    row = further",
        ]
    place.append("    return (pixel + row * scale) * distance + group * channels + channel if is_inside else -1")
    result.append("    return pixel + row * scale")
    return ["\n".join(place), "\n".join(result)]
