"""What ci/bench compares with on an NVIDIA GPU, checked without PyTorch and without a GPU: not that it runs there.

    python3 tests/pytorch/test_bench.py
"""

import ast
import importlib.util
import pathlib
import sys
import types

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "ci"))

import bench
import bench_frameworks

STEPS = 4


def ways(compiled, precision):
    variants = bench_frameworks.variants_of("PyTorch", "train", 16, compiled, "cuda")
    assert all(one["channels_last"] and one["batch"] == 16 for one in variants)
    return {(one.get("compiled"), one.get("graph", False)) for one in variants if one["precision"] == precision}


def test_variants():
    plain = {(None, False), (None, True)}
    compiled = {("default", False), ("max-autotune-no-cudagraphs", True), ("max-autotune", False)}
    for precision in ("bf16", "tf32", "fp32"):
        assert ways(False, precision) == plain, precision
    for precision in ("bf16", "tf32"):
        assert ways(True, precision) == plain | compiled, precision


def test_settings():
    """Of a stand-in for torch."""
    backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(), cuda=types.SimpleNamespace(matmul=types.SimpleNamespace()))
    sys.modules["torch"] = types.SimpleNamespace(set_num_threads=lambda count: None, backends=backends)
    for precision in ("bf16", "tf32", "fp32"):
        bench_frameworks.set_up_torch(dict(threads=1, device="cuda", precision=precision))
        assert backends.cudnn.benchmark is True and backends.cudnn.benchmark_limit == 0
        assert backends.cudnn.allow_tf32 is (precision == "tf32") and backends.cuda.matmul.allow_tf32 is (precision == "tf32")
    del sys.modules["torch"]


def test_networks_are_found():
    path = list(sys.path)
    try:
        bench_frameworks.pix2pix()
    except ModuleNotFoundError as error:
        assert error.name == "torch", error
    assert importlib.util.find_spec("pytorch_pix2pix"), "the networks are not where ci/bench looks for them"
    sys.path[:] = path


def test_nothing_waits_in_a_step():
    """Neither the step nor the losses that it makes ask the GPU for a number."""
    tree = ast.parse((TOP / "tests/pytorch/pytorch_pix2pix.py").read_text())
    (training,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Training"]
    steps = [node for node in training.body if isinstance(node, ast.FunctionDef) and node.name.startswith("advance_")]
    assert len(steps) == 2
    for step in steps:
        waits = [node.attr for node in ast.walk(step) if isinstance(node, ast.Attribute) and
                 node.attr in ("item", "cpu", "tolist", "numpy")]
        assert not waits, (step.name, waits)


def test_time_of_steps():
    """A step that ends later than its call is waited for once, before and after all."""
    calls = []

    def step():
        calls.append("step")

    assert len(bench.time_steps(step, STEPS)) == STEPS
    step.finish = lambda: calls.append("finish")
    calls.clear()
    assert len(bench.time_steps(step, STEPS)) == 1
    assert calls == ["finish"] + ["step"] * STEPS + ["finish"]


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
print("all as expected")
