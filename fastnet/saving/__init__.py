"""Saves and loads models and weights, and describes objects as plain data."""

from fastnet.saving.archive import SavedFileError as SavedFileError
from fastnet.saving.model_files import load_model as load_model
from fastnet.saving.model_files import save_model as save_model
from fastnet.saving.weight_files import load_weights as load_weights
from fastnet.saving.weight_files import save_weights as save_weights
from fastnet.serialization import CustomObjectScope as CustomObjectScope
from fastnet.serialization import custom_object_scope as custom_object_scope
from fastnet.serialization import deserialize_keras_object as deserialize_keras_object
from fastnet.serialization import get_custom_objects as get_custom_objects
from fastnet.serialization import get_registered_name as get_registered_name
from fastnet.serialization import get_registered_object as get_registered_object
from fastnet.serialization import register_keras_serializable as register_keras_serializable
from fastnet.serialization import serialize_keras_object as serialize_keras_object
