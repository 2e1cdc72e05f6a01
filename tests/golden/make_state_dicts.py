#!/usr/bin/env python3
"""Write state_dict_*: state dictionaries as the published PyTorch code saves them, and pictures that PyTorch draws.

    python3 tests/golden/make_state_dicts.py [FOLDER]        (default: this folder)

state_dict_KIND.safetensors has no metadata: batch norm as DataParallel and an early PyTorch saved it ("module." before
every name, no num_batches_tracked), instance norm with the running statistics that PyTorch once kept for it, and no
norm at all, where only the last layer has a bias. state_dict_KIND.png is drawn with each from state_dict_input.png, in
double precision, with the picture's own statistics; state_dict_batch_running.png is drawn with the running ones.
test_translate.sh compares p2p's pictures with them. Needs PyTorch and Pillow."""

import os
import sys

import torch
from PIL import Image
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from pytorch_pix2pix import Generator, initialise, save_safetensors, state_as_f32

WIDTH, HEIGHT, DEPTH, FILTERS = 24, 16, 3, 2


def replace_norm(module, kind):
    """As in the published code: instance norm has no parameters, and the convolutions before it have biases."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.InstanceNorm2d(child.num_features) if kind == "instance" else nn.Identity())
        elif kind == "instance" and isinstance(child, (nn.Conv2d, nn.ConvTranspose2d)) and child.bias is None:
            child.bias = nn.Parameter(torch.zeros(child.out_channels))
        else:
            replace_norm(child, kind)


def make_generator(kind, seed):
    generator = Generator(3, 3, DEPTH, FILTERS)
    if kind != "batch":
        replace_norm(generator, kind)
    generator.double()
    initialise(generator, 0.3, seed, everywhere=True)
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5).copy_(module.running_mean.float())
            module.running_var.uniform_(0.5, 1.5).copy_(module.running_var.float())
    return generator


def published_state(generator, kind):
    state = state_as_f32(generator)
    if kind == "batch":
        return {"module." + name: tensor for name, tensor in state.items() if "num_batches" not in name}
    for name, module in generator.named_modules():
        if isinstance(module, nn.InstanceNorm2d):
            state[name + ".running_mean"] = torch.zeros(module.num_features)
            state[name + ".running_var"] = torch.ones(module.num_features)
    return state


def draw_input():
    values = bytes((x * 11 + y * 5 * (c + 1) + (x // 5 + y // 4) % 2 * 60) % 256
                   for y in range(HEIGHT) for x in range(WIDTH) for c in range(3))
    return Image.frombytes("RGB", (WIDTH, HEIGHT), values)


def translate(generator, picture):
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).reshape(HEIGHT, WIDTH, 3)
    with torch.no_grad():
        drawn = generator(pixels.permute(2, 0, 1)[None].double() / 127.5 - 1)[0].permute(1, 2, 0)
    return Image.frombytes("RGB", (WIDTH, HEIGHT), bytes(((drawn + 1) * 127.5).round().to(torch.uint8).flatten()))


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else HERE
    torch.set_num_threads(1)
    torch.manual_seed(5)
    picture = draw_input()
    picture.save(os.path.join(folder, "state_dict_input.png"))
    for seed, kind in enumerate(["batch", "instance", "none"]):
        generator = make_generator(kind, seed)
        base = os.path.join(folder, f"state_dict_{kind}")
        save_safetensors(base + ".safetensors", published_state(generator, kind), {})
        if kind == "batch":
            translate(generator.eval(), picture).save(base + "_running.png")
        translate(generator.train(), picture).save(base + ".png")


if __name__ == "__main__":
    main()
