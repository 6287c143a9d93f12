"""Hyperparameter searches on one machine or many. Requires Optuna (the extra `search`)."""

from handgrad.errors import ConfigError

try:
    import optuna  # noqa: F401
except ImportError as error:
    raise ConfigError(f'handgrad search requires Optuna ({error}): pip install "handgrad[search]"') from None

from handgrad.search.results import Findings, Result, Row, findings, limited_to
from handgrad.search.running import Progress, Watcher, leave_results, search
from handgrad.search.study import Plan, Study, load_study, plan_from, shipped

__all__ = [
    "Findings",
    "Plan",
    "Progress",
    "Result",
    "Row",
    "Study",
    "Watcher",
    "findings",
    "leave_results",
    "limited_to",
    "load_study",
    "plan_from",
    "search",
    "shipped",
]
