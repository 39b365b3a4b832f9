"""Reference trajectories of PyTorch's optimisers on three tiny models.

Prints one JSON document to standard output. A test of the engine starts from
the same weights, takes the same steps and compares within a tolerance:

    python3 scripts/optimizer_trajectory.py > optimizer_trajectory.json

Needs numpy and torch (CPU). Everything is float32 on one thread.

* Data: 8 rows, 4 inputs, 3 classes; every initial number is a multiple of 1/32
  below 1, so it is exact in float32.
* Models: softmax regression 4-3, and MLPs 4-5-3 with tanh and with relu.
  A layer computes x W + b; W has the shape [inputs, outputs], row-major.
* Loss: the mean cross entropy of the 8 rows. The penalty is not part of it.
* Optimisers: torch.optim.SGD (momentum 0.9, no dampening, no Nesterov) and
  torch.optim.Adam (L2 added to the gradient; this is not AdamW). Weights decay
  with 1e-3, biases do not.
* Ten full-batch steps. Parameters are written after steps 1, 5 and 10.

PyTorch adds in an order of its own and takes tanh and exp from its own
library, so the last bits can differ between CPUs and versions: compare within
a tolerance, never bit for bit. Each snapshot holds `float64_gap`, the largest
distance to the same run in float64; it shows how much rounding alone moves the
result. `relu_margin` is the smallest distance of a hidden unit's input from
the kink over all steps and rows: while it is far above the rounding, every
correct implementation takes the same side. `smallest_gradient` is the smallest
non-zero |gradient + penalty| of any parameter in any step: Adam divides by it.
"""

import json

import numpy as np
import torch

ROWS, INPUTS, HIDDEN, CLASSES = 8, 4, 5, 3
STEPS = 10
SNAPSHOTS = (1, 5, 10)
WEIGHT_DECAY = 1e-3
MODELS = {
    "softmax_4_3": ((INPUTS, CLASSES), None),
    "tanh_4_5_3": ((INPUTS, HIDDEN, CLASSES), torch.tanh),
    "relu_4_5_3": ((INPUTS, HIDDEN, CLASSES), torch.relu),
}
OPTIMISERS = {
    "sgd": {"rate": 0.1, "momentum": 0.9},
    "adam": {"rate": 1e-2, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
}


def inputs():
    """x[i][j] = ((7 i + 3 j) mod 11 - 5) / 8."""
    return [[((i * 7 + j * 3) % 11 - 5) / 8 for j in range(INPUTS)] for i in range(ROWS)]


def labels():
    """Classes 0, 1 and 2, with three, three and two rows."""
    return [0, 2, 1, 1, 0, 2, 0, 1]


def initial_layer(layer, n_in, n_out):
    """W[i][j] = ((5 i + 3 j + 2 layer + 5) mod 13 - 6) / 16, layers counted from 0.

    b[j] = (2 ((3 j + layer + 3) mod 5) - 3) / 32. These offsets keep the inputs of the
    relu units away from zero (see `relu_margin`).
    """
    weights = [
        [((i * 5 + j * 3 + layer * 2 + 5) % 13 - 6) / 16 for j in range(n_out)] for i in range(n_in)
    ]
    biases = [(2 * ((j * 3 + layer + 3) % 5) - 3) / 32 for j in range(n_out)]
    return weights, biases


class Model:
    """Layers x W + b with one activation between them."""

    def __init__(self, widths, activation, dtype):
        self.activation = activation
        self.weights, self.biases = [], []
        for layer, (n_in, n_out) in enumerate(zip(widths, widths[1:])):
            w, b = initial_layer(layer, n_in, n_out)
            self.weights.append(torch.tensor(w, dtype=dtype, requires_grad=True))
            self.biases.append(torch.tensor(b, dtype=dtype, requires_grad=True))
        self.margin = float("inf")

    def scores(self, x):
        """Class scores before the softmax; notes how near a hidden unit came to zero."""
        last = len(self.weights) - 1
        for layer, (w, b) in enumerate(zip(self.weights, self.biases)):
            x = x @ w + b
            if layer < last:
                self.margin = min(self.margin, x.detach().abs().min().item())
                x = self.activation(x)
        return x

    def named(self):
        """Parameters by name: W1, b1, W2, b2."""
        for layer, (w, b) in enumerate(zip(self.weights, self.biases), start=1):
            yield f"W{layer}", w
            yield f"b{layer}", b

    def copy(self):
        """The parameters as numpy arrays that later steps leave alone."""
        return {name: p.detach().numpy().copy() for name, p in self.named()}


def make_optimiser(kind, model):
    """PyTorch's own optimiser, its plain per-tensor loop, with decay on the weights alone."""
    settings = OPTIMISERS[kind]
    groups = [
        {"params": model.weights, "weight_decay": WEIGHT_DECAY},
        {"params": model.biases, "weight_decay": 0.0},
    ]
    if kind == "sgd":
        return torch.optim.SGD(
            groups, lr=settings["rate"], momentum=settings["momentum"], foreach=False, fused=False
        )
    betas = (settings["beta1"], settings["beta2"])
    return torch.optim.Adam(
        groups, lr=settings["rate"], betas=betas, eps=settings["eps"], foreach=False, fused=False
    )


def smallest_gradient(model):
    """The smallest non-zero absolute value of what the optimiser is about to see."""
    decays = [(w, WEIGHT_DECAY) for w in model.weights] + [(b, 0.0) for b in model.biases]
    sizes = torch.cat([(p.grad + decay * p.detach()).abs().flatten() for p, decay in decays])
    return sizes[sizes > 0].min().item()


def run(widths, activation, kind, dtype):
    """Ten steps: the losses before each and after the last, the snapshots, the two margins."""
    model = Model(widths, activation, dtype)
    optimiser = make_optimiser(kind, model)
    x, y = torch.tensor(inputs(), dtype=dtype), torch.tensor(labels())
    losses, snapshots, gradient = [], {}, float("inf")
    for step in range(1, STEPS + 1):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(model.scores(x), y)
        loss.backward()
        losses.append(loss.detach().numpy())
        gradient = min(gradient, smallest_gradient(model))
        optimiser.step()
        if step in SNAPSHOTS:
            snapshots[step] = model.copy()
    with torch.no_grad():
        losses.append(torch.nn.functional.cross_entropy(model.scores(x), y).numpy())
    return np.array(losses), snapshots, model.margin, gradient


def written(values):
    """Shape, shortest decimals that give the float32 back, and its bits in hexadecimal."""
    array = np.ascontiguousarray(values, dtype=np.float32)
    flat = array.ravel()
    return {
        "shape": list(array.shape),
        "decimal": [float(str(v)) for v in flat],
        "hex": [f"{bits:08x}" for bits in flat.view(np.uint32)],
    }


def trajectory(widths, activation, kind):
    """One model under one optimiser, as it goes into the document."""
    losses, snapshots, margin, gradient = run(widths, activation, kind, torch.float32)
    losses64, snapshots64, _, _ = run(widths, activation, kind, torch.float64)
    steps = []
    for step, parameters in snapshots.items():
        gap = max(np.abs(p - snapshots64[step][name]).max() for name, p in parameters.items())
        steps.append({
            "step": step,
            "float64_gap": float(f"{gap:.3e}"),
            "parameters": {name: written(p) for name, p in parameters.items()},
        })
    result = {
        "loss_before_step_1_to_10_and_after": written(losses),
        "loss_float64_gap": float(f"{np.abs(losses - losses64).max():.3e}"),
        "smallest_gradient": float(f"{gradient:.3e}"),
        "snapshots": steps,
    }
    if activation is torch.relu:
        result["relu_margin"] = float(f"{margin:.3e}")
    return result


def document():
    """Everything a test needs, so that it need not repeat a formula of this file."""
    models = {}
    for name, (widths, activation) in MODELS.items():
        start = Model(widths, activation, torch.float32).copy()
        models[name] = {
            "widths": list(widths),
            "activation": activation.__name__ if activation else "none",
            "initial": {p: written(v) for p, v in start.items()},
            **{kind: trajectory(widths, activation, kind) for kind in OPTIMISERS},
        }
    return {
        "about": "PyTorch optimiser trajectories, float32, CPU, full batch, mean cross entropy; "
        "made by optimizer_trajectory.py; compare within a tolerance",
        "torch": torch.__version__.split("+")[0],
        "layout": "layer: x W + b; W is [inputs, outputs], row-major",
        "weight_decay": {"weights": WEIGHT_DECAY, "biases": 0.0},
        "optimisers": OPTIMISERS,
        "x": written(inputs()),
        "y": labels(),
        "models": models,
    }


def dump(value, indent=0):
    """JSON with one list of plain values a line."""
    pad = "  " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{pad}{json.dumps(k)}: {dump(v, indent + 1)}" for k, v in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + pad[2:] + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(pad + dump(v, indent + 1) for v in value) + "\n" + pad[2:] + "]"
    return json.dumps(value)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    print(dump(document()))
