"""The page in the run directory: whole, escaped, its figures those of the plan."""

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest

from neox.config.spec import model_spec
from neox.submit.drawing import GRID_SHOWN, chain_figure, grid_figure, node_figure
from neox.submit.memory import GB, OUTSIDE_TORCH, stages
from neox.submit.memory_drawing import memory_figure
from neox.submit.plan import Plan
from neox.submit.record import write_run
from neox.submit.render import render
from neox.submit.review_page import review_page
from tests.golden.cases import cases, plan_for
from tests.submit.hostile import PRINTABLE
from tests.submit.runs import prepared, written

INJECTION = "<script>alert(1)</script><img src=//evil.example/x onerror=alert(2)>\"'>"


class Elements(HTMLParser):
    """Names of the elements, their attributes, and the text, as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path, *words: str, **changes: object) -> str:
    made = prepared(folder, *words)
    plan = dataclasses.replace(made.plan, **changes)  # type: ignore[arg-type]
    made = dataclasses.replace(made, plan=plan)
    return review_page(made, render(plan, link=1), 1, None)


def test_the_page_stands_alone_and_holds_every_line_of_the_scripts(tmp_path: Path) -> None:
    run = written(tmp_path)
    page = run.review_page.read_text()
    seen = Elements(page)
    assert "script" not in seen.names and "link" not in seen.names
    assert not {name for name, _ in seen.attributes} & {"src", "href", "onload", "onerror"}
    assert "url(" not in page and "default-src 'none'" in page
    for text in (run.job_script.read_text(), run.rank_script.read_text()):
        assert all(line in seen.text for line in text.splitlines())
    assert "sites/slurm.toml" in seen.text  # an origin


@pytest.mark.parametrize("value", [INJECTION, *PRINTABLE.values()])
def test_a_hostile_value_is_text(tmp_path: Path, value: str) -> None:
    made = prepared(tmp_path)
    site = dataclasses.replace(made.plan.site, title=f"x{value}")
    seen = Elements(
        page_of(tmp_path, site=site, warnings=(value,), questions=(value,), not_yet=(value,))
    )
    assert seen.text.count(value) >= (4 if value else 0)
    assert "script" not in seen.names and "img" not in seen.names
    assert "onerror" not in {name for name, _ in seen.attributes}


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    assert page_of(tmp_path) == page_of(tmp_path)


def test_a_first_run_has_nothing_to_compare_with_and_later_ones_do(tmp_path: Path) -> None:
    run = written(tmp_path)
    assert "What changed" not in run.review_page.read_text()
    fresh = write_run(prepared(tmp_path, "--nodes", "2"), "fresh").prepared.plan.run
    text = Elements(fresh.review_page.read_text()).text
    assert f"against {run.root}" in text
    assert "-#SBATCH --nodes=1" in text and "+#SBATCH --nodes=2" in text
    write_run(prepared(tmp_path, "weight_decay=0.2"), "continue")
    text = Elements(run.review_page.read_text()).text
    assert "+weight_decay: 0.2" in text and "--nodes=2" not in text


def test_a_continued_run_that_does_not_change_says_so(tmp_path: Path) -> None:
    run = written(tmp_path)
    write_run(prepared(tmp_path), "continue")
    assert "The same plan, scripts and config." in run.review_page.read_text()


@pytest.mark.parametrize("site", sorted({case.site for case in cases()}))
def test_every_core_is_drawn_once_in_the_colour_of_its_rank(site: str) -> None:
    plan = plan_for(site, 1)
    drawn = [core for domain in node_figure(plan).domains for core in domain.cores]
    titles = [core.title.partition(":")[0] for core in drawn]
    assert sorted(titles) == sorted(f"core {core}" for core in range(plan.node_type.cores))
    if plan.site.launcher.binding == "none":
        return
    for place in plan.layout:
        mine = {core.title for core in drawn if core.title.endswith(f": rank {place.local_rank}")}
        assert mine == {f"core {core}: rank {place.local_rank}" for core in place.cores}
    kept = [core for core in drawn if core.colour == "reserved"]
    assert len(kept) == len(plan.node_type.reserved)


def test_figures_stay_in_their_frame_and_do_not_overlap() -> None:
    figure = node_figure(plan_for("frontier", 1))
    for domain in figure.domains:
        boxes = [*domain.cores, *domain.gpus]
        for box in boxes:
            assert domain.frame.x <= box.x
            assert box.x + box.width <= domain.frame.x + domain.frame.width
            assert box.y + box.height <= domain.frame.y + domain.frame.height
        assert len({(box.x, box.y) for box in boxes}) == len(boxes)


def test_gpus_stand_beside_the_cores_of_their_rank() -> None:
    domains = node_figure(plan_for("frontier", 1)).domains
    assert [gpu.text for gpu in domains[0].gpus] == ["GPU 4 · r0", "GPU 5 · r1"]


def ranks_drawn(plan: Plan) -> set[int]:
    figure = grid_figure(plan)
    assert figure is not None
    ends = [cell.text.split("-") for cell in figure.cells if cell.text != "…"]
    return {rank for end in ends for rank in range(int(end[0]), int(end[-1]) + 1)}


def test_the_grid_holds_every_rank_once_or_says_what_it_folds() -> None:
    small = plan_for("slurm", 1)
    assert ranks_drawn(small) == set(range(small.ranks))
    large = plan_for("frontier", 12)  # tensor 2 x pipeline 4 x data 12
    figure = grid_figure(large)
    assert figure is not None and figure.folded == "not drawn: 5 of 12 data replicas"
    assert len(figure.cells) == 4 * GRID_SHOWN
    titles = {cell.text: cell.title for cell in figure.cells}
    assert titles["94-95"] == "rank 94-95: stage 3, replica 11, node 11"
    assert titles["24-25"] == "rank 24-25: stage 1, replica 0, node 3"


def test_a_long_chain_is_folded() -> None:
    figure = chain_figure(dataclasses.replace(plan_for("frontier", 12), chain=40))
    assert figure is not None
    assert [bar.text for bar in figure.bars][-3:] == ["link 4", "…", "link 40"]
    assert all(lead.width < bar.width for lead, bar in zip(figure.leads, figure.bars, strict=False))


def test_memory_bars_are_to_scale_and_end_where_the_gpu_does() -> None:
    plan = plan_for("frontier", 12)
    figure = memory_figure(plan)
    assert figure is not None and figure.limit is not None and plan.geometry is not None
    memory = stages(plan.config, model_spec(plan.config), plan.geometry)
    assert len({bar.y for bar in figure.bars}) == len(memory) == 4
    start = min(bar.x for bar in figure.bars)
    unit = (figure.limit - start) / (64 * GB)  # of a GCD
    for stage, top in zip(memory, sorted({bar.y for bar in figure.bars}), strict=True):
        width = sum(bar.width for bar in figure.bars if bar.y == top)
        assert width == pytest.approx((stage.total + OUTSIDE_TORCH) * unit)
    assert max(bar.x + bar.width for bar in figure.bars) <= figure.width


def test_no_memory_is_drawn_where_it_is_not_known() -> None:
    plan = dataclasses.replace(plan_for("slurm", 1), geometry=None)
    assert memory_figure(plan) is None and grid_figure(plan) is None


def test_recorded_ranks_are_outlined_and_their_files_named(tmp_path: Path) -> None:
    ranks = ("--profile", "torch", "--profile-ranks", "0,3")
    page = page_of(tmp_path, "num_gpus=2", "--nodes", "2", *ranks)
    assert page.count(' outlined"') == 2
    text = Elements(page).text
    assert "Outlined: torch on ranks 0, 3, steps 10-12." in text
    assert "profiles/JOBID.rank-N.steps-10-12.json.gz: estimate, about" in text
    assert 'outlined"' not in page_of(tmp_path, "num_gpus=2", "--nodes", "2")
