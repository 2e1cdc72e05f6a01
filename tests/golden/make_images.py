#!/usr/bin/env python3
"""Write images/ (small JPEG, PNG, BMP and GIF files of every kind) and images.txt (their decoded samples).

Each line of images.txt holds: file, width, height, channels, bits, and the FNV-1a hashes (64 bits) of its
samples in five forms: its own, grey, grey with alpha, RGB, RGB with alpha. For 8 bits the last four are the
results of Pillow's convert to "L", "LA", "RGB", "RGBA". Pillow supports no 16-bit pictures except grey ones, so
theirs follow the definition in image.h, hashed low byte first. Needs Pillow; the results are committed."""

import io
import pathlib
import struct
import zlib

from PIL import Image

from formulas import noise, photo
from make_resize import fnv

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 37, 29


def picture(mode="RGB"):
    values = bytes(photo(x, y, c, WIDTH, HEIGHT) for y in range(HEIGHT) for x in range(WIDTH) for c in range(3))
    return Image.frombytes("RGB", (WIDTH, HEIGHT), values).convert(mode)


def jpeg(mode="RGB", **options):
    stream = io.BytesIO()
    picture(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(color_type, depth, sample, channels, interlaced=False, extra=b"", size=(WIDTH, HEIGHT)):
    """A PNG file whose pixel (x, y) has the channel values sample(x, y, c), each of `depth` bits."""

    def row(y, first, step):
        bits = "".join(
            format(sample(x, y, c), f"0{depth}b") for x in range(first, size[0], step) for c in range(channels)
        )
        bits += "0" * (-len(bits) % 8)
        return b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(row(y, left, dx) for left, top, dx, dy in passes for y in range(top, size[1], dy))
    header = struct.pack(">IIBBBBB", *size, depth, color_type, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def saved(mode, kind, **options):
    stream = io.BytesIO()
    drawn = picture().quantize(40, dither=0) if mode == "P" else picture(mode)
    drawn.save(stream, kind, **options)
    return stream.getvalue()


def bmp(bits, pixel, palette=(), masks=(), header=40, top_down=False):
    """An uncompressed BMP file whose pixel (x, y) is the number pixel(x, y)."""
    rows = []
    for y in range(HEIGHT) if top_down else reversed(range(HEIGHT)):
        if bits >= 16:
            row = b"".join(pixel(x, y).to_bytes(bits // 8, "little") for x in range(WIDTH))
        else:
            text = "".join(format(pixel(x, y), f"0{bits}b") for x in range(WIDTH))
            text += "0" * (-len(text) % 8)
            row = int(text, 2).to_bytes(len(text) // 8, "big")
        rows.append(row + bytes(-len(row) % 4))
    data = b"".join(rows)
    extra = struct.pack(f"<{len(masks)}I", *masks)
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
        colors = b"".join(bytes(color[::-1]) for color in palette)
    else:
        height = -HEIGHT if top_down else HEIGHT
        compression = 3 if masks else 0
        info = struct.pack(
            "<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(data), 0, 0, len(palette), 0
        )
        colors = b"".join(bytes(color[::-1]) + b"\0" for color in palette)
    info = (info + extra).ljust(header, b"\0")
    start = 14 + len(info) + len(colors)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + colors + data


def packed(*shifts_and_bits):
    """A pixel's number from red, green, blue (and alpha): each (shift, bits)."""

    def pixel(x, y):
        return sum((eight(x, y, c) >> (8 - bits)) << shift for c, (shift, bits) in enumerate(shifts_and_bits))

    return pixel


def on_larger_screen(gif):
    """A GIF's screen made larger than its frame."""
    return gif[:6] + struct.pack("<HH", WIDTH + 5, HEIGHT + 3) + gif[10:]


def eight(x, y, c):
    return photo(x, y, c, WIDTH, HEIGHT)


def sixteen(x, y, c):
    return photo(x, y, c, WIDTH, HEIGHT) << 8 | noise(x, y, c, WIDTH, HEIGHT)


def four(x, y, c):
    return eight(x, y, c) >> 4


PALETTE = bytes(noise(i, 1, c, 0, 0) for i in range(16) for c in range(3))
GREY, RGB, INDEXED, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

PILLOW_FILES = {
    "ycc420.jpg": lambda: jpeg(quality=90, subsampling=2),
    "ycc422.jpg": lambda: jpeg(quality=90, subsampling=1),
    "ycc444.jpg": lambda: jpeg(quality=90, subsampling=0),
    "progressive.jpg": lambda: jpeg(quality=80, progressive=True),
    "grey.jpg": lambda: jpeg("L", quality=90),
    "restarts.jpg": lambda: jpeg(quality=90, restart_marker_blocks=2),
    "rgb.png": lambda: png(RGB, 8, eight, 3),
    "rgb_interlaced.png": lambda: png(RGB, 8, eight, 3, interlaced=True),
    "rgb_transparent_color.png": lambda: png(RGB, 8, eight, 3, extra=chunk(b"tRNS", bytes(v for c in range(3) for v in (0, eight(9, 9, c))))),
    "rgb_alpha.png": lambda: png(RGB_ALPHA, 8, lambda x, y, c: eight(x, y, c) if c < 3 else noise(x, y, 3, 0, 0), 4),
    "grey.png": lambda: png(GREY, 8, eight, 1),
    "grey_alpha.png": lambda: png(GREY_ALPHA, 8, eight, 2),
    "grey_transparent.png": lambda: png(GREY, 8, eight, 1, extra=chunk(b"tRNS", bytes([0, 100]))),
    "grey1.png": lambda: png(GREY, 1, lambda x, y, c: eight(x, y, c) >> 7, 1),
    "grey2.png": lambda: png(GREY, 2, lambda x, y, c: eight(x, y, c) >> 6, 1),
    "grey4.png": lambda: png(GREY, 4, four, 1),
    "palette.png": lambda: png(INDEXED, 4, four, 1, extra=chunk(b"PLTE", PALETTE)),
    "palette_alpha.png": lambda: png(
        INDEXED, 4, four, 1, extra=chunk(b"PLTE", PALETTE) + chunk(b"tRNS", bytes(range(0, 160, 10)))
    ),
}

COLORS = [tuple(PALETTE[3 * i : 3 * i + 3]) for i in range(16)]

PILLOW_FILES |= {
    "rgb.bmp": lambda: saved("RGB", "BMP"),
    "grey.bmp": lambda: saved("L", "BMP"),
    "one.bmp": lambda: saved("1", "BMP"),
    "palette.bmp": lambda: saved("P", "BMP"),
    "palette1.bmp": lambda: bmp(1, lambda x, y: eight(x, y, 0) >> 7, COLORS[3:5]),
    "palette4.bmp": lambda: bmp(4, lambda x, y: four(x, y, 0), COLORS),
    "core4.bmp": lambda: bmp(4, lambda x, y: four(x, y, 0), COLORS, header=12),
    "core24.bmp": lambda: bmp(24, packed((16, 8), (8, 8), (0, 8)), header=12),
    "top_down.bmp": lambda: bmp(24, packed((16, 8), (8, 8), (0, 8)), top_down=True),
    "555.bmp": lambda: bmp(16, packed((10, 5), (5, 5), (0, 5))),
    "565.bmp": lambda: bmp(16, packed((11, 5), (5, 6), (0, 5)), masks=(0xF800, 0x7E0, 0x1F)),
    "rgbx.bmp": lambda: bmp(32, packed((16, 8), (8, 8), (0, 8))),
    "xbgr.bmp": lambda: bmp(32, packed((24, 8), (16, 8), (8, 8)), masks=(0xFF000000, 0xFF0000, 0xFF00)),
    "rgba_v5.bmp": lambda: bmp(
        32, packed((16, 8), (8, 8), (0, 8), (24, 8)), masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000), header=124
    ),
    "palette.gif": lambda: saved("P", "GIF", interlace=0),
    "interlaced.gif": lambda: saved("P", "GIF", interlace=1),
    "transparent.gif": lambda: saved("P", "GIF", transparency=7),
    "grey.gif": lambda: saved("L", "GIF"),
}

# Name: the PNG file's colour type, channels, and whether it is interlaced.
DEEP_FILES = {
    "grey16.png": (GREY, 1, False),
    "grey_alpha16.png": (GREY_ALPHA, 2, False),
    "rgb16.png": (RGB, 3, False),
    "rgb_alpha16.png": (RGB_ALPHA, 4, True),
}

MODES = ["L", "LA", "RGB", "RGBA"]


def own_mode(opened):
    """The mode that keeps all information of the picture."""
    transparent = "transparency" in opened.info
    grey = opened.mode in ("1", "L", "LA")
    if opened.mode == "P":
        values = opened.getpalette("RGB")
        grey = values[0::3] == values[1::3] == values[2::3]
    return ("L" if grey else "RGB") + ("A" if transparent or opened.mode.endswith("A") else "")


def line(name, channels, bits, forms, size=(WIDTH, HEIGHT)):
    hashes = " ".join(f"{fnv(form):016x}" for form in [forms[channels - 1], *forms])
    return f"{name} {size[0]} {size[1]} {channels} {bits} {hashes}\n"


def own_form(path):
    opened = Image.open(path)
    own = opened.convert(own_mode(opened))
    own.info.pop("transparency", None)  # it is in the alpha channel now
    return own


def pillow_line(name, own):
    return line(name, len(own.mode), 8, [own.convert(other).tobytes() for other in MODES], own.size)


def deep_line(name, channels):
    pixels = [[sixteen(x, y, c) for c in range(channels)] for y in range(HEIGHT) for x in range(WIDTH)]
    forms = []
    for wanted in range(1, 5):
        data = b""
        for pixel in pixels:
            rgb = pixel[:3] if channels > 2 else pixel[:1] * 3
            grey = pixel[0] if channels <= 2 else (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16
            alpha = pixel[-1] if channels % 2 == 0 else 65535
            data += struct.pack(f"<{wanted}H", *(rgb if wanted > 2 else [grey]), *([alpha] if wanted % 2 == 0 else []))
        forms.append(data)
    return line(name, channels, 16, forms)


def main():
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    lines = []
    for name, make in PILLOW_FILES.items():
        (folder / name).write_bytes(make())
        lines.append(pillow_line(name, own_form(folder / name)))
    (folder / "screen.gif").write_bytes(on_larger_screen(saved("P", "GIF")))
    around = Image.new("RGBA", (WIDTH + 5, HEIGHT + 3), (0, 0, 0, 0))
    around.paste(own_form(folder / "palette.gif").convert("RGBA"), (0, 0))
    lines.append(pillow_line("screen.gif", around))
    for name, (color_type, channels, interlaced) in DEEP_FILES.items():
        (folder / name).write_bytes(png(color_type, 16, sixteen, channels, interlaced))
        lines.append(deep_line(name, channels))
    cmyk = jpeg("CMYK")
    adobe = cmyk.index(b"Adobe\0")  # its last byte is the colour transform: 2 is YCCK
    (folder / "cmyk.jpg").write_bytes(cmyk)
    (folder / "ycck.jpg").write_bytes(cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :])
    # Two squares that differ in their low bytes only, for test_data.sh.
    for number in range(2):
        low = lambda x, y, c: 0x8000 | (noise(x, y, number, 0, 0) if number else 8 * x + y)
        (folder / f"deep{number}.png").write_bytes(png(GREY, 16, low, 1, size=(32, 32)))
    (HERE / "images.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
