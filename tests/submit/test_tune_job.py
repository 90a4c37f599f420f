"""`--job tune`: one process on one GPU of NVIDIA's, with the config's own micro-batch."""

from tests.submit.askings import ask, plan, refused


def test_one_process_on_a_node_with_gpus() -> None:
    made = plan(ask("perlmutter", kind="tune"), account="m1234_g")
    assert made.entry.argv == ("tune", "{run_yml}")
    assert (made.nodes, made.ranks, made.chain) == (1, 1, 1)


def test_a_site_of_amds_is_refused() -> None:
    said = refused(ask("frontier", kind="tune"), account="abc123")
    assert said.startswith("frontier has no NVIDIA GPUs")
    assert "PYTORCH_TUNABLEOP_ENABLED=1" in said
