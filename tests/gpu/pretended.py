"""A GPU that is none: tensors that compute on the CPU, say that they are on `cuda`, and refuse to mix with others.

torch's own fake tensors refuse as well, but hold no values, so they stop at the first number that a stage reads; and
without a GPU they have no backward pass. These go through a stage from end to end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
FREE = 2**34  # bytes that the GPU says are free
# May see two devices.
COPIES = (Tensor.copy_, Tensor.data.__set__, torch._has_compatible_shallow_copy_type)
# Take indices from the CPU.
INDEXED = (Tensor.__getitem__, Tensor.__setitem__, torch.index_put, Tensor.index_put, Tensor.index_put_)
MOVES = (Tensor.to, Tensor.cpu, Tensor.cuda, Tensor.type_as)
TO_NUMPY = (Tensor.numpy, Tensor.__array__)


class MixedDevices(RuntimeError):
    """What a GPU answers to tensors that are not all on it."""


class PretendedGpu(TorchFunctionMode):
    """Knows by their storages which tensors are on the GPU: a view is where its base is, whoever made it."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: set[StorageWeakRef] = set()  # keep the place of what is gone, so no other storage takes it
        self.generators: list[torch.Generator] = []

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function == Tensor.device.__get__:
            return self.place(args[0])
        if function == Tensor.is_cuda.__get__ or function == Tensor.is_cpu.__get__:
            return self.holds(args[0]) == (function == Tensor.is_cuda.__get__)
        if function in MOVES:
            return self._move(function, args, kwargs)
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_gpu = any(map(self.holds, tensors))
        if on_gpu and function in TO_NUMPY:
            raise TypeError("a tensor on the GPU has no NumPy array: use Tensor.cpu() first")
        self._refuse_mixing(function, args, tensors)
        wanted = kwargs.pop("device", None)
        on_gpu = on_gpu if wanted is None else torch.device(wanted).type == "cuda"
        if kwargs.get("generator") is not None and self.draws(kwargs["generator"]) != on_gpu:
            raise MixedDevices(f"{function.__name__}: the generator is on another device than what it draws")
        found = function(*args, **kwargs)
        if on_gpu:
            tree_map_only(Tensor, self._hold, found)
        return found

    def draws(self, generator: torch.Generator) -> bool:
        """Whether it is a generator of the GPU."""
        return any(generator is one for one in self.generators)

    def place(self, tensor: Tensor) -> torch.device:
        return GPU if self.holds(tensor) else CPU

    def holds(self, tensor: Tensor) -> bool:
        return (place := _storage(tensor)) is not None and place in self.storages

    def _hold(self, tensor: Tensor) -> Tensor:
        if (place := _storage(tensor)) is not None:
            self.storages.add(place)
        return tensor

    def _move(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> Tensor:
        tensor, *rest = args
        if function in (Tensor.cpu, Tensor.cuda):
            function, rest, kwargs = Tensor.to, [CPU if function is Tensor.cpu else GPU], {}
        where = self.place(tensor)
        for value in (*rest, kwargs.get("device"), kwargs.get("other")):
            if isinstance(value, Tensor):
                where = self.place(value)
            elif isinstance(value, str | torch.device):
                where = torch.device(value)
        rest, kwargs = tree_map_only((str, torch.device), lambda _: CPU, (rest, kwargs))
        moved = function(tensor, *rest, **kwargs)
        if where.type != self.place(tensor).type and _storage(moved) == _storage(tensor):
            moved = moved.clone()  # another device is another memory
        return self._hold(moved) if where.type == "cuda" else moved

    def _refuse_mixing(self, function: Callable, args: tuple, tensors: list[Tensor]) -> None:
        if function in COPIES:
            return
        if function in INDEXED:
            at_home, indices = args[0], [x for x in tree_leaves(args[1]) if isinstance(x, Tensor)]
            if not self.holds(at_home) and any(map(self.holds, indices)):
                raise MixedDevices(f"{function.__name__}: indices on the GPU for a tensor on the CPU")
            return
        # A number may come from anywhere.
        places = {self.holds(x) for x in tensors if x.dim() > 0 or self.holds(x)}
        if len(places) > 1:
            where = ", ".join(f"{tuple(x.shape)} on {'cuda' if self.holds(x) else 'cpu'}" for x in tensors)
            raise MixedDevices(f"{getattr(function, '__name__', function)}: {where}")


def _storage(tensor: Tensor) -> StorageWeakRef | None:
    """Where the tensor's numbers lie; None for one that has none."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    try:
        return StorageWeakRef(tensor.untyped_storage())
    except (NotImplementedError, RuntimeError):
        return None


@contextmanager
def pretended_gpu() -> Iterator[torch.device]:
    """While it lasts there is one GPU, in every thread that starts; yields its device."""
    mode = PretendedGpu()

    class Generator(torch.Generator):
        def __new__(cls, device: Any = "cpu") -> Generator:
            made = super().__new__(cls)
            if torch.device(device).type == "cuda":
                mode.generators.append(made)
            return made

        def manual_seed(self, seed: int) -> torch.Generator:
            """A GPU draws other numbers than the CPU."""
            return super().manual_seed(seed + mode.draws(self))

    start, run = torch.autocast.__init__, threading.Thread.run

    def autocast(self: torch.autocast, device_type: str, *args: Any, **kwargs: Any) -> None:
        start(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    def run_with_gpu(thread: threading.Thread) -> None:
        with mode:
            run(thread)

    with _kept_backends(), pytest.MonkeyPatch.context() as patch, mode:
        patch.setattr(torch, "Generator", Generator)
        patch.setattr(torch.autocast, "__init__", autocast)
        patch.setattr(threading.Thread, "run", run_with_gpu)
        # What asks the GPU itself before a step; named otherwise in some versions, where it asks nothing.
        patch.setattr(torch.optim.Optimizer, "_accelerator_graph_capture_health_check", lambda _: None, raising=False)
        patch.setattr(torch.cuda, "is_available", lambda: True)
        patch.setattr(torch.cuda, "get_device_name", lambda device=None: "pretended")
        patch.setattr(torch.cuda, "mem_get_info", lambda device=None: (FREE, FREE))
        yield GPU


@contextmanager
def _kept_backends() -> Iterator[None]:
    """Afterwards the kernels that PyTorch may choose are those from before."""
    backends = torch.backends
    tf32 = backends.cudnn.allow_tf32
    sdp = {name: getattr(backends.cuda, f"{name}_sdp_enabled")() for name in ("flash", "mem_efficient", "cudnn")}
    try:
        yield
    finally:
        backends.cudnn.allow_tf32 = tf32
        for name, enabled in sdp.items():
            getattr(backends.cuda, f"enable_{name}_sdp")(enabled)
