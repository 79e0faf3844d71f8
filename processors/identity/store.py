"""The `graph` table of a partition in, components by any of their identifiers out; each changed row is put once.

Two kinds of rows: ``n/<node>`` -> id of a component, and ``c/<component>`` -> the component. Rows become
durable one by one, and any half of a step's rows may be there when the step is repeated. So:

1. A component that was joined to another one or split keeps its content and a reference to its successor; the next
   reader completes the other side (``find``). A union or a split may be repeated over any half of its writes.
2. A pointer is a cached path: it is written only where the rows that it skips were durable before the step.
"""

from processors.identity import graph
from processors.identity.graph import Component, Member
from processors.runtime.stage import PartitionState
from schemas import topics
from schemas.records.records import Identifier


class Graph:
    """The components that one group of links touches; ``save`` puts each touched row once."""

    def __init__(self, state: PartitionState) -> None:
        self._state = state
        self._components: dict[str, Component] = {}
        self._near: dict[str, str] = {}
        self._pointers: dict[str, str] = {}
        self._dirty: set[str] = set()

    def touch(self, *components: Component) -> None:
        for component in components:
            self._dirty.add(component.id)

    def find(self, node: str, named: Identifier, position: int) -> Component:
        """The node's component; completes a half-written union on the way."""
        start = self._near.get(node)
        is_durable = start is None or start == self._pointers.get(node)
        component = self.component(start or self._pointer(node) or node)
        start = component.id
        while component.into or component.parts:
            is_durable = is_durable and component.id not in self._dirty
            if self._leads_nowhere(component, node):
                component.into = ""
                self.touch(component)
                break
            component = self._next(component, node)
        member = component.members.get(node)
        if member is None or position < member.position:
            seen = Member(named["type"], named["value"], position)
            component.members[node] = seen if member is None else member | seen
            self.touch(component)
        self._near[node] = component.id
        if is_durable and start != component.id:
            self._pointers[node] = component.id
        return component

    def root(self, component: Component) -> Component:
        """The component of which an undivided one became part."""
        while component.into:
            component = self._next(component, "")
        return component

    def _leads_nowhere(self, component: Component, node: str) -> bool:
        """Whether the component that contains this one has been divided without it.

        Then its union is the half that a crash kept of the step that is repeated now: the repeat came to the division
        first, and will come to the union.
        """
        on_the_way: list[Component] = []
        end = component
        while end.into:
            end = self.component(end.into)
            on_the_way.append(end)
        if not on_the_way or not end.parts or node in end.parts:
            return False
        return all(one.members.keys() <= end.parts.keys() for one in on_the_way[:-1])

    def _next(self, component: Component, node: str) -> Component:
        """Where a component's content went; completed there."""
        if component.parts and node and node not in component.parts:
            # what names it was lost in a crash, and others of its component were divided before it is named again
            component.parts[node] = self._free_name(node)
            self.touch(component)
        left = component.part(component.parts[node]) if component.parts else component
        target = self.component(component.into or left.id)
        if not left.members.keys() <= target.members.keys():
            graph.join(target, left)
            self.touch(target)
        return target

    def _free_name(self, node: str) -> str:
        name = f"{node}@"
        while (known := self.component(name)).members or known.into or known.parts:
            name += "+"
        return name

    def _pointer(self, node: str) -> str | None:
        row = self._state.get(topics.RESOLVER_GRAPH, b"n/" + node.encode())
        return None if row is None else row.decode()

    def component(self, component_id: str) -> Component:
        component = self._components.get(component_id)
        if component is None:
            row = self._state.get(topics.RESOLVER_GRAPH, b"c/" + component_id.encode())
            component = Component(id=component_id) if row is None else graph.load(row)
            self._components[component_id] = component
        return component

    def save(self) -> None:
        for component_id in sorted(self._dirty):
            row = graph.dump(self._components[component_id])
            self._state.put(topics.RESOLVER_GRAPH, b"c/" + component_id.encode(), row)
        for node, component_id in self._pointers.items():
            self._state.put(topics.RESOLVER_GRAPH, b"n/" + node.encode(), component_id.encode())
