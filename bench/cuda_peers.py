"""The contenders on a GPU, each in a process of its own (`bench.peers`): fastnet, PyTorch in three ways, JAX.

All compute in float32, and two more with TF32, of fastnet and PyTorch. Written without a GPU at hand: fastnet's part
was run on the PTX machine, the others' on a CPU.
"""

import subprocess
import sys

from . import ROOT, peers, workers

WARM_UP = 3  # steps before a capture, as PyTorch's documentation asks for


class Fastnet(peers.Fastnet):
    """fastnet on the GPU, in the form that it chooses."""

    device = "cuda"


class FastnetGraph(Fastnet):
    """fastnet with each step as a graph, also where it would take one block."""

    def __init__(self, *arguments):
        from fastnet.engine.cuda import executable

        executable.SMALL = -1
        super().__init__(*arguments)


class FastnetHigh(Fastnet):
    """fastnet with products of TF32."""

    def __init__(self, *arguments):
        import fastnet

        fastnet.config.set_matmul_precision("high")
        super().__init__(*arguments)


class Jax(peers.Jax):
    """JAX's scan; its products would round to TF32 otherwise."""

    def __init__(self, *arguments):
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
        super().__init__(*arguments)


class Torch(peers.Torch):
    """PyTorch eager."""

    device = "cuda"

    def fit(self, rows, shuffle):
        super().fit(rows, shuffle)
        self.torch.cuda.synchronize()


class TorchTF32(Torch):
    """PyTorch eager with products of TF32."""

    def __init__(self, *arguments):
        import torch

        torch.set_float32_matmul_precision("high")
        super().__init__(*arguments)


class TorchSteps(Torch):
    """PyTorch with a step as one function of rows, whose Adam counts on the device.

    Epsilon is PyTorch's: added to the corrected root of v, which moves the loss of the first steps (see `TOLERANCE`).
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        parameters, betas = self.model.parameters(), (peers.BETA_1, peers.BETA_2)
        self.optimizer = self.torch.optim.Adam(
            parameters, peers.LEARNING_RATE, betas, peers.EPSILON, fused=True, capturable=True
        )
        self.prepared = None

    def step(self, rows):
        self.optimizer.zero_grad(set_to_none=True)
        self.criterion(self.model(self.x[rows]), self.y[rows]).backward()
        self.optimizer.step()

    def fit(self, rows, shuffle):
        parts = self.order(rows, shuffle).split(self.batch)
        if self.prepared is None:
            self.prepared = self.prepare(parts[0])
        for part in parts:
            self.prepared(part)
        self.torch.cuda.synchronize()


class TorchCompiled(TorchSteps):
    """PyTorch with network and loss compiled."""

    def prepare(self, rows):
        self.model = self.torch.compile(self.model)
        return self.step


class TorchGraph(TorchSteps):
    """PyTorch with a step as one CUDA graph."""

    def prepare(self, rows):
        torch, kept = self.torch, [w.detach().clone() for w in self.model.parameters()]
        rows, graph, side = rows.clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.step(rows)
        torch.cuda.current_stream().wait_stream(side)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.step(rows)
        with torch.no_grad():  # as before the warm-up
            for weight, before in zip(self.model.parameters(), kept):
                weight.copy_(before)
            for state in self.optimizer.state.values():
                for number in state.values():
                    number.zero_()

        def replay(part):
            rows.copy_(part)
            graph.replay()

        return replay


CONTENDERS = {
    "fastnet": Fastnet,
    "fastnet-graph": FastnetGraph,
    "fastnet-high": FastnetHigh,
    "torch": Torch,
    "torch-compiled": TorchCompiled,
    "torch-graph": TorchGraph,
    "torch-tf32": TorchTF32,
    "jax": Jax,
}
LOWER = ("fastnet-high", "torch-tf32")  # on products that decide


SEES_A_GPU = {  # asked in another process: JAX would take most of the card's memory
    "fastnet": "from fastnet.engine.cuda import current; assert current.is_there()",
    "torch": "import torch; assert torch.cuda.is_available()",
    "jax": "import jax; assert jax.default_backend() == 'gpu'",
}


def contenders():
    """Those that are installed with a GPU."""
    works = {
        module: subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0
        for module, code in SEES_A_GPU.items()
    }
    return [name for name, contender in CONTENDERS.items() if works[contender.module]]


class Worker(peers.Worker):
    """A contender on the GPU in its own process."""

    program = "cuda_peers"
    variables = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


if __name__ == "__main__":
    workers.serve(peers.Trainer(CONTENDERS[sys.argv[1]]))
