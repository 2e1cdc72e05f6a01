"""pix2pix in PyTorch, as the published training does it: the yardstick of the golden files and of follow_pytorch.py.

Written from the published description for these tests: U-Net generator, PatchGAN discriminator, one training step,
and the safetensors format (so that no package beyond PyTorch is needed). It deliberately has no data loading and no
command.
Works with PyTorch 1.13 and later.
"""

import ctypes
import json
import struct

import torch
from torch import nn

KERNEL = dict(kernel_size=4, padding=1)


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)


class SkipBlock(nn.Module):
    """One level of the U-Net: halve, go through the inner block, double; return its input beside the result.

    The activations work in place, as in the published code. So the skip connection carries LeakyReLU(x), not x; the
    ReLU after the concatenation makes the two equal, and the golden files show it."""

    def __init__(self, outer, inner, submodule=None, inputs=None, outermost=False, innermost=False, dropout=0.0):
        super().__init__()
        self.outermost = outermost
        inputs = outer if inputs is None else inputs
        down = nn.Conv2d(inputs, inner, stride=2, bias=False, **KERNEL)
        up = nn.ConvTranspose2d(inner if innermost else 2 * inner, outer, stride=2, bias=outermost, **KERNEL)
        if outermost:
            layers = [down, submodule, nn.ReLU(True), up, nn.Tanh()]
        elif innermost:
            layers = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm(outer)]
        else:
            layers = [nn.LeakyReLU(0.2, True), down, norm(inner), submodule, nn.ReLU(True), up, norm(outer)]
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class Generator(nn.Module):
    """Channels double from `filters` at each level, up to eight times as many. Dropout is in the levels of eight times
    as many inside the fourth, without the innermost."""

    def __init__(self, inputs, outputs, depth, filters, dropout=0.0):
        super().__init__()
        channels = [filters * min(2**level, 8) for level in range(depth)]
        block = None
        for level in reversed(range(1, depth)):
            block = SkipBlock(channels[level - 1], channels[level], block, innermost=level == depth - 1,
                              dropout=dropout if 4 <= level < depth - 1 else 0.0)
        self.model = SkipBlock(outputs, channels[0], block, inputs=inputs, outermost=True)

    def forward(self, x):
        return self.model(x)


class Discriminator(nn.Module):
    """PatchGAN with logits: `layers` convolutions of stride 2, two of stride 1."""

    def __init__(self, inputs, filters, layers=3):
        super().__init__()
        modules = [nn.Conv2d(inputs, filters, stride=2, **KERNEL), nn.LeakyReLU(0.2, True)]
        for layer in range(1, layers + 1):
            before, after = (filters * min(2**n, 8) for n in (layer - 1, layer))
            stride = 2 if layer < layers else 1
            modules += [nn.Conv2d(before, after, stride=stride, bias=False, **KERNEL), norm(after),
                        nn.LeakyReLU(0.2, True)]
        modules.append(nn.Conv2d(after, 1, stride=1, **KERNEL))
        self.model = nn.Sequential(*modules)

    def forward(self, pair):
        return self.model(pair)


def initialise(network, stddev, seed, everywhere=False):
    """Weights from N(0, stddev), scales from N(1, stddev), the rest 0, or from N(0, stddev) with `everywhere`; all of
    them exact in float32, so that both sides start from the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * stddev
                if name == "bias" and not everywhere:
                    drawn.zero_()
                if name == "weight" and isinstance(module, nn.BatchNorm2d):
                    drawn += 1
                parameter.copy_(drawn.float())


class Training:
    """Both networks, their optimisers, and the published step."""

    def __init__(self, generator, discriminator, lambda_l1=100.0, learning_rate=2e-4):
        self.generator, self.discriminator, self.lambda_l1 = generator, discriminator, lambda_l1
        self.adam_g, self.adam_d = (torch.optim.Adam(n.parameters(), lr=learning_rate, betas=(0.5, 0.999), eps=1e-8)
                                    for n in (generator, discriminator))

    @staticmethod
    def gan_loss(logits, real):
        target = torch.full_like(logits, 1.0 if real else 0.0)
        return nn.functional.binary_cross_entropy_with_logits(logits, target)

    def step(self, condition, target, before_pass=lambda name: None):
        """Losses by name. `before_pass` hears which forward pass begins. Gradients stay in .grad until the next
        step."""
        before_pass("generator")
        fake = self.generator(condition)

        self.discriminator.requires_grad_(True)
        self.adam_d.zero_grad()
        before_pass("d_fake")
        d_fake = self.gan_loss(self.discriminator(torch.cat([condition, fake], 1).detach()), False)
        before_pass("d_real")
        d_real = self.gan_loss(self.discriminator(torch.cat([condition, target], 1)), True)
        (0.5 * (d_fake + d_real)).backward()
        self.adam_d.step()

        self.discriminator.requires_grad_(False)
        self.adam_g.zero_grad()
        before_pass("g_gan")
        g_gan = self.gan_loss(self.discriminator(torch.cat([condition, fake], 1)), True)
        g_l1 = nn.functional.l1_loss(fake, target)
        (g_gan + self.lambda_l1 * g_l1).backward()
        self.adam_g.step()
        return {"d_fake": d_fake.item(), "d_real": d_real.item(), "g_gan": g_gan.item(), "g_l1": g_l1.item()}


# ---- safetensors -----------------------------------------------------------------------------------------------------

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "I64": torch.int64, "U8": torch.uint8}


def save_safetensors(path, tensors, metadata):
    """`tensors`: name to tensor of one of DTYPES. Larger element types come first, which keeps all of them aligned."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, chunks, offset = {"__metadata__": metadata}, [], 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0])):
        tensor = tensor.detach().contiguous()
        data = ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def load_safetensors(path):
    """(name to tensor, metadata)."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(data[begin:end]), dtype=DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return tensors, metadata


def state_as_f32(network):
    """The state dictionary as files hold it: float32, counters int64."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in network.state_dict().items()}
