"""A server for test_datasets.sh: archives of small data sets, served well and badly.

    dataset_server.py PORT_FILE LOG      writes its port to PORT_FILE, and a line for each request to LOG

The first part of a path says how: /good/facades.tar.gz. Each way but the good ones has one fault.
"""
import gzip
import http.server
import io
import sys
import tarfile

SPLITS = {"train": 3, "val": 2, "test": 1}
PIECE = 2500  # bytes, after which a connection is dropped


def picture(number):
    """Bytes that compress badly, so that an archive has several pieces."""
    state, data = number + 1, bytearray()
    for _ in range(1500):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        data.append(state >> 16 & 0xFF)
    return bytes(data)


def member(name, kind=tarfile.REGTYPE, link="", size=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size or 0
    return info


def archive(extra=(), data=b"x", top="facades"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(member(f"{top}/", tarfile.DIRTYPE))
        for split, count in SPLITS.items():
            for i in range(count):
                content = picture(i + len(split) * 10)
                tar.addfile(member(f"{top}/{split}/{i + 1}.jpg", size=len(content)), io.BytesIO(content))
        for info in extra:
            if info.isreg():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return gzip.compress(buffer.getvalue(), mtime=0)


GOOD = archive()
EVIL = {
    "absolute": archive([member("/tmp/p2p-evil.txt")]),
    "parent": archive([member("facades/../../evil.txt")]),
    "elsewhere": archive([member("other/evil.txt")]),
    "symlink": archive([member("facades/out", tarfile.SYMTYPE, "/tmp"), member("facades/out/evil.txt")]),
    "hardlink": archive([member("facades/hard", tarfile.LNKTYPE, "facades/train/1.jpg")]),
    "device": archive([member("facades/null", tarfile.CHRTYPE)]),
    "pipe": archive([member("facades/pipe", tarfile.FIFOTYPE)]),
    "twice": archive([member("facades/train/1.jpg")]),
    "through": archive([member("facades/train/1.jpg/evil.txt")]),
    "control": archive([member("facades/a\nb.txt")]),
    "empty": gzip.compress(b"\0" * 10240, mtime=0),
    "nogzip": b"<html>It works!</html>",
    "cut": GOOD[: len(GOOD) // 2],
    "flipped": GOOD[:4000] + bytes([GOOD[4000] ^ 0xFF]) + GOOD[4001:],
    "other": archive([member("facades/more.txt")]),
}
requests = {}  # how often each way was asked


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, data, start=0, status=None, length=None, total=None, tag='"one"', most=None):
        """Send data[start:]. Headers may lie; after `most` bytes the connection is dropped."""
        self.send_response(status or (206 if start else 200))
        if start and status != 200:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{total or len(data)}")
        if length is None or length >= 0:
            self.send_header("Content-Length", str(length if length is not None else len(data) - start))
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data[start:][:most])
        self.close_connection = True

    def do_GET(self):
        way = self.path.split("/")[1]
        count = requests[way] = requests.get(way, 0) + 1
        span, condition = self.headers.get("Range", ""), self.headers.get("If-Range")
        start = int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        with open(sys.argv[2], "a") as log:
            print(way, start, file=log)
        if way in EVIL:
            self.send(EVIL[way], start if start < len(EVIL[way]) else 0)
        elif way == "good":
            self.send(GOOD, start)
        elif way == "drops":  # every connection breaks
            self.send(GOOD, start, most=PIECE)
        elif way == "noranges":  # the first connection breaks, and Range is ignored
            self.send(GOOD, status=200, most=PIECE if count == 1 else None)
        elif way == "changes":  # the file changes while it is fetched
            data, tag = (GOOD, '"one"') if count == 1 else (EVIL["other"], '"two"')
            begin = start if condition in (None, tag) else 0
            self.send(data, begin, tag=tag, most=PIECE if count == 1 else None)
        elif way == "longer":  # there is less than it says
            self.send(GOOD, start, length=len(GOOD) + 100 - start, total=len(GOOD) + 100)
        elif way == "shorter":  # there is more than it says
            self.send(GOOD, length=len(GOOD) - 100)
        elif way == "totals":  # the total grows with every answer
            self.send(GOOD, start, total=len(GOOD) + count, most=PIECE)
        elif way == "unsized":
            self.send(GOOD, length=-1)
        elif way == "busy":  # twice
            self.send(b"busy", status=503) if count < 3 else self.send(GOOD)
        elif way == "huge":
            self.send(GOOD, length=1 << 40)
        elif way == "stops":  # as if the user's connection broke for good, until it is asked again much later
            self.send(GOOD, start, most=PIECE) if count == 1 else self.send(b"", status=503)
        else:
            self.send(b"nothing", status=404)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
with open(sys.argv[1], "w") as file:
    print(server.server_port, file=file)
server.serve_forever()
