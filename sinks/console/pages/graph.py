"""Identifiers and their links in; their drawing, and the contacts after a split, out; pure."""

import math
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

MOST_DRAWN = 24
WIDTH, HEIGHT = 640, 360
_LABEL = 22
Node = tuple[str, str]


class GraphNode(NamedTuple):
    """An identifier on the drawing; ``anchor`` is the side of its text."""

    kind: str
    value: str
    x: float
    y: float
    anchor: str


class GraphEdge(NamedTuple):
    """Two identifiers that one event names."""

    x1: float
    y1: float
    x2: float
    y2: float
    event_id: str


class IdentityDrawing(NamedTuple):
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    left_out: int


def pair(identifier: dict[str, Any]) -> Node:
    return (str(identifier["type"]), str(identifier["value"]))


def drawn(identity: dict[str, Any]) -> IdentityDrawing:
    """Draws the identifiers on a ring; if there are too many, those with most links."""
    identifiers = sorted(identity["identifiers"], key=lambda identifier: -len(identifier["evidence"]))
    shown = [pair(identifier) for identifier in identifiers[:MOST_DRAWN]]
    places: dict[Node, tuple[float, float]] = {}
    nodes = []
    for number, (kind, value) in enumerate(shown):
        angle = 2 * math.pi * number / max(1, len(shown)) - math.pi / 2
        x, y = round(WIDTH / 2 + 130 * math.cos(angle), 1), round(HEIGHT / 2 + 125 * math.sin(angle), 1)
        places[kind, value] = (x, y)
        right, left = math.cos(angle) > 0.2, math.cos(angle) < -0.2
        anchor = "start" if right else "end" if left else "middle"
        text = value if len(value) <= _LABEL else f"{value[:_LABEL]}…"
        nodes.append(GraphNode(kind, text, x, y, anchor))
    edges: dict[frozenset[Node], GraphEdge] = {}
    for identifier in identifiers:
        for tie in identifier["evidence"]:
            a, b = pair(identifier), pair(tie["with"]) if tie.get("with") else None
            if b is not None and a != b and a in places and b in places:
                (x1, y1), (x2, y2) = places[a], places[b]
                edges[frozenset((a, b))] = GraphEdge(x1, y1, x2, y2, tie["event_id"])
    return IdentityDrawing(nodes, list(edges.values()), len(identifiers) - len(shown))


def groups(identifiers: Iterable[Node], ties: Iterable[dict[str, Any]], retracted: Collection[str]) -> list[list[Node]]:
    """Returns the contacts without the links of these events, each with its identifiers; the largest first."""
    parent: dict[Node, Node] = {node: node for node in identifiers}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for tie in ties:
        if tie["event_id"] not in retracted:
            parent[root(pair(tie["a"]))] = root(pair(tie["b"]))
        else:
            root(pair(tie["a"]))
            root(pair(tie["b"]))
    members: dict[Node, list[Node]] = {}
    for node in parent:
        members.setdefault(root(node), []).append(node)
    return sorted(members.values(), key=lambda group: (-len(group), group))
