"""Fills in a node whose profile says `anatomy = "this-machine"`: its cores are counted, not stated.

Every node of such a site is taken to be like the machine that submits. Its cores form one domain.
"""

import dataclasses

from neox.sites.profile import NodeType


def on_machine(node: NodeType, cores: int) -> NodeType:
    """The node type with this machine's cores, or a stated one as it is."""
    if node.anatomy == "stated":
        return node
    assert cores > 0, cores
    return dataclasses.replace(node, anatomy="stated", cores=cores, numa=(f"0-{cores - 1}",))
