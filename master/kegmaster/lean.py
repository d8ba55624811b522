"""dataclass and the words of typing, at a tenth of their price: what our modules import instead of the originals.

The standard modules bring inspect, ast, dis and tokenize along: 1.5 MiB in each resident process, and 12 ms, half of
what `master.py status` may take. Type checkers see the originals. At run time a dataclass here knows frozen, slots,
kw_only, eq and repr, and nothing else.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import asdict as asdict
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import fields as fields
    from dataclasses import is_dataclass as is_dataclass
    from dataclasses import replace as replace
    from typing import Any as Any
    from typing import Final as Final
    from typing import Literal as Literal
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
else:

    class Protocol:
        """Only type checkers look at protocols."""

    class Any:
        """Only type checkers look at annotations, which are never evaluated."""

        def __class_getitem__(cls, item):
            return cls

    Final = Literal = NoReturn = Any

    _MISSING = object()

    class Field:
        """One field of a dataclass: its name, and what it is if the caller does not say."""

        __slots__ = ("compare", "default", "factory", "name", "repr")

        def __init__(self, default, factory, compare, repr):
            self.name = ""
            self.default = default
            self.factory = factory
            self.compare = compare
            self.repr = repr

    def field(*, default=_MISSING, default_factory=None, compare=True, repr=True):
        """As dataclasses.field."""
        return Field(default, default_factory, compare, repr)

    def dataclass(*, frozen=False, slots=False, kw_only=False):
        """As dataclasses.dataclass, for classes that inherit no fields."""

        def decorate(cls):
            body = dict(cls.__dict__)
            own = []
            for name in body.get("__annotations__", ()):
                given = body.pop(name, _MISSING)
                one = given if isinstance(given, Field) else Field(given, None, True, True)
                one.name = name
                own.append(one)
            body["__dataclass_fields__"] = {one.name: one for one in own}
            body["__match_args__"] = () if kw_only else tuple(one.name for one in own)
            body["__init__"] = _init(own, 0 if kw_only else len(own))
            body.setdefault("__repr__", _repr)
            body.setdefault("__eq__", _eq)
            body.setdefault("__hash__", _hash if frozen else None)
            if frozen:
                body["__setattr__"] = body["__delattr__"] = _refuse
            if slots:
                body["__slots__"] = tuple(one.name for one in own)
            else:
                body |= {one.name: one.default for one in own if one.default is not _MISSING}
            body.pop("__dict__", None)
            body.pop("__weakref__", None)
            return type(cls)(cls.__name__, cls.__bases__, body)

        return decorate

    def _init(own, positional):
        put = object.__setattr__
        names = [one.name for one in own]
        rest = [(one.name, one.default, one.factory) for one in own]

        def __init__(self, *args, **given):  # noqa: N807  # it becomes the method of that name
            if args:
                if len(args) > positional:
                    raise TypeError(f"{type(self).__name__}() takes {positional} positional arguments")
                for name, value in zip(names, args, strict=False):
                    if name in given:
                        raise TypeError(f"{type(self).__name__}() got {name!r} twice")
                    given[name] = value
            known = 0
            for name, default, factory in rest:
                if name in given:
                    known += 1
                    put(self, name, given[name])
                elif default is not _MISSING:
                    put(self, name, default)
                elif factory is not None:
                    put(self, name, factory())
                else:
                    raise TypeError(f"{type(self).__name__}() needs {name!r}")
            if known < len(given):
                wrong = next(name for name in given if name not in names)
                raise TypeError(f"{type(self).__name__}() has no {wrong!r}")

        return __init__

    def _compared(thing):
        own = thing.__dataclass_fields__.values()
        return tuple(getattr(thing, one.name) for one in own if one.compare)

    def _eq(self, other):
        return _compared(self) == _compared(other) if type(other) is type(self) else NotImplemented

    def _hash(self):
        return hash(_compared(self))

    def _repr(self):
        own = [one.name for one in fields(self) if one.repr]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in own)})"

    def _refuse(self, name, *_):
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be changed")

    def is_dataclass(thing):
        """As dataclasses.is_dataclass."""
        return hasattr(thing, "__dataclass_fields__")

    def fields(thing):
        """As dataclasses.fields."""
        return tuple(thing.__dataclass_fields__.values())

    def replace(thing, **changes):
        """As dataclasses.replace."""
        return type(thing)(**{name: getattr(thing, name) for name in thing.__dataclass_fields__} | changes)

    def asdict(thing):
        """As dataclasses.asdict, one level deep."""
        return {name: getattr(thing, name) for name in thing.__dataclass_fields__}
