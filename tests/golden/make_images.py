#!/usr/bin/env python3
"""Writes images/ (small JPEG and PNG files of every kind) and images.txt (what must come out of them).

Each line of images.txt holds: file, width, height, and the FNV-1a hash (64 bits) of the RGB bytes that Pillow's
convert("RGB") gives, or for PNG files that Pillow treats otherwise (16 bits per channel), the bytes by the
definition in image.h. Run it with Pillow installed; the results are committed."""

import io
import pathlib
import struct
import zlib

from PIL import Image

from make_resize import fnv, noise, photo

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


def png(color_type, depth, sample, channels, interlaced=False, extra=b""):
    """A PNG file whose pixel (x, y) has the channel values sample(x, y, c), each of `depth` bits."""

    def row(y, first, step):
        bits = "".join(
            format(sample(x, y, c), f"0{depth}b") for x in range(first, WIDTH, step) for c in range(channels)
        )
        bits += "0" * (-len(bits) % 8)
        return b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = b"".join(row(y, left, dx) for left, top, dx, dy in passes for y in range(top, HEIGHT, dy))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color_type, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


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
    "rgb_transparent_color.png": lambda: png(RGB, 8, eight, 3, extra=chunk(b"tRNS", bytes([0, 60, 0, 60, 0, 60]))),
    "rgb_alpha.png": lambda: png(RGB_ALPHA, 8, lambda x, y, c: eight(x, y, c) if c < 3 else noise(x, y, 3, 0, 0), 4),
    "grey.png": lambda: png(GREY, 8, eight, 1),
    "grey_alpha.png": lambda: png(GREY_ALPHA, 8, eight, 2),
    "grey1.png": lambda: png(GREY, 1, lambda x, y, c: eight(x, y, c) >> 7, 1),
    "grey4.png": lambda: png(GREY, 4, four, 1),
    "palette.png": lambda: png(INDEXED, 4, four, 1, extra=chunk(b"PLTE", PALETTE)),
    "palette_alpha.png": lambda: png(
        INDEXED, 4, four, 1, extra=chunk(b"PLTE", PALETTE) + chunk(b"tRNS", bytes(range(0, 160, 10)))
    ),
    "rgb16.png": lambda: png(RGB, 16, sixteen, 3),
    "rgb_alpha16.png": lambda: png(RGB_ALPHA, 16, sixteen, 4, interlaced=True),
}

# Pillow keeps 16-bit grey as numbers and clamps them to 8 bits; the high byte is meant.
DEFINED_FILES = {"grey16.png": lambda: png(GREY, 16, sixteen, 1)}


def line(name, rgb):
    return f"{name} {WIDTH} {HEIGHT} {fnv(rgb):016x}\n"


def main():
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    lines = []
    for name, make in PILLOW_FILES.items():
        (folder / name).write_bytes(make())
        lines.append(line(name, Image.open(folder / name).convert("RGB").tobytes()))
    for name, make in DEFINED_FILES.items():
        (folder / name).write_bytes(make())
        grey = [eight(x, y, 0) for y in range(HEIGHT) for x in range(WIDTH)]
        lines.append(line(name, bytes(value for value in grey for _ in range(3))))
    (folder / "cmyk.jpg").write_bytes(jpeg("CMYK"))
    (HERE / "images.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
