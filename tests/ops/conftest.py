"""What the GPU tests of this room share."""

import os

import pytest
import torch

from neox.kernels.errors import KernelError
from neox.kernels.place import store_root
from neox.ops.on_gpu import use_library


@pytest.fixture(scope="module")
def device() -> torch.device:
    """The first GPU, with the store's kernels installed; a test is skipped where none fit."""
    gpu = torch.device("cuda", 0)
    try:
        use_library(store_root(os.environ), gpu)
    except KernelError as error:
        pytest.skip(str(error))
    return gpu
