"""The same training step as one would write it in plain PyTorch, sharing nothing with NeoX.

bf16 weights and gradients, fp32 masters and moments, torch's fused AdamW, the norm of gradients
clipped; the model compiled whole or left eager.
"""

import torch
from torch import nn
from torch.nn import functional as F

from neox.models.spec import ModelSpec
from neox.train.optimizers import OptimizerSpec


class Block(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        hidden = spec.hidden_size
        self.heads, self.rotary = spec.num_attention_heads, spec.rotary_dims
        self.norm1 = nn.LayerNorm(hidden, eps=spec.norm_epsilon)
        self.norm2 = nn.LayerNorm(hidden, eps=spec.norm_epsilon)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.dense = nn.Linear(hidden, hidden)
        self.up = nn.Linear(hidden, spec.ffn_size)
        self.down = nn.Linear(spec.ffn_size, hidden)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        b, s, h = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, s, self.heads, 3, h // self.heads)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(3))
        q, k = self.turn(q, cos, sin), self.turn(k, cos, sin)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        seen = self.dense(seen.transpose(1, 2).reshape(b, s, h))
        thought = self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))
        return x + seen + thought

    def turn(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        turned, rest = x[..., : self.rotary], x[..., self.rotary :]
        left, right = turned.chunk(2, dim=-1)
        swapped = torch.cat((-right, left), dim=-1)
        return torch.cat((turned * cos + swapped * sin, rest), dim=-1).to(x.dtype)


class PlainModel(nn.Module):
    def __init__(self, spec: ModelSpec, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(spec.vocab_size, spec.hidden_size)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.num_layers))
        self.norm = nn.LayerNorm(spec.hidden_size, eps=spec.norm_epsilon)
        self.head = nn.Linear(spec.hidden_size, spec.vocab_size, bias=False)
        pairs = torch.arange(0, spec.rotary_dims, 2).float() / spec.rotary_dims
        angle = torch.outer(torch.arange(length).float(), spec.rotary_base**-pairs)
        angle = torch.cat((angle, angle), dim=-1)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


OURS = {
    "norm1": "input_layernorm",
    "norm2": "post_attention_layernorm",
    "qkv": "attention.query_key_value",
    "dense": "attention.dense",
    "up": "mlp.linear1",
    "down": "mlp.linear2",
}


def logical_name(name: str) -> str:
    """The name that the weight has in NeoX, whose layout of query_key_value this model shares."""
    if name.startswith("blocks."):
        _, index, part, kind = name.split(".")
        return f"layers.{index}.{OURS[part]}.{kind}"
    return name.replace("norm.", "final_norm.") if name.startswith("norm.") else name


class PlainStep:
    def __init__(
        self,
        spec: ModelSpec,
        length: int,
        weights: dict[str, torch.Tensor],
        optimizer: OptimizerSpec,
        *,
        compiled: bool,
    ) -> None:
        self.model = PlainModel(spec, length).cuda()
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(weights[logical_name(name)])
                parameter.data = parameter.data.bfloat16()
        self._weights = list(self.model.parameters())
        # not of the rounded weights: those stay where they are until updates add up to half a step
        self._masters = [
            weights[logical_name(name)].cuda().float().requires_grad_()
            for name, _ in self.model.named_parameters()
        ]
        self._clip = optimizer.clip
        groups = [
            {
                "params": [m for m in self._masters if (m.ndim > 1) == matrices],
                "weight_decay": optimizer.weight_decay if matrices else 0.0,
            }
            for matrices in (True, False)
        ]
        self._optimizer = torch.optim.AdamW(
            groups, lr=0.0, betas=optimizer.betas, eps=optimizer.epsilon, fused=True
        )
        if compiled:
            self.model.compile()

    def step(self, tokens: torch.Tensor, lr: float) -> torch.Tensor:
        """tokens [b, s + 1] on the host -> the loss, on the device."""
        here = tokens.cuda(non_blocking=True)
        loss = self.model(here[:, :-1], here[:, 1:])
        loss.backward()
        for master, weight in zip(self._masters, self._weights, strict=True):
            assert weight.grad is not None
            master.grad, weight.grad = weight.grad.float(), None
        torch.nn.utils.clip_grad_norm_(self._masters, self._clip)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        torch._foreach_copy_(
            [w.detach() for w in self._weights], [m.detach() for m in self._masters]
        )
        return loss.detach()
