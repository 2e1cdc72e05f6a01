"""One step of pix2pix in each framework, for the processes of ci/bench.

A variant is a dictionary: framework, what (train or translate), batch, precision, threads, the device (PyTorch's name of it;
the others run on the CPU only), and further fields of the framework. make_step(variant) returns a function that runs one
step and returns when the step is complete; on a GPU the step may still be under way, and the function's `finish` waits for
it, as p2p's own bench waits at the end only. A framework is imported when a step of it is made, so that a process holds two
only if one exports for the other. Nothing is timed here.

The networks are those of tests/pytorch/pytorch_pix2pix.py, normalised by the statistics of the batch, at batch 1 those of
the image. ONNX Runtime and OpenVINO run the generator as exported from PyTorch, for one image, with instance
normalisation, which is the same at batch 1, and without dropout, which saves them work. The networks of TensorFlow are
written in Keras; its data are NHWC, its native layout.
"""

import importlib.util
import os
import pathlib
import sys
import tempfile
import warnings

SIZE, DEPTH, FILTERS = 256, 8, 64
NEEDS = {"PyTorch": ["torch"], "TensorFlow": ["tensorflow"], "ONNX Runtime": ["torch", "onnx", "onnxruntime"],
         "OpenVINO": ["torch", "onnx", "openvino"]}


def missing(framework):
    """Names of the modules that the framework needs and that are not installed."""
    return [name for name in NEEDS[framework] if importlib.util.find_spec(name) is None]


def variants_of(framework, what, batch, compiled, device):
    """All variants of a framework to run a workload; with `compiled` also those that take minutes to start."""
    def variant(name, precision="fp32", **more):
        return dict(framework=framework, name=name, what=what, batch=batch, precision=precision, device=device, **more)

    if framework == "PyTorch" and device == "cuda":
        return [variant(name, precision, channels_last=True, **more)
                for precision in ("bf16", "tf32", "fp32")
                for name, more in cuda_ways(compiled and precision != "fp32")]
    if framework == "PyTorch":
        return [variant(("compile" if c else "eager") + (", channels_last" if last else ""), precision, compiled=c,
                        channels_last=last)
                for precision in ("fp32", "bf16") for c in ([False, True] if compiled else [False])
                for last in (False, True)]
    if device != "cpu":
        return []
    if framework == "TensorFlow":
        return [variant("XLA" if xla else "function", xla=xla) for xla in ([False, True] if compiled else [False])]
    if what != "translate" or batch != 1:
        return []
    return [variant("exported", precision) for precision in (["fp32", "bf16"] if framework == "OpenVINO" else ["fp32"])]


def cuda_ways(compiled):
    """(name, fields) of PyTorch's ways on an NVIDIA GPU, all with channels_last, fused Adam and all of cuDNN's plans tried."""
    ways = [("eager", {}), ("CUDA graph", {"graph": True})]
    if compiled:
        ways += [("compile", {"compiled": "default"}),
                 ("compile max-autotune, CUDA graph", {"compiled": "max-autotune-no-cudagraphs", "graph": True}),
                 ("compile max-autotune", {"compiled": "max-autotune"})]
    return ways


def make_step(variant):
    return {"PyTorch": torch_step, "TensorFlow": tensorflow_step, "ONNX Runtime": onnxruntime_step,
            "OpenVINO": openvino_step}[variant["framework"]](variant)


# ---- PyTorch -------------------------------------------------------------------------------------------------------


def pix2pix():
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "pytorch"))
    import pytorch_pix2pix
    return pytorch_pix2pix


def under_autocast(network, device):
    """Convolutions in bfloat16. Their results are float32, and with them the losses."""
    import torch
    forward = network.forward

    def run(x):
        with torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False):  # no weight is used twice in a pass
            y = forward(x)
        return y.float()

    network.forward = run


def captured(run):
    """The whole of `run` as one CUDA graph, and its results, which the next replay overwrites. It runs before, in a stream
    of its own, so that all is allocated and chosen. Raises RuntimeError if something in it can't be captured."""
    import torch
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = run()

    def replay():
        graph.replay()
        return results

    return replay


def compile_network(network, mode):
    """As torch.compile has it by default, with `mode` True, or in another mode."""
    network.compile(**({} if mode is True else {"mode": mode}))


def set_up_torch(variant):
    import torch
    torch.set_num_threads(variant["threads"])
    torch.backends.cudnn.benchmark = True
    if variant["device"] == "cuda":
        torch.backends.cudnn.benchmark_limit = 0  # all plans are tried, not ten
    # By default convolutions of float32 run on tensor cores as tf32, with 10 bits of fraction.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = variant["precision"] == "tf32"


def torch_networks(variant):
    """(generator, discriminator, a pair of images)"""
    import torch
    nets, device = pix2pix(), variant["device"]
    layout = torch.channels_last if variant["channels_last"] else torch.contiguous_format

    def prepare(network, seed):
        nets.initialise(network, 0.02, seed)
        network.to(device, memory_format=layout)
        if variant["precision"] == "bf16":
            under_autocast(network, device)
        if variant.get("compiled"):
            compile_network(network, variant["compiled"])
        return network

    pair = [torch.rand(variant["batch"], 3, SIZE, SIZE).mul(2).sub(1).to(device, memory_format=layout) for _ in range(2)]
    return (prepare(nets.Generator(3, 3, DEPTH, FILTERS, dropout=0.5), 1), prepare(nets.Discriminator(6, FILTERS), 2),
            pair)


def torch_work(variant):
    """A function that begins a step and returns what it computes."""
    import torch
    generator, discriminator, pair = torch_networks(variant)
    if variant["what"] == "translate":
        return torch.no_grad()(lambda: generator(pair[0]))
    on_gpu = variant["device"] == "cuda"
    training = pix2pix().Training(generator, discriminator, **(dict(fused=True, capturable=True) if on_gpu else {}))
    if variant.get("compiled") == "max-autotune":  # a step's results are of no use in the next

        def advance():
            torch.compiler.cudagraph_mark_step_begin()
            return training.advance(*pair)

        return advance
    return lambda: training.advance(*pair)


def torch_step(variant):
    import torch
    set_up_torch(variant)
    run = torch_work(variant)
    if variant.get("graph"):
        run = captured(run)
    if variant["what"] == "translate":
        return lambda: run().cpu()

    def step():
        run()

    if variant["device"] == "cuda":
        step.finish = torch.cuda.synchronize
    return step


# ---- What PyTorch exports ------------------------------------------------------------------------------------------


def instance_norms(network):
    """Batch normalisation of one image as instance normalisation, which it is equal to."""
    from torch import nn
    for name, module in network.named_children():
        if isinstance(module, nn.BatchNorm2d):
            norm = nn.InstanceNorm2d(module.num_features, eps=module.eps, affine=True)
            norm.load_state_dict(dict(weight=module.weight, bias=module.bias))
            setattr(network, name, norm)
        else:
            instance_norms(module)
    return network


def exported_generator(folder):
    """(path of an ONNX file, an image for it)"""
    import torch
    nets = pix2pix()
    generator = nets.Generator(3, 3, DEPTH, FILTERS)
    nets.initialise(generator, 0.02, 1)
    image = torch.rand(1, 3, SIZE, SIZE).mul(2).sub(1)
    path = os.path.join(folder, "generator.onnx")
    with warnings.catch_warnings(action="ignore"):  # among others one about the export of instance normalisation
        torch.onnx.export(instance_norms(generator).eval(), (image,), path, input_names=["image"], dynamo=False)
    return path, image.numpy()


def onnxruntime_step(variant):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = variant["threads"], 1
    with tempfile.TemporaryDirectory() as folder:
        path, image = exported_generator(folder)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"image": image})


def openvino_step(variant):
    import openvino
    settings = {"INFERENCE_NUM_THREADS": variant["threads"], "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[variant["precision"]]}
    with tempfile.TemporaryDirectory() as folder:
        path, image = exported_generator(folder)
        core = openvino.Core()
        request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    return lambda: request.infer({0: image})[0]


# ---- TensorFlow ----------------------------------------------------------------------------------------------------


def keras_layers():
    """Convolutions and normalisation of the published networks, by name."""
    import keras
    start = keras.initializers.RandomNormal(stddev=0.02)

    def conv(x, filters, stride=2, bias=False):
        if stride == 1:  # "same" would pad a side of 4 by 1 and 2
            x = keras.layers.ZeroPadding2D(1)(x)
        return keras.layers.Conv2D(filters, 4, stride, "same" if stride == 2 else "valid", use_bias=bias,
                                   kernel_initializer=start)(x)

    def transposed(x, filters, bias=False):
        return keras.layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=bias, kernel_initializer=start)(x)

    def norm(x):
        return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x, training=True)

    def leaky(x):
        return keras.layers.LeakyReLU(negative_slope=0.2)(x)

    return conv, transposed, norm, leaky


def keras_generator():
    import keras
    conv, transposed, norm, leaky = keras_layers()
    channels = [FILTERS * min(2**level, 8) for level in range(DEPTH)]

    def inside(x, level):
        """From the input of a level's convolution to the result of its transposed convolution."""
        y = conv(leaky(x), channels[level])
        if level < DEPTH - 1:
            y = norm(y)
            y = keras.layers.Concatenate()([y, inside(y, level + 1)])
        y = norm(transposed(keras.layers.ReLU()(y), channels[level - 1]))
        return keras.layers.Dropout(0.5)(y, training=True) if 4 <= level < DEPTH - 1 else y

    image = keras.Input((SIZE, SIZE, 3))
    first = conv(image, channels[0])
    y = keras.layers.Concatenate()([first, inside(first, 1)])
    y = transposed(keras.layers.ReLU()(y), 3, bias=True)
    return keras.Model(image, keras.layers.Activation("tanh")(y))


def keras_discriminator():
    import keras
    conv, _, norm, leaky = keras_layers()
    pair = keras.Input((SIZE, SIZE, 6))
    x = leaky(conv(pair, FILTERS, bias=True))
    for filters, stride in ((2, 2), (4, 2), (8, 1)):
        x = leaky(norm(conv(x, filters * FILTERS, stride)))
    return keras.Model(pair, conv(x, 1, stride=1, bias=True))


def keras_training(generator, discriminator):
    """The published step as one function of two images."""
    import keras
    import tensorflow as tf
    adam_g, adam_d = (keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-8) for _ in range(2))
    for adam, network in ((adam_g, generator), (adam_d, discriminator)):
        adam.build(network.trainable_variables)

    def loss(logits, real):
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.fill(tf.shape(logits), real), logits))

    def step(condition, target):
        with tf.GradientTape() as tape:
            fake = generator(condition)
            with tape.stop_recording(), tf.GradientTape() as tape_d:
                d_fake = loss(discriminator(tf.concat([condition, fake], 3)), 0.0)
                d_real = loss(discriminator(tf.concat([condition, target], 3)), 1.0)
                d_loss = 0.5 * (d_fake + d_real)
            with tape.stop_recording():
                adam_d.apply_gradients(zip(tape_d.gradient(d_loss, discriminator.trainable_variables),
                                           discriminator.trainable_variables))
            g_loss = (loss(discriminator(tf.concat([condition, fake], 3)), 1.0) +
                      100.0 * tf.reduce_mean(tf.abs(fake - target)))
        adam_g.apply_gradients(zip(tape.gradient(g_loss, generator.trainable_variables),
                                   generator.trainable_variables))
        return d_fake, d_real, g_loss

    return step


def tensorflow_step(variant):
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(variant["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(1)
    generator = keras_generator()
    pair = [tf.random.uniform((variant["batch"], SIZE, SIZE, 3), -1, 1) for _ in range(2)]
    if variant["what"] == "translate":
        run = tf.function(lambda image: generator(image), jit_compile=variant["xla"])
        return lambda: run(pair[0]).numpy()
    run = tf.function(keras_training(generator, keras_discriminator()), jit_compile=variant["xla"])
    return lambda: [loss.numpy() for loss in run(*pair)]
