"""Starting without TensorFlow. Runs in env `bot`, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import unittest

from bot.light_start import needs_tensorflow

PROGRAM = """
from bot import light_start
assert light_start.stand_in_for_tensorflow()
assert not light_start.stand_in_for_tensorflow()
import rasa.core.agent, tensorflow
try:
    tensorflow.constant
except AttributeError as error:
    assert "--with-tensorflow" in str(error)
else:
    raise AssertionError("tensorflow.constant was found")
import sys
assert not [name for name in sys.modules if name.startswith("tensorflow.python")]
"""


class LightStart(unittest.TestCase):
    def test_which_components_need_tensorflow(self) -> None:
        light = [
            "bot.policies.handoff_policy.HandoffPolicy",
            "rasa.core.policies.rule_policy.RulePolicy",
            "rasa.core.policies.memoization.MemoizationPolicy",
            "rasa.nlu.classifiers.logistic_regression_classifier.LogisticRegressionClassifier",
            "rasa.nlu.classifiers.fallback_classifier.FallbackClassifier",
            "rasa.nlu.extractors.regex_entity_extractor.RegexEntityExtractor",
            "rasa.graph_components.validators.default_recipe_validator.DefaultV1RecipeValidator",
        ]
        heavy = [
            "rasa.nlu.classifiers.diet_classifier.DIETClassifier",
            "rasa.core.policies.ted_policy.TEDPolicy",
            "rasa.core.policies.unexpected_intent_policy.UnexpecTEDIntentPolicy",
            "rasa.nlu.selectors.response_selector.ResponseSelector",
            "somewhere.unknown.Component",
        ]
        assert not needs_tensorflow(light)
        for component in heavy:
            assert needs_tensorflow([*light, component]), component

    def test_rasa_is_imported_without_it(self) -> None:
        subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], check=True)


if __name__ == "__main__":
    unittest.main()
