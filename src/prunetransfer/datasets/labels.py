"""Labels as they stand in files, mapped to the numbers of one list of classes, by name wherever there are names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

SHOWN = 5
KINDS = "must hold whole numbers or text alone"


@dataclass(frozen=True)
class Labels:
    """The labels of one file: whole numbers [n], or names of classes (str, in an array of objects [n]).

    names: all the classes that the file names. where: file and column, for messages.
    """

    where: str
    values: np.ndarray
    names: Sequence[str] = ()

    @property
    def are_names(self) -> bool:
        return self.values.dtype == object


def of_array(where: str, values: np.ndarray, names: Sequence[str | bytes] | None = None) -> Labels:
    """The labels of an array [n] of whole numbers, truth values or text, which may be bytes of UTF-8.

    names: the classes that whole numbers stand for, and that text is one of. Raises ValueError for values of another
    kind, for those that none of the names belongs to, and for names that stand twice.
    """
    if values.dtype.kind == "b":
        values = np.where(values, "true", "false")
    if values.dtype.kind not in "iuSUO":
        raise _refused(where, f"{KINDS}, not {values.dtype}", values)
    is_text = values.dtype.kind not in "iu"
    try:
        texts = np.array([_text(value) for value in values] if is_text else [], dtype=object)
        known = None if names is None else [_text(name) for name in names]
    except ValueError as error:
        raise _refused(where, f"{KINDS}, not {error}", values) from None
    if known is None:
        return Labels(where, texts if is_text else values)
    if twice := [name for name, times in Counter(known).items() if times > 1]:
        raise _refused(where, f"names {len(known)} classes, {twice[0]!r} twice", values)
    belongs = np.isin(texts, known) if is_text else (values >= 0) & (values < len(known))
    if not belongs.all():
        stray = values[np.argmin(belongs)]
        wrong = f"{stray!r} is none of {len(known)} classes"
        if not is_text:
            wrong = f"{stray} is out of range: {len(known)} classes allow 0 to {len(known) - 1}"
        raise _refused(where, f"in row {np.argmin(belongs)}: label {wrong}", values)
    return Labels(where, texts if is_text else np.array(known, dtype=object)[values.astype(np.int64)], known)


def of_column(where: str, column: pa.ChunkedArray, names: Sequence[str] | None = None) -> Labels:
    """The labels of an Arrow column. Raises ValueError as `of_array` does, and where one is missing."""
    kind, values = column.type, column.slice(0, SHOWN).to_pylist()
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        missing = f"{column.null_count} of {len(column)} are missing, the first in row {row}"
        raise _refused(where, f"{KINDS}: {missing}", values)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    text = pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary
    known = *text, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null
    if not any(belongs(column.type) for belongs in known):
        raise _refused(where, f"{KINDS}, not {kind}", values)
    return of_array(where, column.to_numpy(), names)


def numbered(parts: Sequence[Labels]) -> tuple[list[np.ndarray], list[str]]:
    """For each part its labels as indices, int64 [n], into one list of classes; and that list.

    Classes come as the parts name them, then sorted. Whole numbers without names are indices as they are, and the names
    of the classes. Raises ValueError where some parts have names and others only numbers, and for numbers that cannot
    be indices: negative ones, and those that are not below the number of labels.
    """
    filled = [part for part in parts if len(part.values)]
    named, numbers = ([part for part in filled if part.are_names == names] for names in (True, False))
    if named and numbers:
        without = f"holds numbers without names, but {named[0].where} has names"
        raise _refused(numbers[0].where, without, numbers[0].values)
    if numbers:
        count = sum(len(part.values) for part in numbers)
        for part in numbers:
            strays = part.values[(part.values < 0) | (part.values >= count)]
            if len(strays):
                rule = f"classes without names have numbers from 0 to below {count}, the number of images"
                raise _refused(part.where, f"label {strays[0]} is out of range: {rule}", part.values)
        last = max(int(part.values.max()) for part in numbers)
        return [part.values.astype(np.int64) for part in parts], [str(number) for number in range(last + 1)]
    classes = dict.fromkeys(name for part in parts for name in part.names)
    classes |= dict.fromkeys(sorted({name for part in named for name in part.values} - classes.keys()))
    places = {name: place for place, name in enumerate(classes)}
    return [np.array([places[name] for name in part.values], dtype=np.int64) for part in parts], list(classes)


def _text(value: object) -> str:
    """A str that every file can hold. Raises ValueError, with the value, for what is no text."""
    try:
        return (value.decode() if isinstance(value, bytes) else value).encode("utf-8", "backslashreplace").decode()
    except (AttributeError, UnicodeDecodeError):
        raise ValueError(repr(value)) from None


def _refused(where: str, why: str, values: Sequence | np.ndarray) -> ValueError:
    shown = values[:SHOWN].tolist() if isinstance(values, np.ndarray) else values[:SHOWN]
    first = ", ".join(map(repr, shown))
    return ValueError(f"{where} {why}; it begins with {first or 'nothing'}")
