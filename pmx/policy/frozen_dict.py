"""A dictionary that cannot change, so that a policy is immutable all the way down."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """An immutable, hashable, picklable dictionary that keeps its order.

    Examples
    --------
    >>> caps = FrozenDict({"ngx": 0.05})
    >>> caps["ngx"]
    0.05
    >>> caps["ngx"] = 0.5
    Traceback (most recent call last):
    ...
    TypeError: a policy is immutable; use Policy.override to make a changed copy
    """

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("a policy is immutable; use Policy.override to make a changed copy")

    __setitem__ = _refuse
    __delitem__ = _refuse
    __ior__ = _refuse
    clear = _refuse
    pop = _refuse
    popitem = _refuse
    setdefault = _refuse
    update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[FrozenDict[K, V]], tuple[dict[K, V]]]:
        return type(self), (dict(self),)
