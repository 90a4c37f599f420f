"""What lies in a layer's range, forward and backward, in torch's own profile."""

import torch
from torch.profiler import ProfilerActivity, profile

from neox.models.init import initialise
from neox.models.transformer import Transformer
from neox.ops.ranges import profiled, span
from tests.train.small_model import SPEC, small_model


def test_each_layer_has_a_range_forward_and_backward() -> None:
    model = small_model()
    tokens = torch.randint(SPEC.vocab_size, (2, 16))
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        with span("forward"):
            loss = model(tokens).sum()
        loss.backward()
    events = {event.name: event for event in recorded.events() if event.name}
    products = [event for event in recorded.events() if event.name in ("aten::mm", "aten::addmm")]

    def within(name: str) -> int:
        span_of = events[name].time_range
        return sum(
            span_of.start <= one.time_range.start and one.time_range.end <= span_of.end
            for one in products
        )

    for layer in range(SPEC.num_layers):
        assert within(f"layer {layer}") == 4
        assert within(f"layer {layer} backward") == 8
    assert within("forward") == 4 * SPEC.num_layers + 1  # and the output matrix
    first, second = (events[f"layer {n} backward"].time_range for n in (0, 1))
    assert second.end <= first.start  # the last layer goes back first


def test_a_profile_changes_no_number() -> None:
    tokens = torch.randint(SPEC.vocab_size, (2, 16))
    models = [Transformer(SPEC), Transformer(SPEC, recompute=1)]
    found = []
    for model in models:
        initialise(model, SPEC, 1)
        for recorded in (False, True):
            with profile(activities=[ProfilerActivity.CPU]) if recorded else span("nothing"):
                assert profiled() == recorded
                loss = model(tokens).square().mean()
                loss.backward()
            found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
            model.zero_grad()
    for one in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], one, strict=True))
