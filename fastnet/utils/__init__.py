"""Helpers with the names of Keras."""

from fastnet.config import disable_interactive_logging as disable_interactive_logging
from fastnet.config import enable_interactive_logging as enable_interactive_logging
from fastnet.config import is_interactive_logging_enabled as is_interactive_logging_enabled
from fastnet.serialization import CustomObjectScope as CustomObjectScope
from fastnet.serialization import custom_object_scope as custom_object_scope
from fastnet.serialization import deserialize_keras_object as deserialize_keras_object
from fastnet.serialization import get_custom_objects as get_custom_objects
from fastnet.serialization import get_registered_name as get_registered_name
from fastnet.serialization import get_registered_object as get_registered_object
from fastnet.serialization import register_keras_serializable as register_keras_serializable
from fastnet.serialization import serialize_keras_object as serialize_keras_object

from .datasets import PyDataset as PyDataset
from .datasets import pack_x_y_sample_weight as pack_x_y_sample_weight
from .datasets import timeseries_dataset_from_array as timeseries_dataset_from_array
from .datasets import unpack_x_y_sample_weight as unpack_x_y_sample_weight
from .files import get_file as get_file
from .image_folders import image_dataset_from_directory as image_dataset_from_directory
from .images import array_to_img as array_to_img
from .images import img_to_array as img_to_array
from .images import load_img as load_img
from .images import save_img as save_img
from .model_plot import plot_model as plot_model
from .preprocessing import normalize as normalize
from .preprocessing import pad_sequences as pad_sequences
from .preprocessing import split_dataset as split_dataset
from .preprocessing import to_categorical as to_categorical
from .process_state import clear_session as clear_session
from .process_state import set_random_seed as set_random_seed
from .progress_bar import Progbar as Progbar

Sequence = PyDataset  # Keras 2's name
