"""scikit-learn estimators: Keras's wrappers of models, and ready-made classifiers and regressors.

They need scikit-learn, which ``pip install 'fastnet[sklearn]'`` brings.
"""

try:
    import sklearn.base  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"fastnet.wrappers needs scikit-learn 1.6 or newer ({error}): pip install 'fastnet[sklearn]'.", name=error.name
    ) from error

from fastnet.wrappers.estimators import FastnetClassifier as FastnetClassifier
from fastnet.wrappers.estimators import FastnetRegressor as FastnetRegressor
from fastnet.wrappers.model_wrappers import SKLearnClassifier as SKLearnClassifier
from fastnet.wrappers.model_wrappers import SKLearnRegressor as SKLearnRegressor
from fastnet.wrappers.model_wrappers import SKLearnTransformer as SKLearnTransformer
