"""Hugging Face's GPT-NeoX training with torch's fused AdamW, eager or compiled."""

import torch

from neox.models.spec import ModelSpec
from neox.train.optimizers import OptimizerSpec


class HuggingFaceStep:
    """All in bf16, or as its Trainer does with bf16=True: fp32 weights, the model under autocast.

    In bf16 weights, gradients and moments are all of 2 bytes: less to move than anyone with fp32
    weights, and small updates are lost.
    """

    def __init__(
        self,
        spec: ModelSpec,
        length: int,
        optimizer: OptimizerSpec,
        *,
        compiled: bool,
        autocast: bool,
    ) -> None:
        from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

        config = GPTNeoXConfig(
            vocab_size=spec.vocab_size,
            hidden_size=spec.hidden_size,
            num_hidden_layers=spec.num_layers,
            num_attention_heads=spec.num_attention_heads,
            intermediate_size=spec.ffn_size,
            max_position_embeddings=length,
            use_parallel_residual=spec.parallel_residual,
            hidden_act="gelu_pytorch_tanh",
            rotary_pct=spec.rotary_dims / spec.head_dim,
            attn_implementation="sdpa",
            use_cache=False,
        )
        with torch.device("cuda"):
            self.model = GPTNeoXForCausalLM(config).train()
        if not autocast:
            self.model.to(torch.bfloat16)
        self._autocast = torch.autocast("cuda", torch.bfloat16, enabled=autocast)
        self._clip = optimizer.clip
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=1e-4,
            betas=optimizer.betas,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )
        if compiled:
            self.model.compile()

    def step(self, tokens: torch.Tensor, lr: float) -> torch.Tensor:
        """tokens [b, s + 1] on the host -> the loss, on the device."""
        here = tokens[:, :-1].cuda(non_blocking=True)
        with self._autocast:
            loss: torch.Tensor = self.model(input_ids=here, labels=here).loss
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return loss.detach()
