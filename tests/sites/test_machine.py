from neox.sites.load import load_site
from neox.sites.machine import on_machine
from tests.sites.shelf_of import shipped_shelf


def test_this_machines_cores_fill_an_unstated_node() -> None:
    node = on_machine(load_site("local", shipped_shelf()).node_types[0], 2)
    assert (node.anatomy, node.cores, node.numa) == ("stated", 2, ("0-1",))


def test_a_stated_node_stays() -> None:
    node = load_site("frontier", shipped_shelf()).node_types[0]
    assert on_machine(node, 2) == node
