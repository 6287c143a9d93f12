"""scikit-learn estimators for use in a `Pipeline`, `GridSearchCV` or `cross_val_score`.

>>> from sklearn.datasets import load_iris
>>> from handgrad.sklearn import HandgradClassifier
>>> x, y = load_iris(return_X_y=True)
>>> classifier = HandgradClassifier((16,), learning_rate_init=0.01, random_state=0).fit(x, y)
>>> bool(classifier.score(x, y) > 0.9)
True

Parameters in common with `MLPClassifier` and `MLPRegressor` have the same names and meanings. Inputs are not
preprocessed: put a `StandardScaler` before the estimator. Training uses the NumPy engine.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from handgrad._typing import Array, Float, Integer, Num, Shaped
from handgrad.data.dataset import Dataset, Preprocessing, fit_targets
from handgrad.engines import DivergedError, Engine, Figures, make_engine
from handgrad.errors import ConfigError
from handgrad.training.config import TrainConfig

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, compute_class_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f'handgrad.sklearn requires scikit-learn 1.6 or newer ({error}): pip install "handgrad[sklearn]"'
    ) from error

#: scikit-learn's names of activations with different names in handgrad.
_ACTIVATIONS = {"logistic": "sigmoid"}

_AS_THEY_ARE = Preprocessing("none", np.zeros(1, np.float32), np.ones(1, np.float32))


class _Estimator(BaseEstimator):
    """Base class of both estimators: parameters, the loop over epochs, and the saved state."""

    _task: str
    #: The state for unpickling: the checkpoint of the engine, and the weights.
    _saved: tuple[dict[str, Any], dict[str, Any]]
    _weights: dict[str, Any]

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        weight_decay=0.0,
        dropout=0.0,
        norm="none",
        num_groups=4,
        init="xavier_uniform",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=1e-3,
        warmup_steps=0,
        clip_norm=None,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        verbose=False,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        precision="auto",
        n_jobs=None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.norm = norm
        self.num_groups = num_groups
        self.init = init
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.warmup_steps = warmup_steps
        self.clip_norm = clip_norm
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.verbose = verbose
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.precision = precision
        self.n_jobs = n_jobs

    # -- parameters ---------------------------------------------------------------------------------------------------

    def _config(self, samples: int, steps: int) -> TrainConfig:
        """The parameters as settings of a run with this number of steps; raises ValueError for invalid ones."""
        sizes = self.hidden_layer_sizes
        units = (int(sizes),) if isinstance(sizes, Integral) else tuple(map(_plain, sizes))
        momentum = {"sgd": self.momentum, "rmsprop": 0.0}.get(self.solver)
        adam = self.solver in ("adam", "adamw", "muon")
        settings = {
            "hidden_units": units,
            "activation": _ACTIVATIONS.get(self.activation, self.activation),
            "norm": self.norm,
            "num_groups": self.num_groups if self.norm == "group" else 4,
            "dropout": self.dropout,
            "init": self.init,
            "optimizer": self.solver,
            "weight_decay": self.weight_decay,
            "momentum": momentum,
            "nesterov": bool(self.nesterovs_momentum and self.solver == "sgd" and momentum),
            **({"beta1": self.beta_1, "beta2": self.beta_2} if adam else {}),
            "clip_norm": self.clip_norm,
            "learning_rate": self.learning_rate_init,
            "schedule": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "batch_size": max(2, self._batch(samples)),
            "max_steps": max(1, steps),
            "precision": self._dtype.name,
            **self._own_settings(),
        }
        try:
            return TrainConfig(**{name: _plain(value) for name, value in settings.items()})
        except ConfigError as error:
            raise ValueError(_in_our_names(str(error))) from None

    def _own_settings(self) -> dict[str, Any]:
        return {}

    def _check_parameters(self) -> None:
        rules: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
            ("max_iter", _is_count, "a whole number of at least 1"),
            ("n_iter_no_change", lambda v: v == math.inf or _is_count(v), "at least 1"),
            ("tol", lambda v: isinstance(v, Real) and float(v) >= 0, "a number of at least 0"),
            ("validation_fraction", lambda v: isinstance(v, Real) and 0 < float(v) < 1, "a number in (0, 1)"),
            ("batch_size", lambda v: v == "auto" or _is_count(v), "'auto' or at least 1"),
            ("precision", lambda v: v in ("auto", "float32", "float64"), "auto, float32 or float64"),
            ("n_jobs", lambda v: v is None or _is_count(v), "None or at least 1"),
            (
                "hidden_layer_sizes",
                lambda v: isinstance(v, Integral) or (np.iterable(v) and not isinstance(v, str)),
                "a whole number or several",
            ),
        )
        for name, fits, expected in rules:
            value = getattr(self, name)
            if isinstance(value, bool) or not fits(value):
                raise ValueError(f"{type(self).__name__}: {name}={value!r}, expected {expected}")

    def _batch(self, samples: int) -> int:
        return min(200 if self.batch_size == "auto" else int(self.batch_size), samples)

    # -- the network and its state ------------------------------------------------------------------------------------

    def _begin(self, config: TrainConfig, features: int, outputs: int) -> None:
        """Creates a network with new weights."""
        random = check_random_state(self.random_state)
        init_seed, noise_seed, data_seed = random.randint(np.iinfo(np.int32).max, size=3).tolist()
        try:
            self.architecture_ = config.architecture((features,), outputs)
        except ConfigError as error:
            raise ValueError(_in_our_names(str(error))) from None
        self._engine = self._new_engine(config, init_seed, noise_seed)
        self._order = np.random.default_rng(data_seed)
        self.n_iter_, self.t_ = 0, 0
        self.loss_curve_: list[float] = []
        self.best_loss_ = math.inf
        self._forget_validation()

    def _forget_validation(self) -> None:
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.validation_loss_curve_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -math.inf if self.early_stopping else None

    def _new_engine(self, config: TrainConfig, init_seed: int = 0, noise_seed: int = 0) -> Engine:
        spec = config.engine_spec()
        spec = type(spec)(spec.name, spec.precision, threads=int(self.n_jobs or 1))
        optimizer, loss = config.optimizer_spec(), config.loss_spec(self._task)
        seeds = {"init": config.init, "init_seed": init_seed, "noise_seed": noise_seed}
        return make_engine(spec, self.architecture_, optimizer, loss, **seeds)

    def _restored(self, config: TrainConfig | None = None) -> Engine:
        """The engine; after unpickling, a new one with the old state."""
        if getattr(self, "_engine", None) is None:
            self._engine = self._new_engine(config or self._config(2, 1))
            self._engine.restore(*self._saved)
            self._engine.load_state_dict(self._weights)
        return self._engine

    @property
    def weights_(self) -> dict[str, Shaped[Array, "..."]]:
        """Parameters and buffers of the network, under PyTorch's names."""
        check_is_fitted(self)
        return self._restored().state_dict()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__()}  # pyright: ignore[reportGeneralTypeIssues]
        engine = state.pop("_engine", None)
        if engine is not None:
            state["_saved"], state["_weights"] = engine.checkpoint(), engine.state_dict()
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")

    # -- training -----------------------------------------------------------------------------------------------------

    def _dataset(self, x: Num[Array, "n D"], y: Num[Array, "n *T"], weights: Float[Array, "n"] | None) -> Dataset:
        weights = None if weights is None else weights.astype(np.float32)
        return Dataset(
            type(self).__name__,
            np.ascontiguousarray(x),
            y,
            {"train": range(len(x))},
            self._output_names(),
            1.0,
            _AS_THEY_ARE,
            task=self._task,
            weights=weights,
            target_scaling=self._scaling(),
        )

    def _output_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _scaling(self) -> Preprocessing | None:
        return None

    def _train(self, x: Any, y: Any, weights: Any, *, incremental: bool = False) -> None:
        """Runs epochs until a stopping criterion is met; a single one for `partial_fit`."""
        validation = None
        if self.early_stopping and not incremental:
            parts = [x, y] if weights is None else [x, y, weights]
            seed = int(self._order.integers(2**31))
            split: Any = train_test_split(
                *parts, test_size=self.validation_fraction, random_state=seed, stratify=self._strata(y)
            )
            x, y, *rest = split[::2]
            weights, validation = (rest[0] if rest else None), split[1:4:2]
        steps_an_epoch = -(-len(x) // self._batch(len(x)))
        if self.norm == "batch" and len(x) < 2 * steps_an_epoch:
            raise ValueError(
                f"norm='batch' needs batches of at least 2 samples: {len(x)} make {steps_an_epoch} batches"
            )
        epochs = 1 if incremental else self.max_iter
        config = self._config(len(x), steps_an_epoch * epochs)
        engine = self._restored(config)
        data = self._dataset(x, y, weights)
        held = None if validation is None else self._dataset(validation[0], validation[1], None)
        engine.load(data)
        schedule = config.learning_rates(steps_an_epoch * epochs)
        without_progress, best = 0, None
        with self._progress(epochs) as show, threadpool_limits(1, "blas"):
            for epoch in range(epochs):
                rates = schedule.rates(epoch * steps_an_epoch, (epoch + 1) * steps_an_epoch)
                loss = self._epoch(engine, len(x), rates)
                self.loss_curve_.append(loss)
                self.n_iter_ += 1
                self.t_ += len(x)
                if held is not None:
                    assert self.validation_scores_ is not None
                    assert self.validation_loss_curve_ is not None
                    assert self.best_validation_score_ is not None
                    engine.load(held)
                    figures = engine.evaluate(np.arange(len(held.inputs)))
                    engine.load(data)
                    self.validation_loss_curve_.append(float(figures.loss[0]) / figures.samples)
                    self.validation_scores_.append(self._score(figures, held))
                    schedule.evaluated(self.validation_loss_curve_[-1])
                    improved = self.validation_scores_[-1] > self.best_validation_score_ + self.tol
                    if self.validation_scores_[-1] > self.best_validation_score_:
                        self.best_validation_score_, best = self.validation_scores_[-1], engine.state_dict()
                else:
                    schedule.evaluated(loss)
                    improved = loss < self.best_loss_ - self.tol
                self.best_loss_ = min(self.best_loss_, loss)
                without_progress = 0 if improved else without_progress + 1
                show(epoch + 1, loss)
                if without_progress > self.n_iter_no_change and not incremental:
                    break
        if best is not None:
            engine.load_state_dict(best)
        self.loss_ = self.loss_curve_[-1]
        engine.load(self._dataset(x[:1], y[:1], None))  # releases the rest

    def _epoch(self, engine: Engine, samples: int, rates: Float[Array, "steps"]) -> float:
        """Runs one pass over the data in batches of equal size, which is most efficient; returns the mean loss. Of n
        samples in s batches, n mod s are left out, different ones in each pass."""
        steps = len(rates)
        if self.shuffle:
            order = self._order.permutation(samples)
        else:
            order = np.roll(np.arange(samples), -(samples % steps) * self.n_iter_)
        try:
            figures = engine.train(order[: samples - samples % steps].reshape(steps, -1), rates)
        except DivergedError as error:
            raise ValueError(
                f"the loss is no longer a finite number in iteration {self.n_iter_ + 1}: {error.cause}"
            ) from None
        return float(figures.loss.sum()) / (figures.samples * steps)

    def _strata(self, y: Num[Array, "n *T"]) -> Num[Array, "n"] | None:
        return None

    def _score(self, figures: Figures, held: Dataset) -> float:
        raise NotImplementedError

    @contextlib.contextmanager
    def _progress(self, epochs: int) -> Iterator[Any]:
        """Shows the loss of each epoch if `verbose`: a bar on a terminal, lines elsewhere."""
        if not self.verbose:
            yield lambda epoch, loss: None
        elif sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            with Progress(*columns, console=Console(stderr=True)) as progress:
                task = progress.add_task("", total=epochs)
                yield lambda epoch, loss: progress.update(task, completed=epoch, description=self._description(loss))
        else:
            every = max(1, epochs // 20)

            def line(epoch: int, loss: float) -> None:
                if epoch % every == 0 or epoch == 1:
                    print(f"iteration {epoch}/{epochs}  {self._description(loss)}", flush=True)

            yield line

    def _description(self, loss: float) -> str:
        scores = self.validation_scores_
        return f"loss {loss:.6g}" + (f"  validation score {scores[-1]:.4f}" if scores else "")

    # -- prediction ---------------------------------------------------------------------------------------------------

    def _outputs(self, x: Any) -> Float[Array, "n K"]:
        check_is_fitted(self)
        checked: Any = validate_data(self, x, reset=False, dtype=[np.float64, np.float32])
        with threadpool_limits(1, "blas"):
            return self._restored().predict(checked.astype(self._dtype, copy=False)).astype(np.float64)

    def _checked(self, x: Any, y: Any, sample_weight: Any, *, reset: bool, **options: Any) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights as arrays, without samples of weight 0."""
        checked: Any = validate_data(self, x, y, reset=reset, dtype=[np.float64, np.float32], **options)
        x, y = checked
        if reset:
            one_batch = self._batch(len(x)) == len(x)
            self._dtype = np.dtype(self.precision if self.precision != "auto" else f"float{64 if one_batch else 32}")
        x = x.astype(self._dtype, copy=False)
        if sample_weight is None:
            return x, y, None
        weights = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        counted = weights > 0
        if not counted.any():
            raise ValueError("sample_weight is 0 for every sample: expected at least one above 0")
        return (x, y, weights) if counted.all() else (x[counted], y[counted], weights[counted])

    def _check_continuation(self, incremental: bool) -> None:
        if incremental and self.early_stopping:
            raise ValueError("early_stopping=True applies to fit: partial_fit sees the data in parts")
        if incremental and self.learning_rate != "constant":
            raise ValueError(
                f"learning_rate={self.learning_rate!r} spans all iterations of fit: "
                "partial_fit requires learning_rate='constant'"
            )


class HandgradClassifier(ClassifierMixin, _Estimator):
    """A multi-layer perceptron classifier, trained with hand-derived gradients.

    It minimises softmax cross-entropy, with the loss Σ w L / Σ w of each batch for sample or class weights.

    Arguments:
        hidden_layer_sizes: width of each hidden layer; () for multinomial logistic regression.
        activation: relu, leaky_relu, elu, gelu, gelu_exact, silu, softplus, sigmoid (or logistic), tanh or identity.
        solver: adam, adamw, sgd, rmsprop, adadelta or muon.
        weight_decay: L2 penalty, λ/2 ‖w‖²; decoupled for adamw and muon. (`alpha` of `MLPClassifier` is divided by
            the batch size: it is `weight_decay * batch_size`.)
        dropout: probability of zeroing a hidden unit in training mode.
        norm: normalisation before each activation: none, batch, layer, group (in `num_groups`) or rms.
        init: initialiser: xavier_uniform (as `MLPClassifier`), kaiming, orthogonal, pytorch, normal:STD, ….
        batch_size: maximum number of samples per step; auto: 200. All batches of an iteration have the same size.
        learning_rate: schedule over all iterations: constant, step, cosine, one_cycle, plateau, ….
        learning_rate_init: learning rate; `warmup_steps`: steps in which it increases from 0.
        clip_norm: maximum norm of the gradient.
        max_iter: iterations over the data (epochs).
        shuffle: whether to shuffle the samples in each iteration.
        random_state: seed of weights, order and dropout.
        tol, n_iter_no_change: training stops after more than `n_iter_no_change` consecutive iterations without an
            improvement of the loss (with `early_stopping`, the validation score) by `tol`.
        early_stopping: hold out a stratified `validation_fraction` of the samples, compute their score after each
            iteration, and keep the weights of the best.
        warm_start: fit continues with the weights and the optimiser state of the previous fit.
        verbose: a progress bar on a terminal, lines elsewhere.
        momentum, nesterovs_momentum: for sgd; beta_1, beta_2: for adam and adamw.
        precision: float32, float64 or auto: float64 if one batch contains all samples (float32 would save little time,
            and a weight of 2 is then equivalent to two samples up to the last digits), else float32.
        n_jobs: number of threads per step.
        label_smoothing: fraction of a target that is distributed over all classes.
        class_weight: None, balanced, or {class: weight}.

    Attributes:
        classes_: the labels, sorted.
        n_iter_: number of iterations, including previous fits with warm start.
        loss_, best_loss_, loss_curve_: mean training loss of the last, of the best and of all iterations.
        validation_scores_, validation_loss_curve_, best_validation_score_: for all iterations, with `early_stopping`.
        weights_: parameters and buffers under PyTorch's names.
        architecture_: the network as data, see `handgrad.architectures`.
    """

    _task = "classification"

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        weight_decay=0.0,
        dropout=0.0,
        norm="none",
        num_groups=4,
        init="xavier_uniform",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=1e-3,
        warmup_steps=0,
        clip_norm=None,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        verbose=False,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        precision="auto",
        n_jobs=None,
        label_smoothing=0.0,
        class_weight=None,
    ):
        own = locals()
        super().__init__(**{name: own[name] for name in _SHARED})
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight

    def _own_settings(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing}

    def fit(self, X, y, sample_weight=None) -> HandgradClassifier:
        """Trains on X `(n, D)` and labels y `(n,)`, numbers or strings; weights `(n,)`, at least 0."""
        going_on = self.warm_start and self.__sklearn_is_fitted__()
        self._check_parameters()
        x, y, weights = self._checked(X, y, sample_weight, reset=not going_on)
        check_classification_targets(y)
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"{type(self).__name__} needs samples of at least 2 classes, got 1 class: {classes[0]}")
        if going_on and not np.array_equal(classes, self.classes_):
            raise ValueError(f"warm_start=True: y has classes {classes}, the last fit had {self.classes_}")
        self.classes_ = classes
        if not going_on:
            self._begin(self._config(len(x), 1), x.shape[1], len(classes))
        elif self.early_stopping:
            self._forget_validation()
        self._fit_parts(x, y, weights)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None) -> HandgradClassifier:
        """One iteration over a part of the data.

        Arguments: as for `fit`; classes: all existing labels, required in the first call.
        """
        self._check_continuation(True)
        first = not self.__sklearn_is_fitted__()
        if first and classes is None:
            raise ValueError("partial_fit needs all classes in its first call, as in classes=[0, 1]")
        self._check_parameters()
        x, y, weights = self._checked(X, y, sample_weight, reset=first)
        check_classification_targets(y)
        if first:
            self.classes_ = np.unique(np.asarray(classes))
            self._begin(self._config(len(x), 1), x.shape[1], len(self.classes_))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes={classes} differs from the first call of partial_fit, which had {self.classes_}")
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y has classes {unknown}, which were not among those of the first call: {self.classes_}")
        self._fit_parts(x, y, weights, incremental=True)
        return self

    def _fit_parts(self, x, y, weights, *, incremental: bool = False) -> None:
        if self.class_weight is not None:
            known = self.classes_ if not incremental else np.unique(y)
            of_class = dict(zip(known, compute_class_weight(self.class_weight, classes=known, y=y), strict=True))
            weights = np.array([of_class[label] for label in y]) * (1 if weights is None else weights)
        labels = np.searchsorted(self.classes_, y).astype(np.int64)
        self._train(x, labels, weights, incremental=incremental)

    def predict_proba(self, X) -> Float[Array, "n K"]:
        """The probability of each class, in the order of `classes_`."""
        scores = self._outputs(X)
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X) -> Float[Array, "n K"]:
        """The logarithm of `predict_proba`."""
        scores = self._outputs(X)
        shifted = scores - scores.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    def predict(self, X) -> Shaped[Array, "n"]:
        """The most probable class of each sample."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def _output_names(self) -> tuple[str, ...]:
        return tuple(map(str, self.classes_))

    def _strata(self, y: Integer[Array, "n"]) -> Integer[Array, "n"]:
        return y

    def _score(self, figures: Figures, held: Dataset) -> float:
        return int(figures.correct[0]) / figures.samples


class HandgradRegressor(RegressorMixin, _Estimator):
    """A multi-layer perceptron regressor for one or several targets, trained with hand-derived gradients.

    Targets are standardised for training, and predictions are in the original units; losses refer to the standardised
    targets. `partial_fit` determines the scale in its first call.

    Arguments: those of `HandgradClassifier`, without the last two, and
        loss: mse (mean squared error), l1 or huber, which are less sensitive to outliers.
        huber_delta: the distance from which the huber loss grows linearly, in standard deviations of the target.

    Attributes: as for `HandgradClassifier`; `validation_scores_` are R².
    """

    _task = "regression"

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        loss="mse",
        huber_delta=1.0,
        solver="adam",
        weight_decay=0.0,
        dropout=0.0,
        norm="none",
        num_groups=4,
        init="xavier_uniform",
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=1e-3,
        warmup_steps=0,
        clip_norm=None,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        warm_start=False,
        verbose=False,
        momentum=0.9,
        nesterovs_momentum=True,
        beta_1=0.9,
        beta_2=0.999,
        precision="auto",
        n_jobs=None,
    ):
        own = locals()
        super().__init__(**{name: own[name] for name in _SHARED})
        self.loss = loss
        self.huber_delta = huber_delta

    def _own_settings(self) -> dict[str, Any]:
        if self.loss not in ("mse", "l1", "huber"):
            raise ValueError(f"HandgradRegressor: loss={self.loss!r}, expected mse, l1 or huber")
        return {"loss": self.loss, "huber_delta": self.huber_delta}

    def fit(self, X, y, sample_weight=None) -> HandgradRegressor:
        """Trains on X `(n, D)` and targets y `(n,)` or `(n, T)`; weights `(n,)`, at least 0."""
        return self._fit(X, y, sample_weight, going_on=self.warm_start, incremental=False)

    def partial_fit(self, X, y, sample_weight=None) -> HandgradRegressor:
        """One iteration over a part of the data."""
        self._check_continuation(True)
        return self._fit(X, y, sample_weight, going_on=True, incremental=True)

    def _fit(self, X, y, sample_weight, *, going_on: bool, incremental: bool) -> HandgradRegressor:
        going_on = going_on and self.__sklearn_is_fitted__()
        options = {"multi_output": True, "y_numeric": True}
        self._check_parameters()
        x, y, weights = self._checked(X, y, sample_weight, reset=not going_on, **options)
        targets = y.reshape(len(y), -1)
        if going_on and targets.shape[1] != self.n_outputs_:
            raise ValueError(f"y has {targets.shape[1]} targets, but the network has {self.n_outputs_}")
        if not going_on:
            self.n_outputs_, self._flat = targets.shape[1], y.ndim == 1
            self._begin(self._config(len(x), 1), x.shape[1], self.n_outputs_)
            self._target_scaling = fit_targets(targets, weights)
        elif self.early_stopping and not incremental:
            self._forget_validation()
        self._train(x, targets.astype(self._dtype), weights, incremental=incremental)
        return self

    def _scaling(self) -> Preprocessing:
        return self._target_scaling

    def predict(self, X) -> Float[Array, "n *T"]:
        """The targets in their original units: `(n,)` if y had one axis, else `(n, T)`."""
        outputs = self._outputs(X)
        y = outputs / self._target_scaling.scale + self._target_scaling.shift
        return y[:, 0] if self._flat else y

    def _output_names(self) -> tuple[str, ...]:
        return tuple(f"y{t}" for t in range(self.n_outputs_))

    def _score(self, figures: Figures, held: Dataset) -> float:
        assert figures.errors is not None
        targets = held.labels.astype(np.float64)
        spread = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
        squares = figures.errors[0, 0]
        return float(np.mean(np.where(spread > 0, 1 - squares / np.where(spread > 0, spread, 1), squares == 0)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


_SHARED = [name for name in _Estimator.__init__.__code__.co_varnames[1:] if name != "self"]


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _plain(value: Any) -> Any:
    """Converts NumPy scalars, which parameter searches pass, to Python numbers."""
    return value.item() if isinstance(value, np.generic) else value


def _in_our_names(message: str) -> str:
    """The error of a setting in terms of the parameters of the estimators."""
    ours: Mapping[str, str] = {
        "hidden_units=": "hidden_layer_sizes=",
        "learning_rate=": "learning_rate_init=",
        "schedule=": "learning_rate=",
        "optimizer=": "solver=",
        "beta1=": "beta_1=",
        "beta2=": "beta_2=",
    }
    for theirs, name in ours.items():
        if message.startswith(theirs):
            return name + message.removeprefix(theirs)
    return message
