#!/usr/bin/env python3
"""Write resaved_*: a model that p2p wrote, and what Python's safetensors makes of it when it is saved again.

    python3 tests/golden/make_resaved.py P2P [FOLDER]        P2P: the program; default folder: this one

resaved_original.safetensors is the generator of a tiny training on the reference device. The others have its tensors and
its metadata, p2p's checksum included: _same unchanged, _values with one weight changed, _metadata with one entry more.
test_model_file.c reads them. Needs safetensors and numpy; safetensors.torch has the same writer."""

import os
import shutil
import subprocess
import sys
import tempfile

import safetensors
import safetensors.numpy

FOLDER = sys.argv[2] if len(sys.argv) > 2 else os.path.dirname(os.path.abspath(__file__))


def path(kind):
    return os.path.join(FOLDER, f"resaved_{kind}.safetensors")


def train(p2p):
    with tempfile.TemporaryDirectory() as work:
        toys, run = os.path.join(work, "toys"), os.path.join(work, "run")
        subprocess.run([p2p, "sample-data", toys, "--count", "2", "--size", "32"], check=True)
        subprocess.run([p2p, "train", "--data", toys, "--out", run, "--device", "reference:0", "--size", "32", "--generator",
                        "2", "--ngf", "1", "--ndf", "1", "--steps", "2"], check=True)
        shutil.copy(os.path.join(run, "generator.safetensors"), path("original"))


def main():
    train(sys.argv[1])
    tensors = safetensors.numpy.load_file(path("original"))
    with safetensors.safe_open(path("original"), "np") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file(tensors, path("same"), metadata=metadata)
    safetensors.numpy.save_file(tensors, path("metadata"), metadata={**metadata, "note": "edited"})
    name = next(name for name in sorted(tensors) if name.endswith(".weight"))
    tensors[name] = tensors[name] + 0.125
    safetensors.numpy.save_file(tensors, path("values"), metadata=metadata)


if __name__ == "__main__":
    main()
