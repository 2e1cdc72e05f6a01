"""Pictures defined by formulas: every value 0..255 from position, channel and size.

tests/support/test_formulas.c has the same formulas, so that golden files hold results only."""


def scramble(value):
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return value ^ (value >> 16)


def clamp(value):
    return max(0, min(255, value))


def noise(x, y, c, w, h):
    return scramble(x * 3 + y * 98304 + c) >> 24


def steps(x, y, c, w, h):
    return 255 * ((x // 3 + y // 2 + c) & 1)


def photo(x, y, c, w, h):
    """A shaded ball before a gradient, with grain."""
    dx, dy, radius = 2 * x + 1 - w, 2 * y + 1 - h, min(w, h) * 7 // 10 + 1
    value = 40 + 90 * x // w + (60 + 20 * c) * y // h
    if dx * dx + dy * dy < radius * radius:
        value = 235 - 45 * c - 150 * ((dx + radius // 2) ** 2 + dy * dy) // (3 * radius * radius)
    return clamp(value + noise(x, y, c, w, h) // 16 - 8)


def grain(x, y, c, w, h):
    return clamp(photo(x, y, c, w, h) + noise(x + 5, y + 3, c, w, h) // 5 - 25)


def moved(x, y, c, w, h):
    return photo(x + 1, y, c, w, h)


def dark(x, y, c, w, h):
    return photo(x, y, c, w, h) // 2


def flat(x, y, c, w, h):
    return 90 + 20 * c


FORMULAS = {formula.__name__: formula for formula in (noise, steps, photo, grain, moved, dark, flat)}
