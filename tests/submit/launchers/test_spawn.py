"""The machine itself: job.sh starts the ranks."""

from tests.submit.askings import ask, plan, refused

LOCAL = ask("local", "pythia/14M", overrides=("num_gpus=2",))


def test_no_line_and_the_contracts_own_names() -> None:
    made = plan(LOCAL)
    assert made.launch.argv == ()
    assert made.launch.rank_variable == "RANK"
    assert made.ranks == 2


def test_one_rank_unless_num_gpus_says_more() -> None:
    assert plan(ask("local", "pythia/14M")).ranks == 1


def test_a_second_node_and_launch_arguments_are_refused() -> None:
    assert "use --nodes 1" in refused(LOCAL, nodes=2)
    assert "leave --launch-arg out" in refused(LOCAL, launch_args=("-v",))
