"""Rules between arguments: each broken alone, with the value that would do."""

import pytest

from neox.config.places import ConfigErrors

from .conftest import Reader, Resolver

PARTS = ("train", "valid", "test")
BROKEN = [
    ("hidden_size=66", "66 does not divide into 4 heads; num_attention_heads: 3 would"),
    ("num_kv_heads=3", "3 does not divide num_attention_heads: 4; 2 would"),
    ("max_position_embeddings=16", "16 is below seq_length: 32; it must be at least that"),
    ("pipe_parallel_size=5", "5 stages are more than num_layers: 4"),
    ("rotary_pct=0.2", "0.2 of 16 dims per head is 3, which must be even and above 0; 0.25 would"),
    ("rotary_pct=0", "is 0, which must be even and above 0; 0.125 would do"),
    ("rotary_pct=1.5", "rotary_pct: 1.5 must be at least 0 and at most 1"),
    ("warmup=1.1", "1.1 must be at least 0 and at most 1"),
    ("min_lr=1", "1 is above the peak, optimizer.params.lr: 0.001"),
    ("train_epochs=1", "contradicts train_iters"),
    ("save=x", "add checkpoint_factor: 1000, or extra_save_iters"),
    ("checkpoint_factor=2.5", "2.5 must be whole, or checkpoint_scale: log"),
    ("profile_step_start=0", "0 must be at least 1"),
    ("checkpoint_factor=0", "0 must be above 0"),
    ("extra_save_iters=[-1]", "steps must be at least 0"),
    ("finetune=true", "true needs the checkpoint to start from; add load: DIRECTORY"),
    ("gpt_j_tied=true", "true needs gpt_j_residual: true"),
    ("fp16_lm_cross_entropy=true", "true needs precision: fp16"),
    ("split=a,b", "'a,b' must be up to three shares above 0"),
    ("split=1,2,3,4", "must be up to three shares above 0"),
    ("split=0,0", "must be up to three shares above 0"),
    ("split=1,nan", "must be up to three shares above 0"),
    ("split=1,-1", "must be up to three shares above 0"),
    ('attention_config=[[["flash"], 3]]', '3 kinds for 4 layers; e.g. [[["global"], 4]]'),
    ('attention_config=[[["flash"], 5]]', "5 kinds are too many for 4 layers"),
    ('attention_config=[[["local", "global", "flash"], "all"]]', "do not fill 4 layers evenly"),
    ('attention_config=[[["flash"], -1]]', "too many for 4 layers"),
    ('attention_config=[[[], "all"]]', "0 kinds do not fill 4 layers"),
    ("optimizer.params={betas: [0.9, 1.0]}", "1 (number 2) must be at least 0 and below 1"),
    ("optimizer={params: {lr: 0.1}}", "does not say its type; add type: Adam"),
    ("zero_optimization={overlap_comm: true}", "does not say its stage; add stage: 1"),
    ("attention_dropout=1", "1 must be at least 0 and below 1"),
    ("deepspeed_extra_args={gradient_clipping: 7.0}", "gradient_clipping is an argument itself"),
    ("train_data_paths=[]", "is empty"),
    ("top_p=2", "2 must be at least 0 and at most 1"),
    ("num_layers=0", "0 must be at least 1"),
    ("num_layers=1e9", "1e+09 must be at least 1 and at most 100000"),
    ("model_parallel_size=-1", "-1 must be at least 1"),
    ("vocab_size=0", "0 must be at least 1"),
]


@pytest.mark.parametrize(("word", "message"), BROKEN, ids=[word for word, _ in BROKEN])
def test_a_broken_rule_names_the_argument_the_place_and_what_would_do(
    word: str, message: str, resolved: Resolver
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        resolved(word, ranks=None)
    (line,) = [line for line in str(caught.value).splitlines() if message in line]
    assert line.startswith(f"{word}: ")


def test_all_broken_rules_come_at_once(resolved: Resolver) -> None:
    with pytest.raises(ConfigErrors) as caught:
        resolved("hidden_size=66", "warmup=2", "min_lr=1", "save=x", "split=x", ranks=None)
    names = [problem.message.partition(":")[0] for problem in caught.value.problems]
    assert set(names) >= {"hidden_size", "warmup", "min_lr", "save", "split"}


def test_data_paths_go_together(resolved: Resolver) -> None:
    one = "train_data_paths=[a]"
    with pytest.raises(ConfigErrors, match="give all three or none"):
        resolved(one)
    rest = ("valid_data_paths=[a]", "test_data_paths=[a]")
    resolved(one, *rest)
    with pytest.raises(ConfigErrors, match="contradicts data_path"):
        resolved(one, *rest, "data_path=b")
    with pytest.raises(ConfigErrors, match="2 weights for 1 paths"):
        resolved(one, *rest, "train_data_weights=[1, 2]")
    with pytest.raises(ConfigErrors, match="weights must be at least 0"):
        resolved(one, *rest, "train_data_weights=[-1]")
    with pytest.raises(ConfigErrors, match="1 weights for 0 paths"):
        resolved("train_data_weights=[1]")


def test_a_gated_block_has_one_width(resolved: Resolver) -> None:
    """Mistral's file in GPT-NeoX: 9,558 and 4,778 columns, an error at the first product."""
    gated = ("activation=swiglu", "hidden_size=4096", "num_attention_heads=32")
    with pytest.raises(ConfigErrors, match="43008 for 14336, 14334 for 4778"):
        resolved(*gated, "intermediate_size=14336")
    resolved(*gated, "intermediate_size=43008")
    resolved(*gated, "intermediate_size=14336", "mlp_multiple_of=14336")
    resolved("intermediate_size=14336")  # gelu has one matrix less


PAIRS = (
    "dataset_impl=pairwise",
    "train_impl=dpo",
    "pack_impl=unpacked",
    *[f"{side}_{part}_data_paths=[a]" for side in ("pos", "neg") for part in PARTS],
)


def test_pairs_go_together(resolved: Resolver) -> None:
    assert resolved(*PAIRS).data.neg_test_data_paths == ("a",)
    for word, message in (
        ("neg_train_data_paths=[a, b]", "neg_train_data_paths: 2 paths for 1 pos_train_data_paths"),
        ("neg_train_data_paths=null", "add neg_train_data_paths"),
        ("pos_test_data_paths=null", "not set, though pos_train_data_paths is"),
        ("pos_train_label_data_paths=[a, b]", "2 paths for 1 pos_train_data_paths"),
        ("neg_valid_label_data_paths=[a, b]", "2 paths for 1 neg_valid_data_paths"),
        ("data_path=a", "pos_train_data_paths: contradicts data_path"),
        ("train_data_weights=[1, 2]", "2 weights for 1 paths"),
        ("dataset_impl=gpt2", "are pairs of answers; add dataset_impl: pairwise"),
        ("train_impl=normal", "pairwise is not what train_impl: normal learns from; dpo and rm do"),
        ("pack_impl=packed", "needs a document a sample; add pack_impl: unpacked"),
    ):
        name = word.partition("=")[0]
        words = [one for one in PAIRS if not one.startswith(f"{name}=")]
        with pytest.raises(ConfigErrors) as caught:
            resolved(*words, word)
        assert message in str(caught.value)
    with pytest.raises(ConfigErrors, match="pairwise needs pairs to train on"):
        resolved(*PAIRS[:3])


def test_rewards_and_labels_stand_beside_their_sets(resolved: Resolver) -> None:
    sets = [f"{part}_data_paths=[a]" for part in PARTS]
    rewards = ("train_reward_data_paths=[r]", "pack_impl=unpacked", "train_impl=kto")
    assert resolved(*sets, *rewards).data.train_reward_data_paths == ("r",)
    with pytest.raises(ConfigErrors, match="train_impl: normal reads no rewards from files"):
        resolved(*sets, *rewards[:2])
    with pytest.raises(ConfigErrors, match="train_reward_data_paths: needs a document a sample"):
        resolved(*sets, rewards[0], rewards[2])
    with pytest.raises(ConfigErrors, match="2 paths for 1 train_data_paths; give one for each"):
        resolved(*sets, "train_label_data_paths=[a, b]")
    with pytest.raises(ConfigErrors, match="1 paths for 0 test_data_paths"):
        resolved("test_label_data_paths=[a]")


def test_tensor_ranks_divide_heads_and_widths(resolved: Resolver) -> None:
    with pytest.raises(ConfigErrors) as caught:
        resolved("model_parallel_size=3", ranks=3)
    assert "3 does not divide num_attention_heads: 4; 2 would" in str(caught.value)
    assert "3 does not divide the feed-forward width 256; 2 would" in str(caught.value)
    with pytest.raises(ConfigErrors, match="4 does not divide num_kv_heads: 2; 2 would"):
        resolved("model_parallel_size=4", "num_kv_heads=2", ranks=4)


def test_zero_and_its_company(resolved: Resolver) -> None:
    with pytest.raises(ConfigErrors, match="2 does not go with pipe_parallel_size: 2; use 1"):
        resolved("zero_optimization.stage=2", "pipe_parallel_size=2", ranks=2)
    resolved("zero_optimization.stage=2", "pipe_parallel_size=1", ranks=2)
    with pytest.raises(ConfigErrors, match="0 does not go with bfloat16 on several ranks"):
        resolved("precision=bf16", ranks=2)
    resolved("precision=bf16", ranks=1)
    resolved("precision=bf16", "zero_optimization.stage=1", ranks=2)
    with pytest.raises(ConfigErrors, match="native is for one rank"):
        resolved("engine=native", ranks=2)


def test_log_spaced_saves(resolved: Resolver) -> None:
    resolved("checkpoint_scale=log", "checkpoint_factor=1.5")
    with pytest.raises(ConfigErrors, match="must be above 1 with checkpoint_scale: log"):
        resolved("checkpoint_scale=log", "checkpoint_factor=1")


def test_nothing_given_says_what_a_model_needs(given: Reader, tmp_path: object) -> None:
    from neox.config.derive import resolve
    from neox.config.load import load

    with pytest.raises(ConfigErrors) as caught:
        resolve(load([], ["seed=3"]), None)
    for name in ("num_layers", "hidden_size", "num_attention_heads", "seq_length", "train_iters"):
        assert f"{name}: not set" in str(caught.value)


def test_a_misspelt_size_is_one_error_not_two(given: Reader) -> None:
    with pytest.raises(ConfigErrors) as caught:
        given("num_layers=four")
    assert len(caught.value.problems) == 1


def test_steps_to_profile_are_in_order(resolved: Resolver) -> None:
    words = ("profile=true", "profile_step_start=5", "profile_step_stop=4")
    with pytest.raises(ConfigErrors, match="profile_step_stop: 4 is before profile_step_start: 5"):
        resolved(*words)
    assert resolved("profile_step_stop=4").logging.profile_step_stop == 4
