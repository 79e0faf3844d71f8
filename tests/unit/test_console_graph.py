"""The drawing of an identity keeps within its frame, and a split's preview is what union-find says."""

from typing import Any

from sinks.console.pages.graph import HEIGHT, MOST_DRAWN, WIDTH, drawn, groups


def tie(event_id: str, a: str, b: str) -> dict[str, Any]:
    return {"event_id": event_id, "a": {"type": "t", "value": a}, "b": {"type": "t", "value": b}}


def test_a_split_leaves_what_other_events_tie() -> None:
    nodes = [("t", name) for name in "abcd"]
    ties = [tie("e1", "a", "b"), tie("e2", "b", "c"), tie("e3", "a", "c"), tie("e3", "c", "d")]
    assert groups(nodes, ties, []) == [nodes]
    assert groups(nodes, ties, ["e1"]) == [nodes]
    assert groups(nodes, ties, ["e1", "e2"]) == [[nodes[0], nodes[2], nodes[3]], [nodes[1]]]
    assert len(groups(nodes, ties, ["e1", "e2", "e3"])) == 4


def test_a_large_identity_is_drawn_in_part() -> None:
    def one(number: int) -> dict[str, Any]:
        mate = {"type": "t", "value": str((number + 1) % 300)}
        return {"type": "t", "value": str(number), "evidence": [{"event_id": "e", "with": mate}]}

    graph = drawn({"identifiers": [one(number) for number in range(300)]})
    assert (len(graph.nodes), graph.left_out) == (MOST_DRAWN, 300 - MOST_DRAWN)
    assert all(0 <= node.x <= WIDTH and 0 <= node.y <= HEIGHT for node in graph.nodes)
    assert len(graph.edges) == MOST_DRAWN - 1
