"""Signatures of a class and its parents, and arguments that are set again."""

import inspect

import pytest

from fastnet import checks
from fastnet.settable import Completed, SettableArguments, argument_names, init_of, signature, unknown_argument


class Base(SettableArguments, metaclass=Completed):
    _supplied = ("row",)

    def __init__(self, row, rate=0.5, name=None, momentum=0.0, **numbers):
        self.row, self.rate, self.name, self.momentum, self.numbers = row, rate, name, momentum, numbers

    def completed(self):
        self.seen = sorted(vars(self))


class Child(Base):
    _ranges = {"beta": checks.UNIT}
    _fixed = ("rate",)
    _outside_plans = ("name",)

    def __init__(self, rate=0.1, beta=0.9, **more):
        super().__init__("child", rate, **more)
        self.beta = beta


class Grandchild(Child):
    def __init__(self, size, **more):
        self.size = size
        super().__init__(**more)


class Loose(Child):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)


def test_a_signature_goes_on_with_the_parents():
    """A parent's name comes last, as in Keras; what a child supplies and what a rule takes is not for all."""
    assert list(inspect.signature(Base).parameters) == ["row", "rate", "name", "momentum", "numbers"]
    assert list(inspect.signature(Child).parameters) == ["rate", "beta", "momentum", "name"]
    assert argument_names(Grandchild) == ("size", "rate", "beta", "momentum", "name")
    assert signature(Grandchild).parameters["rate"].default == 0.1
    assert argument_names(Loose) == ("rate", "beta", "momentum", "name")


def test_a_required_argument_of_a_parent_is_given_by_name():
    class Late(Grandchild):
        def __init__(self, scale=1.0, **more):
            super().__init__(**more)
            self.scale = scale

    assert signature(Late).parameters["size"].kind is inspect.Parameter.KEYWORD_ONLY
    assert Late(2.0, size=3).size == 3


def test_arguments_by_position_reach_the_parents():
    made = Child(0.25, 0.5, 0.75, "mine")
    assert (made.rate, made.beta, made.momentum, made.name) == (0.25, 0.5, 0.75, "mine")
    assert Loose(0.25, 0.5, name="mine").beta == 0.5
    with pytest.raises(TypeError, match="Child takes 4 arguments, received too many: 5"):
        Child(1, 2, 3, 4, 5)
    with pytest.raises(TypeError, match=r"Child received \['beta'\] by position and by name"):
        Child(0.25, 0.5, beta=0.5)


def test_an_object_is_looked_at_once_the_last_init_is_done():
    assert "beta" in Child().seen and "size" in Grandchild(3).seen


def test_an_argument_is_checked_in_init_and_later_and_replacing_it_counts():
    made = Child()
    assert made.changes == 0
    made.beta = 0.5
    made.momentum = 0.25
    made.name = "other"  # no plan depends on it
    made.note = "no argument"
    assert (made.beta, made.momentum, made.name, made.note, made.changes) == (0.5, 0.25, "other", "no argument", 2)
    for set_it in (lambda: Child(beta=1.0), lambda: setattr(made, "beta", "x")):
        with pytest.raises(ValueError, match="Child: beta must be a number that is at least 0 and below 1"):
            set_it()
    assert made.beta == 0.5 and made.changes == 2


def test_what_is_fixed_stays():
    made = Child()
    made.rate = 0.1  # the same
    with pytest.raises(ValueError, match=r"Child: rate is 0.1 and stays so, received 0.2; make another one"):
        made.rate = 0.2
    assert made.rate == 0.1


def test_an_init_from_parameters():
    arguments = [inspect.Parameter("a", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=1)]
    arguments.append(inspect.Parameter("more", inspect.Parameter.VAR_KEYWORD))
    cls = Completed("Made", (Base,), {"__init__": init_of(arguments, lambda made, given: vars(made).update(given))})
    assert list(inspect.signature(cls).parameters) == ["a", "rate", "momentum", "name"]
    assert (cls().a, cls(2).a, cls(a=3, b=4).more) == (1, 2, {"b": 4})
    with pytest.raises(TypeError, match="multiple values"):
        cls.__init__(cls(), 1, a=2)


def test_the_sentence_for_an_unknown_argument():
    known, instead = ["rate", "momentum"], {"lr": "it is called rate"}
    assert unknown_argument("Child", "lr", known, instead) == "Child has no lr: it is called rate."
    told = "Child has no argument 'momentun'. Did you mean 'momentum'? It takes rate, momentum."
    assert unknown_argument("Child", "momentun", known) == told
