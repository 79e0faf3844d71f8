"""The `graph` table of a partition in; components by any of their identifiers out; each changed row is put once.

Two kinds of rows: ``n/<node>`` -> id of a component, and ``c/<component>`` -> the component. Rows become durable one by
one, so a repeated step may find any subset of its own rows. So:

1. A joined or split component keeps its content and a reference to its successor; the next reader completes the other
   side (``find``). A union or a split may be repeated over any half of its writes.
2. A pointer is a cached path: it is written only if the rows that it skips were durable before the step.
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
        """Returns the node's component; completes a half-written union on the way."""
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
        # an event's other links leave its earlier id behind its sender: else a contact would change its id silently
        if member is None or (position < member.position and member.position != position + graph.EARLIER):
            seen = Member(named["type"], named["value"], position)
            component.members[node] = seen if member is None else member | seen
            self.touch(component)
        self._near[node] = component.id
        if is_durable and start != component.id:
            self._pointers[node] = component.id
        return component

    def root(self, component: Component) -> Component:
        """Returns the final successor of an undivided component."""
        while component.into:
            component = self._next(component, "")
        return component

    def _leads_nowhere(self, component: Component, node: str) -> bool:
        """Whether the component that contains this one has been divided without it.

        Then this union is left from a crash. The same step runs again now: it has made the division, and will make
        the union.
        """
        on_the_way: list[Component] = []
        end = component
        while end.into:
            end = self.component(end.into)
            on_the_way.append(end)
        if not on_the_way or not end.parts or node in end.parts:
            return False
        return all(passed.members.keys() <= end.parts.keys() for passed in on_the_way[:-1])

    def _next(self, component: Component, node: str) -> Component:
        """Returns the successor of a component's content, and completes it."""
        if component.parts and node and node not in component.parts:
            # a crash lost the rows that name it, and other members of its component were divided since
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
        while (taken := self.component(name)).members or taken.into or taken.parts:
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
