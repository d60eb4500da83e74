"""The ridge head against scikit-learn and against explicit solves of its normal equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from torch import Tensor

from prunetransfer.artifacts import write_tensors
from prunetransfer.heads import ALPHAS, _RidgePath, fit_ridge, read_head

SIZES = (60, 9, 25)


def task(width: int = 12, sizes: tuple[int, ...] = SIZES, seed: int = 0, apart: float = 0.4) -> tuple[Tensor, Tensor]:
    """Features [n, width] in overlapping clouds far from the origin, and labels, shuffled."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    centres = apart * torch.randn(len(sizes), width, generator=generator)
    return 3 + centres[labels] + torch.randn(len(labels), width, generator=generator), labels


def explicit(
    features: Tensor, labels: Tensor, classes: int, alpha: float, kept: np.ndarray | slice = slice(None)
) -> tuple[np.ndarray, np.ndarray]:
    """The weighted normal equations of [features, 1] with an unpenalised last column, of the kept images alone."""
    x = np.column_stack([features.double().numpy(), np.ones(len(labels))])[kept]
    targets = np.eye(classes)[labels.numpy()][kept]
    s = balance(labels, classes)[kept]
    penalty = np.diag([alpha] * features.shape[1] + [0.0])
    solution = np.linalg.solve(x.T @ (s[:, None] * x) + penalty, x.T @ (s[:, None] * targets))
    return solution[:-1], solution[-1]


def balance(labels: Tensor, classes: int) -> np.ndarray:
    return len(labels) / (classes * np.bincount(labels.numpy())[labels.numpy()])


@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("width", [12, 200], ids=["n > d", "d > n"])
def test_ridge_is_that_of_scikit_learn(width, alpha):
    features, labels = task(width)
    head = fit_ridge(features, labels, 3, alpha)
    sklearn = RidgeClassifier(alpha=alpha, class_weight="balanced").fit(features.double().numpy(), labels.numpy())
    # Its targets are −1 and 1, ours 0 and 1.
    np.testing.assert_allclose(2 * head.weight.numpy().T, sklearn.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(2 * head.bias.numpy() - 1, sklearn.intercept_, rtol=1e-4, atol=1e-5)
    fresh, _ = task(width, seed=1)
    assert head(fresh).argmax(1).tolist() == sklearn.predict(fresh.double().numpy()).tolist()
    assert (head.alpha, head.weight.dtype, head.weight.shape) == (alpha, torch.float32, (width, 3))


def test_balance_counts():
    features, labels = task(sizes=(200, 4, 4))
    predicted = fit_ridge(features, labels, 3, 1.0)(features).argmax(1)
    assert (predicted[labels > 0] == labels[labels > 0]).float().mean() > 0.7
    unweighted = RidgeClassifier(alpha=1.0).fit(features.numpy(), labels.numpy()).predict(features.numpy())
    assert (unweighted[labels.numpy() > 0] > 0).mean() < 0.3


@pytest.mark.parametrize("width", [12, 50], ids=["n > d", "d > n"])
def test_alpha_is_the_largest_within_one_standard_error_with_each_image_left_out(width):
    features, labels = task(width, sizes=(25, 6, 14), apart=0.7)
    s, targets = balance(labels, 3), np.eye(3)[labels.numpy()]
    errors = {}
    for alpha in ALPHAS:
        residuals = []
        for i in range(len(labels)):
            weight, bias = explicit(features, labels, 3, alpha, kept=np.arange(len(labels)) != i)
            residuals.append(features[i].double().numpy() @ weight + bias - targets[i])
        errors[alpha] = s * np.square(residuals).sum(1)
    least = min(errors, key=lambda alpha: errors[alpha].mean())
    limit = errors[least].mean() + errors[least].std(ddof=1) / np.sqrt(len(labels))
    expected = max(alpha for alpha in ALPHAS if errors[alpha].mean() <= limit)
    assert ALPHAS[0] < least <= expected < ALPHAS[-1]
    assert least < expected or width == 50  # one case at least tells the rule from the plain minimum

    path = _RidgePath(features, labels, torch.bincount(labels))
    for alpha, error in errors.items():
        np.testing.assert_allclose(path.left_out_errors(alpha).numpy(), error, rtol=1e-6)
    head = fit_ridge(features, labels, 3)
    assert head.alpha == expected
    weight, bias = explicit(features, labels, 3, expected)
    np.testing.assert_allclose(head.weight.numpy(), weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.bias.numpy(), bias, rtol=1e-4, atol=1e-6)


def test_a_constant_feature_and_a_copied_one_do_no_harm():
    features, labels = task()
    more = torch.cat([features, features[:, :1], torch.ones(len(labels), 1)], dim=1)
    head = fit_ridge(more, labels, 3, alpha=1e-3)
    weight, bias = explicit(more, labels, 3, 1e-3)
    outputs = more.double().numpy() @ weight + bias
    np.testing.assert_allclose(head(more).numpy(), outputs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("alpha", [1.0, None])
def test_a_class_without_an_image_is_refused(alpha):
    features, labels = task()
    with pytest.raises(ValueError, match="class 3 of 5 has no train image"):
        fit_ridge(features, labels, 5, alpha)
    with pytest.raises(ValueError, match="class 0 of 3"):
        fit_ridge(features[labels > 0], labels[labels > 0], 3, alpha)


@pytest.mark.parametrize("sizes", [(20, 1, 10), (1, 1, 1), (2, 1, 1)])
def test_classes_of_one_image_work(sizes):
    features, labels = task(sizes=sizes)
    head = fit_ridge(features, labels, 3)
    assert head.alpha in ALPHAS
    assert head.weight.isfinite().all() and head.bias.isfinite().all()
    weight, _ = explicit(features, labels, 3, head.alpha)
    np.testing.assert_allclose(head.weight.numpy(), weight, rtol=1e-3, atol=1e-5)


def test_a_head_comes_back_from_its_file(tmp_path):
    features, labels = task()
    head = fit_ridge(features, labels, 3, 10.0)
    write_tensors(tmp_path / "head", {"weight": head.weight.numpy(), "bias": head.bias.numpy()}, {"alpha": head.alpha})
    found = read_head(tmp_path / "head", torch.device("cpu"))
    assert torch.equal(found(features), head(features))
    assert found.alpha == 10.0
