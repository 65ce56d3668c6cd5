"""What a notebook shows of an evaluation: a row a method and K, and a figure of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from histofactor.base.text import counted
from histofactor.export.notebook import axes_of, literal, plain, table_html

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from histofactor.evaluation.pages.outputs import Evaluation


def evaluation_html(evaluation: Evaluation) -> str:
    """HTML with the scores of every method and K, and what they lie between; text from outside is escaped."""
    dataset = evaluation.dataset
    classes = [*dataset.classes.values()]
    rows = [
        [
            plain(result.method),
            f"K&nbsp;=&nbsp;{result.k}",
            _with_interval(result.scores.mean_iou, result.scores.mean_iou_interval),
            _number(result.scores.nmi),
            *(_number(result.scores.iou[name]) for name in classes),
        ]
        for result in evaluation.results
    ]
    rows += [
        [
            plain(one.name),
            "" if one.k is None else f"K&nbsp;=&nbsp;{one.k}",
            _with_interval(one.mean_iou, one.mean_iou_interval),
            *[""] * (1 + len(classes)),
        ]
        for one in evaluation.brackets
    ]
    heads = ["method", "", "mean IoU (95 %)", "NMI", *(f"IoU {plain(name)}" for name in classes)]
    facts = f"{counted(len(dataset.items), 'image')} · {evaluation.protocol}"
    return f"<div><b>{plain(dataset.name)}</b><br><small>{plain(facts)}</small>{table_html(heads, rows)}</div>"


def plot_evaluation(evaluation: Evaluation, axes: Axes | None = None) -> Axes:
    """Draw mean IoU over K with 95 % intervals over patients, a line a method, floors and ceilings dashed.

    Raises:
        OptionError: matplotlib is not there.
    """
    axes = axes_of(axes)
    mapped = [result for result in evaluation.results if not result.alone]
    for method in dict.fromkeys(result.method for result in mapped):
        of = sorted((one for one in mapped if one.method == method), key=lambda one: one.k)
        values = [one.scores.mean_iou for one in of]
        ends = [one.scores.mean_iou_interval for one in of]
        spans = [
            [max(value - low, 0.0) for value, (low, _) in zip(values, ends, strict=True)],
            [max(high - value, 0.0) for value, (_, high) in zip(values, ends, strict=True)],
        ]
        axes.errorbar([one.k for one in of], values, yerr=spans, marker="o", capsize=3, label=method)
    for number, name in enumerate(dict.fromkeys(one.name for one in evaluation.brackets)):
        found = [one for one in evaluation.brackets if one.name == name]
        style: dict[str, Any] = {
            "linestyle": "--",
            "linewidth": 1,
            "color": f"{0.2 + 0.15 * number:.2f}",
            "label": name,
        }
        if found[0].k is None:
            axes.axhline(found[0].mean_iou, **style)
        else:
            axes.plot([one.k or 0 for one in found], [one.mean_iou for one in found], **style)
    ks = sorted({one.k for one in evaluation.results})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.set(xlabel="K", ylabel="mean IoU", ylim=(0, 1), title=literal(evaluation.dataset.name))
    axes.legend(frameon=False)
    return axes


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return _number(value) if math.isnan(low) else f"{value:.3f} ({low:.3f}–{high:.3f})"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
