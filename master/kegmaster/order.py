"""Who waits for whom: circles, what holds an app up, and the order of stopping. Pure graph questions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


def cycles(edges: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Each circle once, as the path that closes it: ('a', 'b', 'a'). Names without edges of their own are skipped."""
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for start in edges:
        # An explicit stack: a chain of thousands of apps must not meet Python's recursion limit.
        path: list[str] = []
        stack: list[tuple[str, Iterable[str]]] = [(start, iter(edges[start]))] if start not in done else []
        if stack:
            path.append(start)
        while stack:
            for other in stack[-1][1]:
                if other in path:
                    found.append((*path[path.index(other) :], other))
                elif other in edges and other not in done:
                    path.append(other)
                    stack.append((other, iter(edges[other])))
                    break
            else:
                stack.pop()
                done.add(path.pop())
    return found


def closure(names: Iterable[str], edges: Mapping[str, Collection[str]]) -> list[str]:
    """`names` and all they lead to, each once, what is led to first."""
    found: dict[str, None] = {}
    stack = [(name, False) for name in reversed(list(names))]
    while stack:
        name, expanded = stack.pop()
        if name in found:
            continue
        if expanded:
            found[name] = None
        else:
            stack.append((name, True))
            stack += [(other, False) for other in edges.get(name, ()) if other not in found]
    return list(found)
