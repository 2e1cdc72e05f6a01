"""pix2pix in PyTorch, as in the two published trainings: the reference of the golden files and of follow_pytorch.py.

Written from the published description for these tests: U-Net generator, PatchGAN and pixel discriminator, one training
step in either order, and the safetensors format (so that no package beyond PyTorch is needed). It has no data
loading and no command.
Works with PyTorch 1.13 and later.
"""

import ctypes
import dataclasses
import json
import struct

import torch
from torch import nn

KERNEL = dict(kernel_size=4, padding=1)


class BatchNorm(nn.BatchNorm2d):
    """PyTorch's, and also over a single number, which PyTorch's refuses. The number is its own mean, so the result is
    the shift and no gradient passes, as in the published TensorFlow training at batch 1."""

    def forward(self, x):
        if not self.training or x.numel() > x.shape[1]:
            return super().forward(x)
        with torch.no_grad():
            self.running_mean.lerp_(x.flatten(), self.momentum)
            self.running_var.mul_(1 - self.momentum)
            self.num_batches_tracked.add_(1)
        return (x - x) * self.weight[None, :, None, None] + self.bias[None, :, None, None]


@dataclasses.dataclass(frozen=True)
class Style:
    """What the layers of both networks have in common."""

    norm: str = "batch"  # batch, instance, none
    eps: float = 1e-5
    momentum: float = 0.1  # share of the new statistics in the running ones
    slope: float = 0.2  # of LeakyReLU
    bottleneck_norm: bool = False
    dropout_blocks: str = "middle"  # middle, innermost

    def normalise(self, channels):
        if self.norm == "batch":
            return BatchNorm(channels, eps=self.eps, momentum=self.momentum)
        return nn.InstanceNorm2d(channels, eps=self.eps) if self.norm == "instance" else nn.Identity()

    def activate(self):
        return nn.LeakyReLU(self.slope, True)

    @property
    def bias(self):
        """Whether convolutions between normalisations have a bias: the shift of batch normalisation replaces it."""
        return self.norm != "batch"

    def drops(self, level, depth):
        if self.dropout_blocks == "innermost":
            return 0 < level and depth - 3 <= level
        return 4 <= level < depth - 1


PYTORCH = Style()
TENSORFLOW = Style(eps=1e-3, momentum=0.01, bottleneck_norm=True, dropout_blocks="innermost")


class SkipBlock(nn.Module):
    """One level of the U-Net: halve, apply the inner block, double; return the input concatenated with the result.

    The activations work in place, as in the published code. So the skip connection carries LeakyReLU(x), not x; the
    ReLU after the concatenation makes the two equal, and the golden files show it."""

    def __init__(self, style, outer, inner, submodule=None, inputs=None, dropout=0.0):
        super().__init__()
        self.outermost, innermost = inputs is not None, submodule is None
        down = nn.Conv2d(inputs or outer, inner, stride=2, bias=style.bias, **KERNEL)
        up = nn.ConvTranspose2d(inner if innermost else 2 * inner, outer, stride=2, bias=self.outermost or style.bias,
                                **KERNEL)
        layers = [down] if self.outermost else [style.activate(), down]
        if not self.outermost and (not innermost or style.bottleneck_norm):
            layers.append(style.normalise(inner))
        if not innermost:
            layers.append(submodule)
        layers += [nn.ReLU(True), up, nn.Tanh() if self.outermost else style.normalise(outer)]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class Generator(nn.Module):
    """Channels double from `filters` at each level, up to eight times as many."""

    def __init__(self, inputs, outputs, depth, filters, dropout=0.0, style=PYTORCH):
        super().__init__()
        channels = [filters * min(2**level, 8) for level in range(depth)]
        block = None
        for level in reversed(range(1, depth)):
            block = SkipBlock(style, channels[level - 1], channels[level], block,
                              dropout=dropout if style.drops(level, depth) else 0.0)
        self.model = SkipBlock(style, outputs, channels[0], block, inputs=inputs)

    def forward(self, x):
        return self.model(x)


class Discriminator(nn.Module):
    """PatchGAN with logits: `layers` convolutions of stride 2, two of stride 1."""

    def __init__(self, inputs, filters, layers=3, style=PYTORCH):
        super().__init__()
        modules = [nn.Conv2d(inputs, filters, stride=2, **KERNEL), style.activate()]
        for layer in range(1, layers + 1):
            before, after = (filters * min(2**n, 8) for n in (layer - 1, layer))
            stride = 2 if layer < layers else 1
            modules += [nn.Conv2d(before, after, stride=stride, bias=style.bias, **KERNEL), style.normalise(after),
                        style.activate()]
        modules.append(nn.Conv2d(after, 1, stride=1, **KERNEL))
        self.model = nn.Sequential(*modules)

    def forward(self, pair):
        return self.model(pair)


class PixelDiscriminator(nn.Module):
    """Logits for each pixel by itself."""

    def __init__(self, inputs, filters, style=PYTORCH):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(inputs, filters, 1), style.activate(),
                                 nn.Conv2d(filters, 2 * filters, 1, bias=style.bias), style.normalise(2 * filters),
                                 style.activate(), nn.Conv2d(2 * filters, 1, 1, bias=style.bias))

    def forward(self, pair):
        return self.net(pair)


def initialise(network, stddev, seed, everywhere=False, scale_stddev=None):
    """Weights from N(0, stddev), scales from N(1, scale_stddev), which is stddev unless given, the rest 0, or from
    N(0, stddev) with `everywhere`; all of them exact in float32, so that both sides start from the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                is_scale = name == "weight" and isinstance(module, nn.BatchNorm2d)
                drawn *= stddev if scale_stddev is None or not is_scale else scale_stddev
                if name == "bias" and not everywhere:
                    drawn.zero_()
                if is_scale:
                    drawn += 1
                parameter.copy_(drawn.float())


class Training:
    """Both networks, their optimisers, and the published steps: with `d_order` first the discriminator is updated
    first, and the generator with the updated one; with simultaneous both use the old discriminator, and one pass over
    the fake. `advance` makes a step and returns the losses by name as tensors, so that nothing waits for a GPU; `step`
    returns them as numbers. `adam`: further options of the optimisers."""

    def __init__(self, generator, discriminator, lambda_l1=100.0, learning_rate=2e-4, betas=(0.5, 0.999), eps=1e-8,
                 d_order="first", gan_mode="bce", **adam):
        self.generator, self.discriminator, self.lambda_l1 = generator, discriminator, lambda_l1
        self.adam_g, self.adam_d = (torch.optim.Adam(n.parameters(), lr=learning_rate, betas=betas, eps=eps, **adam)
                                    for n in (generator, discriminator))
        self.advance = self.advance_first if d_order == "first" else self.advance_simultaneous
        self.distance = (nn.functional.binary_cross_entropy_with_logits if gan_mode == "bce" else
                         nn.functional.mse_loss)

    def gan_loss(self, logits, real):
        return self.distance(logits, torch.full_like(logits, 1.0 if real else 0.0))

    def step(self, condition, target, before_pass=lambda name: None):
        """`before_pass` is called with the name of each forward pass before it. Gradients stay in .grad until the
        next step."""
        return {name: loss.item() for name, loss in self.advance(condition, target, before_pass).items()}

    def advance_first(self, condition, target, before_pass=lambda name: None):
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
        return {"d_fake": d_fake.detach(), "d_real": d_real.detach(), "g_gan": g_gan.detach(), "g_l1": g_l1.detach()}

    def advance_simultaneous(self, condition, target, before_pass=lambda name: None):
        """The same, with all gradients computed before either update."""
        before_pass("generator")
        fake = self.generator(condition)
        before_pass("d_fake")
        judged = self.discriminator(torch.cat([condition, fake], 1))
        before_pass("d_real")
        d_real = self.gan_loss(self.discriminator(torch.cat([condition, target], 1)), True)
        d_fake, g_gan = self.gan_loss(judged, False), self.gan_loss(judged, True)
        g_l1 = nn.functional.l1_loss(fake, target)
        losses = [(self.discriminator, 0.5 * (d_fake + d_real)), (self.generator, g_gan + self.lambda_l1 * g_l1)]
        for network, loss in losses:
            parameters = list(network.parameters())
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters, retain_graph=True)):
                parameter.grad = gradient
        self.adam_d.step()
        self.adam_g.step()
        return {"d_fake": d_fake.detach(), "d_real": d_real.detach(), "g_gan": g_gan.detach(), "g_l1": g_l1.detach()}


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
    """The state dictionary as in files: float32, counters int64."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor
            for name, tensor in network.state_dict().items()}
