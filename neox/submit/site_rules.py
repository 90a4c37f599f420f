"""Variables that follow from a site's facts by a rule: caches, proxy, no internet, GPU order."""

from collections.abc import Iterator

from neox.kernels.place import KERNEL_STORE
from neox.sites.profile import Gpu, Profile
from neox.submit.layout import RankPlace
from neox.submit.origin import site_origin
from neox.submit.places import Names, word
from neox.submit.plan import Origin, Variable
from neox.submit.words import literal

_COMPILED = {
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TORCH_EXTENSIONS_DIR": "extensions",
}
_OF_TOOLCHAIN = {
    "cuda": {"CUDA_CACHE_PATH": "cuda"},
    "rocm": {"MIOPEN_USER_DB_PATH": "miopen", "MIOPEN_CUSTOM_CACHE_DIR": "miopen"},
    "none": {},
}
# without them a library waits for minutes for a host that no compute node reaches
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "offline",
}


def ruled_variables(site: Profile, names: Names) -> Iterator[Variable]:
    """For every process of the job; what the site itself says of a variable goes before."""
    yield from _caches(site, names)
    yield from _proxy(site)
    if site.network.access == "none":
        origin = site_origin(site, "network.access")
        for name, value in _OFFLINE.items():
            yield Variable(name=name, value=literal(value), origin=origin)


def _caches(site: Profile, names: Names) -> Iterator[Variable]:
    if site.caches.node:
        origin = site_origin(site, "caches.node")
        for name, folder in {**_COMPILED, **_OF_TOOLCHAIN[site.toolchain.kind]}.items():
            path = word(f"{site.caches.node}/{folder}", names)
            yield Variable(name=name, value=path, origin=origin)
    if site.caches.shared:
        origin = site_origin(site, "caches.shared")
        yield Variable(name="HF_HOME", value=word(site.caches.shared, names), origin=origin)
    if site.caches.kernels:
        origin = site_origin(site, "caches.kernels")
        yield Variable(name=KERNEL_STORE, value=word(site.caches.kernels, names), origin=origin)


def _proxy(site: Profile) -> Iterator[Variable]:
    """In both spellings: curl heeds http_proxy alone, others the capitals."""
    if not site.network.proxy:
        return
    origin = site_origin(site, "network.proxy")
    values = {"http_proxy": site.network.proxy, "https_proxy": site.network.proxy}
    if site.network.no_proxy:
        values["no_proxy"] = ",".join(site.network.no_proxy)
    for name, value in values.items():
        for spelling in (name, name.upper()):
            yield Variable(name=spelling, value=literal(value), origin=origin)


def gpu_order(site: Profile, gpu: Gpu, places: tuple[RankPlace, ...]) -> Variable | None:
    """For ranks that see every GPU and take that of their number: the order that puts theirs there.

    It is set in the rank, because a launcher may set the variable anew for each one. None where
    rank i takes GPU i.
    """
    order = [place.gpu for place in places if place.gpu is not None]
    if site.launcher.gpu_visibility != "all" or order == list(range(len(order))):
        return None
    origin = Origin(text="rule: rank i takes GPU i, and the order of GPUs is that of their cores")
    listed = literal(",".join(map(str, order)))
    return Variable(name=_visible(gpu), value=listed, origin=origin)


def _visible(gpu: Gpu) -> str:
    """The variable by which this kind of GPU is shown to a process, in an order."""
    if gpu.arch.startswith("sm_"):
        return "CUDA_VISIBLE_DEVICES"
    return "ROCR_VISIBLE_DEVICES" if gpu.arch.startswith("gfx") else "ZE_AFFINITY_MASK"
