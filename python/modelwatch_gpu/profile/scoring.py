"""What a baseline knows of labels: which columns answer the question that the label asks, and how they are counted.

Fixed when the baseline is fitted, so that every profile counted against it can be added up. Scores and predictions are
counted once more, apart for each label (``labelled``); that is all that performance is made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np

from modelwatch_gpu import keys
from modelwatch_gpu.errors import InputError
from modelwatch_gpu.log import Log, with_residuals
from modelwatch_gpu.log.ranks import with_label_ranks
from modelwatch_gpu.log.residuals import error_columns
from modelwatch_gpu.plain import type_text
from modelwatch_gpu.profile.columns import CategoricalColumn, Column, NumericColumn

#: A score at or above it is a predicted positive.
THRESHOLD: Final = 0.5
#: A label with more values in the baseline names no classes.
MOST_CLASSES: Final = 100
#: Labels that are counted apart: those of the baseline and as many again that it does not know, and some.
LABEL_CAP: Final = 256
#: Bins of the expected calibration error, whose inner edges are knots of every score.
ECE_BINS: Final = 10

#: Of a true negative, a false positive, a false negative and a true positive.
Costs = tuple[float, float, float, float]

#: What label and answers are. "binary": scores of one of two classes. "classes": a predicted class, scores of several
#: classes, or both. "numbers": a predicted number.
TASKS: Final = ("binary", "classes", "numbers")

#: Two classes of which one is the positive one without being told.
_POSITIVE: Final = {("0", "1"): "1", ("-1", "1"): "1", ("false", "true"): "true"}


@dataclass(frozen=True)
class Scoring:
    """How answers are held against labels.

    ``task``: one of ``TASKS``. ``label``: the column. ``classes``: the label's values in the baseline as text, sorted.
    ``positive``: which of two is the positive class, None of several. ``scores``: the columns with that
    role that are numbers; of several classes, one for each of ``classes``. ``prediction``: the column, where it can be
    compared with the label. ``threshold``: scores from it on are predicted positives. ``costs``: of a true negative, a
    false positive, a false negative and a true positive; None: nobody said.
    """

    task: str
    label: str
    classes: tuple[str, ...]
    positive: str | None
    scores: tuple[str, ...]
    prediction: str | None
    threshold: float
    costs: Costs | None = None

    @property
    def counted(self) -> tuple[str, ...]:
        """The columns that are counted apart for each label."""
        if self.task == "numbers":
            return ()
        return (*self.scores, *([self.prediction] if self.prediction is not None else []))

    def header(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "task": self.task,
            "label": self.label,
            "classes": list(self.classes),
            "positive": self.positive,
            "scores": list(self.scores),
            "prediction": self.prediction,
            "threshold": self.threshold,
            **({"costs": list(self.costs)} if self.costs is not None else {}),
        }

    @classmethod
    def from_header(cls, own: Mapping[str, Any], columns: Sequence[Column]) -> Scoring:
        """The inverse of ``header``; raises ValueError or KeyError where it does not fit the columns."""
        if not all(isinstance(own[name], list) for name in ("classes", "scores")):
            raise ValueError("classes and scores are no lists")
        found = cls(
            task=own["task"],
            label=own["label"],
            classes=tuple(own["classes"]),
            positive=own["positive"],
            scores=tuple(own["scores"]),
            prediction=own["prediction"],
            threshold=own["threshold"],
            costs=tuple(own["costs"]) if "costs" in own else None,
        )
        by_name = {c.name: c for c in columns}
        if found.task not in TASKS or found.label not in by_name:
            raise ValueError("performance is of a task or a label that is not there")
        texts = [*found.classes, *found.scores, *(t for t in (found.positive, found.prediction) if t is not None)]
        if not all(isinstance(text, str) for text in texts) or len(set(found.classes)) != len(found.classes):
            raise ValueError("performance is of classes that are no names")
        if any(not isinstance(by_name.get(name), NumericColumn) for name in found.scores):
            raise ValueError("a score is not a column of numbers")
        if found.prediction is not None and found.prediction not in by_name:
            raise ValueError("the prediction is not there")
        if found.task == "binary" and (found.positive is None or not found.scores):
            raise ValueError("performance of scores needs a positive class and a score")
        if found.task == "classes" and len(found.scores) not in (0, len(found.classes)):
            raise ValueError("there is not one score for each class")
        if found.task == "numbers":
            answer = str(found.prediction)
            made = error_columns(answer, found.label)
            if any(not isinstance(by_name.get(n), NumericColumn) for n in (answer, found.label, *made)):
                raise ValueError("the errors of the prediction are not there")
        if type(found.threshold) is not float or not np.isfinite(found.threshold):
            raise ValueError("the threshold is no number")
        if found.costs is not None and (
            len(found.costs) != 4 or not all(type(c) is float and np.isfinite(c) for c in found.costs)
        ):
            raise ValueError("the costs are not four numbers")
        return found


def score_knots(domain: str, threshold: float, scale: int = 0) -> list[int]:
    """Keys that the grid of every score has beside its own: the threshold, the edges of the calibration bins, and the
    ends of what is a probability. With them a confusion table at the threshold is exact on any grid."""
    found = [keys.edge_key(threshold, domain, right_closed=False, scale=scale)]
    for i in range(ECE_BINS + 1):
        # The edges of a float column are the floats that bins are cut at; a decimal's are exact.
        edge = i / ECE_BINS if keys.is_float(domain) else Fraction(i, ECE_BINS)
        found.append(keys.edge_key(edge, domain, right_closed=True, scale=scale))
    return sorted({key for key in found if key is not None})


def checked_threshold(threshold: float) -> float:
    """Raises InputError where the threshold is no finite number."""
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not np.isfinite(threshold):
        raise InputError(f"threshold={threshold!r} must be a finite number.")
    return float(threshold)


def checked_costs(costs: Any) -> Costs | None:
    """Costs as ((true negative, false positive), (false negative, true positive)), rows by label; raises InputError
    where they are not four finite numbers."""
    if costs is None:
        return None
    try:
        table = np.asarray(costs, dtype=np.float64)
    except (TypeError, ValueError):
        table = np.empty(0)
    if table.shape != (2, 2) or not np.isfinite(table).all():
        raise InputError(
            f"costs={costs!r} must be two rows of two numbers: [[true negative, false positive], [false negative, true "
            "positive]]."
        )
    (a, b), (c, d) = table.tolist()
    return a, b, c, d


def scoring_of(
    columns: Sequence[Column],
    distinct: Mapping[str, Sequence[float]],
    threshold: float,
    positive: Any = None,
    notes: list[str] | None = None,
    costs: Costs | None = None,
) -> Scoring | None:
    """What the columns of a baseline say of performance; None where there is no label, or nothing to hold against it.

    ``distinct``: the values of columns of numbers that have one or two. ``positive``: the positive class of two, a
    value of the label. Raises InputError where the label does not have it. Appends to ``notes`` why there will be no
    performance although there is a label and an answer.
    """
    notes = notes if notes is not None else []
    label = next((c for c in columns if c.role == "label"), None)
    prediction = next((c for c in columns if c.role == "prediction"), None)
    scores = [c for c in columns if c.role == "score" and isinstance(c, NumericColumn)]
    notes += [
        f"Column '{c.name}' has the role score but is taken as categorical ({type_text(c.type)}), so it is compared "
        "and never held against a label; make it a number, or name it in numeric=."
        for c in columns
        if c.role == "score" and not isinstance(c, NumericColumn)
    ]
    if label is None or (prediction is None and not scores):
        if positive is not None:
            raise InputError(f"positive={positive!r} names a class, but there are not both a label and a score.")
        return None
    classes = classes_of(label, distinct)
    if classes is None:
        if positive is not None:
            raise InputError(f"positive={positive!r} names a class, but the label '{label.name}' is a number.")
        if any(c.role == "residual" for c in columns) and prediction is not None:
            return Scoring("numbers", label.name, (), None, (), prediction.name, threshold)
        return None
    if len(classes) > MOST_CLASSES:
        notes.append(f"The label '{label.name}' has more than {MOST_CLASSES} values, too many to hold answers against.")
        return None
    own = prediction.name if prediction is not None and classes_of(prediction, distinct) is not None else None
    chosen = _positive(label.name, classes, positive, bool(scores), notes)
    names = tuple(c.name for c in scores)
    by_class = _by_class(names, classes)
    if scores and chosen is not None and len(classes) <= 2:
        if by_class is not None and len(classes) == 2:  # of both classes; those of the positive one say all
            names = (by_class[classes.index(chosen)],)
        return Scoring("binary", label.name, classes, chosen, names, own, threshold, costs)
    several = scores_of(names, classes) if len(classes) > 2 else ()
    if scores and len(classes) > 2 and not several:
        notes.append(
            f"The label '{label.name}' has {len(classes)} classes and there are {len(scores)} scores; give one score "
            "for each class, named by it (score_a for class a), to get the performance of the scores."
        )
    elif several and by_class is None:
        notes.append(f"The scores {', '.join(several)} are taken as those of {_some(classes)}, in this order.")
    if own is None and not several:
        return None
    return Scoring("classes", label.name, classes, chosen, several, own, threshold, costs)


def scores_of(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """The score of each of several classes: by name, else as many as there are, in order; () where neither is so."""
    by_class = _by_class(names, classes)
    return by_class or (tuple(names) if len(names) == len(classes) else ())


def with_made_columns(log: Log, scoring: Scoring | None) -> Log:
    """A log with the columns that a baseline made of answers and labels."""
    if scoring is None:
        return log
    if scoring.task == "numbers":
        return with_residuals(log, str(scoring.prediction), scoring.label)
    if scoring.task == "classes" and scoring.scores:
        return with_label_ranks(log, scoring.label, scoring.scores, scoring.classes)
    return log


def _by_class(scores: Sequence[str], classes: Sequence[str]) -> tuple[str, ...] | None:
    """The score of each class, where every class has one whose name ends with it, and no two the same."""
    found = []
    for one in classes:
        own = [name for name in scores if name == one or name.endswith((f"_{one}", f".{one}", f"-{one}"))]
        if len(own) != 1:
            return None
        found.append(own[0])
    return tuple(found) if len(set(found)) == len(found) == len(scores) else None


def classes_of(column: Column, distinct: Mapping[str, Sequence[float]]) -> tuple[str, ...] | None:
    """The values of a column as text, where they can be classes; None where they are numbers.

    Two or fewer distinct whole numbers are classes also where they are stored as floats, as pandas does where some are
    missing.
    """
    if isinstance(column, CategoricalColumn):
        return column.labels
    values = distinct.get(column.name)
    if values is None or not column.type.startswith(("float", "double", "half", "int", "uint")):
        return None  # dates and times are no classes
    own = [class_text(v) for v in values]
    return None if None in own or not own else tuple(sorted(str(text) for text in own))


def class_text(value: float) -> str | None:
    """A whole number as the name of a class; None where it is another number."""
    return str(int(value)) if np.isfinite(value) and float(value).is_integer() else None


def _positive(label: str, classes: Sequence[str], positive: Any, scored: bool, notes: list[str]) -> str | None:
    """The positive class as text; None where there is none among several."""
    if positive is not None:
        text = str(positive).lower() if isinstance(positive, (bool, np.bool_)) else str(positive)
        if text not in classes:
            raise InputError(f"positive={positive!r} is not a value of the label '{label}'; it has {_some(classes)}.")
        return text
    for pair, chosen in _POSITIVE.items():
        if set(classes) <= set(pair):
            return chosen
    if len(classes) <= 2 and scored:
        notes.append(
            f"The label '{label}' is {_some(classes)}; name the positive class with positive= (--positive) to get the "
            "performance of the score."
        )
    return None


def _some(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes[:10])) + (", ..." if len(classes) > 10 else "")
