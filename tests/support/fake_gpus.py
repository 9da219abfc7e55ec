"""Fake GPUs: tensors that say they lie on ``fakegpu:0`` or ``fakegpu:1``, computed on the CPU.

As on real GPUs, tensors of two of them in one operation are an error, and so are main memory's, but for indices and single
numbers. What it shows is that code sends every tensor where it belongs, with the numbers of an undivided model; not speed,
not CUDA. Importing it registers the device type for the whole process, so tests import it in a process of their own.
"""

from contextlib import contextmanager, nullcontext

import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend


class _Module(_DummyBackendModule):
    # What checkpointing asks of a device.
    def get_amp_supported_dtype(self):
        return [torch.bfloat16]

    def is_autocast_enabled(self):
        return False

    def device(self, index):
        return nullcontext()

    def get_rng_state(self, *_):
        return torch.get_rng_state()

    def set_rng_state(self, state, *_):
        torch.set_rng_state(state)


_setup_privateuseone_for_python_backend(rename="fakegpu", backend_module=_Module())
# Operations from one device to another.
CROSSES = {"copy_", "_to_copy", "to"}
# Operations that take indices from main memory.
TAKES_INDICES = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class FakeTensor(torch.Tensor):
    """A tensor on a fake GPU; ``held`` holds the numbers."""

    @staticmethod
    def __new__(cls, inner, index):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device("fakegpu", index),
        )
        made.held = inner
        return made

    def __repr__(self):
        return f"FakeTensor({self.held}, {self.device})"

    def tolist(self):
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), named=None):
        return compute(function, arguments, named or {})


def compute(function, arguments, named):
    name = function._schema.name.split("::")[1]
    leaves = tree_leaves((arguments, named))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    found = {tensor.device for tensor in tensors if isinstance(tensor, FakeTensor)}
    asked = next((leaf for leaf in leaves if isinstance(leaf, torch.device)), None)
    place = asked or next(iter(found), torch.device("cpu"))
    if name not in CROSSES:
        if len(found) > 1:
            raise RuntimeError(f"{name}: tensors on {sorted(map(str, found))}")
        strangers = [tensor for tensor in tensors if not isinstance(tensor, FakeTensor) and tensor.dim()]
        if found and strangers and name not in TAKES_INDICES:
            raise RuntimeError(f"{name}: tensors on {found} and in main memory")
    out = function(*(tree_map(_plain, arguments)), **tree_map(_plain, named))
    if name.endswith("_") and not name.endswith("__"):
        return arguments[0]
    if place.type != "fakegpu":
        return out
    return tree_map(lambda leaf: FakeTensor(leaf, place.index or 0) if isinstance(leaf, torch.Tensor) else leaf, out)


def _plain(leaf):
    if isinstance(leaf, FakeTensor):
        return leaf.held
    return torch.device("cpu") if isinstance(leaf, torch.device) and leaf.type == "fakegpu" else leaf


class _Empty(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        leaves = tree_leaves((arguments, named))
        fake = any(getattr(leaf, "type", None) == "fakegpu" or isinstance(leaf, FakeTensor) for leaf in leaves)
        return compute(function, arguments, named or {}) if fake else function(*arguments, **(named or {}))


class _FromLists(TorchFunctionMode):
    # What torch makes of lists reaches no dispatch mode.
    def __torch_function__(self, function, types, arguments=(), named=None):
        named = dict(named or {})
        if function is torch.tensor and torch.device(named.get("device") or "cpu").type == "fakegpu":
            place = torch.device(named.pop("device"))
            return FakeTensor(torch.tensor(*arguments, **named), place.index or 0)
        if function is torch.Tensor.__getitem__ and isinstance(arguments[0], FakeTensor):
            whole, index = arguments
            index = index if isinstance(index, tuple) else (index,)
            # A list becomes a tensor on the device of what it picks from, as on a real GPU.
            here = whole.device.index
            index = [FakeTensor(torch.tensor(part), here) if isinstance(part, list) else part for part in index]
            arguments = whole, tuple(index)
        return function(*arguments, **named)


@contextmanager
def fake():
    """Within it new tensors can be asked for on a fake GPU."""
    # One thread walks back through all devices: a backend in Python cannot say how many there are.
    with _Empty(), _FromLists(), torch.autograd.set_multithreading_enabled(False):
        yield


class Placed(AlignDevicesHook):
    """accelerate's own hook, on weights that are where they belong already."""

    def init_hook(self, module):
        return module


def divide(network, cut):
    """Deal a transformers decoder's layers out: embeddings and layers before ``cut`` on GPU 0, the rest on GPU 1."""
    inner = network.base_model
    tied = network.config.tie_word_embeddings  # then the head lies where the embeddings do
    places = {"model.embed_tokens": 0, "model.rotary_emb": 0, "model.norm": 1, "lm_head": 0 if tied else 1}
    places |= {f"model.layers.{number}": int(number >= cut) for number in range(len(inner.layers))}
    for name, index in places.items():
        for module in network.get_submodule(name).modules():
            for key, weight in list(module._parameters.items()):
                if weight is not None:
                    module._parameters[key] = torch.nn.Parameter(FakeTensor(weight.data, index), requires_grad=False)
            for key, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[key] = FakeTensor(buffer, index)
    if tied:
        network.lm_head._parameters["weight"] = inner.embed_tokens.weight
    devices = {name: torch.device("fakegpu", index) for name, index in places.items()}
    for name, device in {"": torch.device("fakegpu", 0), **devices}.items():
        # As accelerate's dispatch_model hooks them: the whole network answers where it was asked.
        add_hook_to_module(network.get_submodule(name), Placed(device, io_same_device=not name))
    network.hf_device_map = devices
    return network
