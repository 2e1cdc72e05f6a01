#!/usr/bin/env python3
"""Make the golden files of tests/models/test_golden.c: tiny pix2pix trainings by PyTorch in double precision.

    python3 tests/golden/make_golden.py [FOLDER]        (default: this folder)

For each case, CASE_generator.safetensors and CASE_discriminator.safetensors are the initial weights, and
CASE_expected.safetensors holds the images, every layer's result and every gradient of the first step, the losses of all
steps, and weights, running statistics, Adam's moments and translated images after the last. Computed in float64,
stored in float32. Parameters whose true gradient is zero, which Adam moves by full steps in the direction of rounding
noise, are excluded and named in the metadata. state_dicts.txt lists the full-sized networks' tensors. Needs PyTorch
(Debian's python3-torch or PyPI's torch), nothing else. Dropout is off, because its masks differ between programs.
"""

import dataclasses
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "pytorch"))
from pytorch_pix2pix import (PYTORCH, TENSORFLOW, Discriminator, Generator, PixelDiscriminator, Style, Training,
                             initialise, save_safetensors, state_as_f32)

STEPS = 3

DEFAULTS = dict(input_channels=3, output_channels=3, discriminator_net="patch", discriminator_layers=3,
                learning_rate=1e-3, lambda_l1=100.0, beta1=0.5, beta2=0.999, adam_eps=1e-8, d_order="first",
                gan_mode="bce", style=PYTORCH,
                init_stddev=0.1)  # more than in training, so that layers of so few channels do not vanish

CASES = {
    # square, the default discriminator
    "batch1": dict(batch=1, height=32, width=32, depth=3, ngf=3, ndf=2, learning_rate=2e-4),
    # every width of the U-Net, statistics over two images, a 1x1 bottleneck
    "batch2": dict(batch=2, height=32, width=32, depth=5, ngf=1, ndf=2),
    # the smallest U-Net, unequal channels, a shallower discriminator, a large bottleneck, odd numbers
    "batch3": dict(batch=3, height=20, width=28, input_channels=2, output_channels=1, depth=2, ngf=3, ndf=2,
                   discriminator_layers=2, lambda_l1=10.0),
    # --preset tensorflow
    "tensorflow": dict(batch=2, height=16, width=16, depth=3, ngf=2, ndf=2, discriminator_layers=1, adam_eps=1e-7,
                       d_order="simultaneous", style=TENSORFLOW),
    # the same over a single number in the bottleneck: the result is the shift, the gradient is exactly zero
    "one_pixel": dict(batch=1, height=16, width=16, depth=4, ngf=1, ndf=1, discriminator_layers=1, adam_eps=1e-7,
                      d_order="simultaneous", style=TENSORFLOW),
    # instance normalisation, lsgan, 1 and 4 channels
    "instance": dict(batch=2, height=16, width=24, input_channels=1, output_channels=4, depth=3, ngf=2, ndf=2,
                     discriminator_layers=2, gan_mode="lsgan", style=Style(norm="instance", eps=1e-4)),
    # the pixel discriminator, 4 and 1 channels, every number unusual; its weights are large, so that its activations
    # change sign: in a channel of one sign, the normalisation would remove the gradient of its bias
    "pixel": dict(batch=2, height=12, width=16, input_channels=4, output_channels=1, discriminator_net="pixel", depth=2,
                  ngf=2, ndf=3, lambda_l1=20.0, beta1=0.4, beta2=0.99, adam_eps=1e-3,
                  init_stddev=0.7, style=Style(eps=1e-2, momentum=0.3, slope=0.05)),
    # no normalisation, lsgan against the old discriminator
    "none": dict(batch=2, height=16, width=16, discriminator_layers=1, depth=2, ngf=2, ndf=2, d_order="simultaneous",
                 gan_mode="lsgan", style=Style(norm="none")),
}


def draw_images(case, seed):
    """Smooth random pictures of whole numbers 0 to 255: STEPS, batch, channels, height, width."""
    generator = torch.Generator().manual_seed(seed)
    pair = []
    for channels in (case["input_channels"], case["output_channels"]):
        coarse = torch.rand(STEPS * case["batch"], channels, 5, 5, generator=generator, dtype=torch.float64)
        smooth = torch.nn.functional.interpolate(coarse, (case["height"], case["width"]), mode="bilinear",
                                                 align_corners=True)
        noise = torch.rand(smooth.shape, generator=generator, dtype=torch.float64)
        picture = (200 * smooth + 55 * noise).floor()
        pair.append(picture.reshape(STEPS, case["batch"], channels, case["height"], case["width"]))
    return pair


def to_activation(picture):
    return picture / 127.5 - 1


class LayerRecorder:
    """Copies every convolution's and normalisation's result, named "PASS.MODULE", while `current` names a pass."""

    def __init__(self, training):
        self.current, self.results, self.hooks = None, {}, []
        for network in (training.generator, training.discriminator):
            for name, module in network.named_modules():
                if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.BatchNorm2d,
                                       torch.nn.InstanceNorm2d)):
                    self.hooks.append(module.register_forward_hook(self.hook(name)))

    def hook(self, name):
        def record(module, inputs, output):
            # a copy at once: the next layer may change it in place
            self.results[f"layer.{self.current}.{name}"] = output.detach().clone()
        return record

    def enter(self, name):
        self.current = name

    def stop(self):
        for hook in self.hooks:
            hook.remove()


def evaluate(generator, condition, target):
    """Translations with each image's own statistics, and with the running ones, and their L1 distances."""
    results = {}
    with torch.no_grad():
        # a copy of the state, because a pass in training mode updates the running statistics
        state = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
        image = torch.cat([generator(condition[i : i + 1]) for i in range(condition.shape[0])])
        generator.load_state_dict(state)
        generator.eval()
        running = generator(condition)
        generator.train()
    for name, generated in (("image", image), ("running", running)):
        results[f"evaluation.{name}.generated"] = generated
        results[f"evaluation.{name}.l1"] = torch.nn.functional.l1_loss(generated, target).reshape(1)
    return results


def networks(training):
    return (("generator", training.generator, training.adam_g),
            ("discriminator", training.discriminator, training.adam_d))


def vanishing(training):
    """Names of the parameters whose true gradient is zero: instance normalisation removes a bias before it."""
    found = []
    for network_name, network, _ in networks(training):
        for name, sequence in network.named_modules():
            if isinstance(sequence, torch.nn.Sequential):
                found += [f"{network_name}.{name}.{i}.bias" for i in range(len(sequence) - 1)
                          if isinstance(sequence[i + 1], torch.nn.InstanceNorm2d)]
    return found


def gradients(training):
    return {f"gradient.{name}.{key}": parameter.grad.clone()
            for name, network, _ in networks(training) for key, parameter in network.named_parameters()}


def final_state(training):
    results = {}
    for name, network, adam in networks(training):
        for key, tensor in network.state_dict().items():
            results[f"trained.{name}.{key}"] = tensor
        for key, parameter in network.named_parameters():
            results[f"moment1.{name}.{key}"] = adam.state[parameter]["exp_avg"]
            results[f"moment2.{name}.{key}"] = adam.state[parameter]["exp_avg_sq"]
    return results


def make_networks(case):
    style, pair_channels = case["style"], case["input_channels"] + case["output_channels"]
    generator = Generator(case["input_channels"], case["output_channels"], case["depth"], case["ngf"], style=style)
    if case["discriminator_net"] == "pixel":
        return generator, PixelDiscriminator(pair_channels, case["ndf"], style)
    return generator, Discriminator(pair_channels, case["ndf"], case["discriminator_layers"], style)


def run_case(case, seed):
    """(initial state of both networks by name, expected tensors, names of excluded parameters)."""
    generator, discriminator = (network.double() for network in make_networks(case))
    initialise(generator, case["init_stddev"], seed, everywhere=True)
    initialise(discriminator, case["init_stddev"], seed + 1, everywhere=True)
    initial = {"generator": state_as_f32(generator), "discriminator": state_as_f32(discriminator)}
    training = Training(generator, discriminator, case["lambda_l1"], case["learning_rate"],
                        (case["beta1"], case["beta2"]), case["adam_eps"], case["d_order"], case["gan_mode"])
    inputs, targets = draw_images(case, seed + 2)

    expected = {"input": inputs.to(torch.uint8), "target": targets.to(torch.uint8)}
    recorder, losses = LayerRecorder(training), []
    for step in range(STEPS):
        condition, target = to_activation(inputs[step]), to_activation(targets[step])
        losses.append(training.step(condition, target, recorder.enter))
        if step == 0:
            recorder.stop()
            expected.update(recorder.results)
            expected.update(gradients(training))
    for name in losses[0]:
        expected[f"loss.{name}"] = torch.tensor([step[name] for step in losses], dtype=torch.float64)
    expected.update(final_state(training))
    expected.update(evaluate(generator, to_activation(inputs[0]), to_activation(targets[0])))
    left_out = vanishing(training)
    for name in left_out:
        for part in ("gradient", "trained", "moment1", "moment2"):
            del expected[f"{part}.{name}"]
        # in the generator's half the result of the updated discriminator's convolution contains the moved bias
        expected.pop(f"layer.g_gan.{name.partition('.')[2].rpartition('.')[0]}", None)
    return initial, expected, left_out


def metadata_of(case, left_out):
    values = {**case, **dataclasses.asdict(case["style"])}
    del values["style"]
    return {**{key: str(value) for key, value in values.items()}, "steps": str(STEPS), "left_out": " ".join(left_out)}


def write_state_dicts(path):
    """Names and shapes of the full-sized networks' tensors, in the state dictionaries' order, for test_models.c."""
    instance, none = Style(norm="instance"), Style(norm="none")
    full_sized = {"unet_256": Generator(3, 3, 8, 64), "unet_128": Generator(3, 3, 7, 64),
                  "unet_256_instance": Generator(3, 3, 8, 64, style=instance),
                  "unet_256_none": Generator(3, 3, 8, 64, style=none),
                  "unet_256_tensorflow": Generator(3, 3, 8, 64, style=TENSORFLOW),
                  "unet_128_channels": Generator(1, 4, 7, 64),
                  "patchgan_70": Discriminator(6, 64, 3), "patchgan_16": Discriminator(6, 64, 1),
                  "patchgan_70_instance": Discriminator(6, 64, 3, instance),
                  "patchgan_70_none": Discriminator(6, 64, 3, none),
                  "patchgan_286_channels": Discriminator(5, 64, 5),
                  "pixel": PixelDiscriminator(6, 64), "pixel_instance": PixelDiscriminator(6, 64, instance)}
    with open(path, "w") as file:
        for network, module in full_sized.items():
            for name, tensor in module.state_dict().items():
                print(network, name, *tensor.shape, file=file)


def stored(name, tensor):
    return tensor.float() if tensor.dtype == torch.float64 and not name.startswith("loss.") else tensor


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    torch.set_num_threads(1)
    write_state_dicts(os.path.join(folder, "state_dicts.txt"))
    for number, (name, case) in enumerate(CASES.items()):
        case = {**DEFAULTS, **case}
        initial, expected, left_out = run_case(case, 100 * number)
        for network, state in initial.items():
            save_safetensors(os.path.join(folder, f"{name}_{network}.safetensors"), state, {"format": "pt"})
        save_safetensors(os.path.join(folder, f"{name}_expected.safetensors"),
                         {key: stored(key, tensor) for key, tensor in expected.items()}, metadata_of(case, left_out))


if __name__ == "__main__":
    main()
