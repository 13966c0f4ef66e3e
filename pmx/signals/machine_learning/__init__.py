"""Signals from a model that learns: features, walk-forward test with purge and embargo, and the engine.

scikit-learn is imported when the first model is made.
"""

from pmx.signals.machine_learning.engine import Learnt, MachineLearningSecondary
from pmx.signals.machine_learning.estimator import Estimator, boosted_trees
from pmx.signals.machine_learning.features import SymbolBars, feature_names
from pmx.signals.machine_learning.walk_forward import Skill, skill_of, walk_forward_folds, walk_forward_skill

__all__ = [
    "Estimator",
    "Learnt",
    "MachineLearningSecondary",
    "Skill",
    "SymbolBars",
    "boosted_trees",
    "feature_names",
    "skill_of",
    "walk_forward_folds",
    "walk_forward_skill",
]
