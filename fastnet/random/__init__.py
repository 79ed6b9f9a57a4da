"""Seeds, from which layers, initializers and shuffling draw, and random arrays."""

from fastnet.random.arrays import dropout as dropout
from fastnet.random.arrays import normal as normal
from fastnet.random.arrays import uniform as uniform
from fastnet.random.distributions import beta as beta
from fastnet.random.distributions import binomial as binomial
from fastnet.random.distributions import categorical as categorical
from fastnet.random.distributions import gamma as gamma
from fastnet.random.distributions import randint as randint
from fastnet.random.distributions import shuffle as shuffle
from fastnet.random.distributions import truncated_normal as truncated_normal
from fastnet.random.seeds import SeedGenerator as SeedGenerator
from fastnet.random.seeds import drawing_from as drawing_from
from fastnet.random.seeds import generator_of as generator_of
from fastnet.random.seeds import next_seed as next_seed
from fastnet.random.seeds import seed_of as seed_of
from fastnet.random.seeds import set_seed as set_seed
