"""Start without TensorFlow when the model has no use for it.

Importing Rasa 3.6.21 imports TensorFlow 2.12, for base classes of training callbacks only. That is
more than half of the time and of the memory of a start. When none of the model's components works
with TensorFlow, a few empty classes stand in for it. Anything that reaches for more of TensorFlow
gets an error that names the way back (`--with-tensorflow`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

# What `import rasa.core.agent` touches: base classes in rasa/utils/tensorflow/callback.py and
# data_generator.py.
_RECIPE_VALIDATOR = "rasa.graph_components.validators.default_recipe_validator"
_STAND_INS = {
    "tensorflow": (),
    "tensorflow.keras": (),
    "tensorflow.keras.callbacks": ("Callback",),
    "tensorflow.keras.utils": ("Sequence",),
    # A node of every training graph, which Rasa reads (and does not run) when it loads a model. It
    # imports TEDPolicy to compare classes with it.
    _RECIPE_VALIDATOR: ("DefaultV1RecipeValidator",),
}

# A component's source that imports TensorFlow, or a class of Rasa that is made of it.
_NEEDS_TENSORFLOW = re.compile(
    r"^\s*(?:import|from)\s+(?:tensorflow|keras)\b"
    r"|rasa\.utils\.tensorflow\.(?:models|layers|rasa_layers|transformer)\b"
    r"|\b(?:diet_classifier|ted_policy|unexpected_intent_policy|response_selector"
    r"|lm_featurizer|convert_featurizer)\b",
    re.MULTILINE,
)


def needs_tensorflow(components: Iterable[str]) -> bool:
    """Whether one of a model's classes works with TensorFlow.

    The source is read, not imported: importing it would import TensorFlow. A class whose source is
    not found counts as a user of it.

    Args:
        components: dotted names, as `bot.model_file.components` gives them.
    """
    for component in components:
        module = component.rpartition(".")[0]
        if module in _STAND_INS:
            continue
        source = _source(module)
        if source is None or _NEEDS_TENSORFLOW.search(source.read_text(encoding="utf-8")):
            return True
    return False


def _source(module: str) -> Optional[Path]:
    tail = Path(*module.split("."))
    for folder in sys.path:
        base = Path(folder or ".")
        for candidate in (base / tail.with_suffix(".py"), base / tail / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def stand_in_for_tensorflow() -> bool:
    """Put the empty classes in place of TensorFlow.

    Returns:
        False when TensorFlow is imported already; then nothing is changed.
    """
    if "tensorflow" in sys.modules:
        return False
    for name, classes in _STAND_INS.items():
        module = _StandIn(name)
        for class_name in classes:
            setattr(module, class_name, type(class_name, (), {"__module__": name}))
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent in _STAND_INS:
            setattr(sys.modules[parent], child, module)
    return True


class _StandIn(ModuleType):
    """A module with nothing behind it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, loader=None, is_package=True)

    def __getattr__(self, name: str) -> Any:
        # An AttributeError, because skops probes every loaded module for every name it stores.
        message = (
            f"{self.__name__}.{name} was asked for, but this process started without TensorFlow "
            f"because no component of the model names it. Start with --with-tensorflow."
        )
        raise AttributeError(message)
