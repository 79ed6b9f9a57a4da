"""Passes over batches: where an epoch ends, what is taken, who is told."""

import itertools
import threading
import warnings

import pytest

import fastnet
from fastnet.training import streams

from .given_streams import Dataset, Iterable, X, Y, bits, generator, model, pieces, trained

pytestmark = pytest.mark.usefixtures("no_thread_is_left", "pulled")


def test_steps_go_on_in_the_next_epoch():
    """Five batches, two steps an epoch: 0 1 | 2 3 | 4, which is short | 0 1."""
    batches = pieces(6)
    expected = [batches[:2], batches[2:4], batches[4:], batches[:2]]
    by_hand = model()
    for epoch in expected:
        for batch in epoch:
            by_hand.train_on_batch(*batch)
    for x, y in ((X, Y), (batches, None), (Dataset(batches), None), (Iterable(batches), None)):
        net = model()
        with pytest.warns(UserWarning, match="ran out: this pass had 1 of the 2 batches"):
            net.fit(x, y, batch_size=6, epochs=4, steps_per_epoch=2, shuffle=False, verbose=0)
        assert bits(net) == bits(by_hand)


def test_where_all_batches_were_had_none_is_pulled_again_to_go_on():
    """Two passes of two of four batches: the next one begins anew."""
    source = Dataset(pieces())
    samples, again = (streams.StreamSamples(source, lambda arrays: arrays, steps=2) for _ in range(2))
    for _ in range(2):
        assert sum(part.total for part in samples.segments()) > 8
    source.log.clear()
    again.resume(samples.position(0))
    assert source.log == []
    assert next(iter(again.segments())).total >= 8 and source.log[0] == 0


def test_a_generator_that_ends_early_warns_and_goes_on():
    seen = []

    class Epochs(fastnet.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["loss"]))

    net = model()
    with pytest.warns(UserWarning, match="ran out: this pass had [01] of the 3 batches") as caught:
        net.fit(generator(pieces()), epochs=3, steps_per_epoch=3, callbacks=[Epochs()], verbose=0)
    assert [w.filename for w in caught] == [__file__] * 2  # the line that called fit
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert seen[2][1] == seen[1][1]  # as in Keras: an epoch without a batch repeats the last one's numbers
    net.fit(X, Y, verbose=0)


def test_no_more_is_taken_of_a_generator_than_its_steps():
    taken = []

    def counting():
        for k in itertools.count():
            taken.append(k)
            yield X, Y

    source = counting()
    model().fit(source, epochs=3, steps_per_epoch=2, verbose=0)
    assert taken == list(range(6))
    model().evaluate(source, steps=3, verbose=0)
    assert taken == list(range(9)) and next(source) is not None  # it is the user's still


def test_a_py_dataset_is_told_of_epochs():
    data = Dataset(pieces())
    model().fit(data, epochs=2, shuffle=False, verbose=0)
    epoch = ["begin", 0, 1, 2, 3, "end"]
    assert data.log == epoch * 2
    data.log.clear()
    model().fit(data, epochs=3, shuffle=True, verbose=0)
    orders = [data.log[k + 1 : k + 5] for k in (0, 6, 12)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(set(map(tuple, orders))) > 1
    data.log.clear()
    model().evaluate(data, verbose=0)
    assert data.log == epoch


def test_a_list_is_never_shuffled():
    assert trained(pieces(4), epochs=2) == trained(X, Y, epochs=2, batch_size=4)
    net = model()
    net.fit(pieces(4), epochs=2, shuffle=True, verbose=0)
    assert bits(net) == trained(X, Y, epochs=2, batch_size=4)[0]


def test_training_that_is_stopped_ends_the_pass():
    class Stop(fastnet.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    data = Dataset(pieces(), workers=2)
    net, by_hand = model(), model()
    net.fit(data, epochs=3, shuffle=False, callbacks=[Stop()], verbose=0)
    for batch in pieces()[:2]:
        by_hand.train_on_batch(*batch)
    assert bits(net) == bits(by_hand)


def test_a_py_dataset_without_end():
    class Endless(fastnet.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return pieces()[index % 3]

    with pytest.raises(ValueError, match="Endless never ends.*steps_per_epoch"):
        model().fit(Endless(), verbose=0)
    data = Endless(workers=2)
    assert trained(data, epochs=2, steps_per_epoch=3) == trained(X[:24], Y[:24], epochs=2, batch_size=8)
    with pytest.raises(ValueError, match="cycle never ends"):
        model().fit(itertools.cycle(pieces()), verbose=0)


def test_a_stream_that_does_not_seem_to_end_warns(monkeypatch):
    monkeypatch.setattr(streams, "_ENDLESS", 20)
    with pytest.warns(UserWarning, match="has not ended. If it never does.*steps_per_epoch"):
        model().fit(generator(pieces() * 6), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model().fit(generator(pieces() * 6), steps_per_epoch=24, verbose=0)


def test_progress_of_unknown_length(capsys):
    for steps in (None, 4):
        model().fit(generator(pieces()), steps_per_epoch=steps, verbose=2)
        assert capsys.readouterr().out.splitlines()[1].startswith("4/4 - ")


def test_workers_work_at_the_same_time():
    """Each batch waits for two others to be made with it."""
    meeting = threading.Barrier(3, timeout=60)

    class Meeting(Dataset):
        def __getitem__(self, index):
            meeting.wait()
            return super().__getitem__(index)

    assert trained(Meeting(pieces(5), workers=3)) == trained(X, Y, batch_size=5)
