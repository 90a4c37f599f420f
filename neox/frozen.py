"""What `dataclass` would otherwise compile anew for every class: equality and repr.

Python makes the methods of a dataclass from source text when the class is imported, about 0.15 ms
each. The config and the site profile are some 75 classes that every `neox-submit` imports before it
prints its first line, so they inherit these and say `eq=False, repr=False`.
"""


class Frozen:
    """Base of frozen dataclasses that compare and print by their fields."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"
