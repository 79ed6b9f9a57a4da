"""The choice among tiles: measured once for a machine, read by every later process, and never visible in the bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import astuple

import pytest

from fastnet._kernels import cache, chunks
from fastnet._kernels.cpu import blocking, gemm, processor, tuning

CANDIDATES = blocking.candidates(processor.target())
OTHER = blocking.Tile(16, 3, 3)


def unmeasured(*arguments):
    raise AssertionError("measured again")


def chosen(dtype="float32"):
    """As a new process chooses."""
    return tuning.tile.__wrapped__(dtype)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path))
    return tmp_path / "kernels"


def test_a_tile_is_measured_once(empty_cache, monkeypatch):
    monkeypatch.setattr(tuning, "_choose", lambda dtype: OTHER)
    assert chosen() == OTHER
    monkeypatch.setattr(tuning, "_choose", unmeasured)
    assert chosen() == OTHER
    with pytest.raises(AssertionError, match="measured again"):
        chosen("float64")


def test_another_process_reads_the_choice(empty_cache, monkeypatch):
    monkeypatch.setattr(tuning, "_choose", lambda dtype: OTHER)
    chosen()
    code = (
        "import sys; from fastnet._kernels.cpu import tuning; from dataclasses import astuple;"
        "print(astuple(tuning.tile('float32')), 'numba' in sys.modules)"
    )
    text = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert text.split("\n")[0] == f"{astuple(OTHER)} False"


@pytest.mark.parametrize("damage", [b"", b"fastnet", b"[64, 8, 8]"])
def test_a_damaged_file_is_measured_again(damage, empty_cache, monkeypatch):
    monkeypatch.setattr(tuning, "_choose", lambda dtype: OTHER)
    chosen()
    (file,) = empty_cache.glob("tile_*.json")
    file.write_bytes(damage)
    monkeypatch.setattr(tuning, "_choose", lambda dtype: CANDIDATES[0])
    assert chosen() == CANDIDATES[0]
    monkeypatch.setattr(tuning, "_choose", unmeasured)
    assert chosen() == CANDIDATES[0]


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'["a", 2, 3]', b"7"])
def test_a_file_that_describes_no_tile_is_measured_again(content, empty_cache, monkeypatch):
    monkeypatch.setattr(tuning, "_choose", lambda dtype: OTHER)
    chosen()
    (file,) = empty_cache.glob("tile_*.json")
    cache.write(file.stem, content, "json")
    monkeypatch.setattr(tuning, "_choose", lambda dtype: CANDIDATES[0])
    assert chosen() == CANDIDATES[0]


def test_without_a_folder_the_choice_stays_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTNET_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="cannot keep its kernels"):
        assert chosen() in CANDIDATES


def test_a_candidate_must_be_clearly_faster():
    many = (blocking.Tile(64, 8, 8), blocking.Tile(32, 6, 12), blocking.Tile(64, 14, 14))
    assert tuning.fastest(many, [1.0, 0.98, 1.5]) == many[0]
    assert tuning.fastest(many, [1.0, 0.9, 0.8]) == many[2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_measuring_takes_less_than_a_second(dtype, empty_cache):
    """The time of this thread: other programs may run."""
    start = time.thread_time()
    seconds = tuning.measure(dtype, CANDIDATES)
    assert time.thread_time() - start < 1
    assert len(seconds) == len(CANDIDATES)
    assert all(0 < s < 1 for s in seconds)


def test_each_tile_has_a_kernel_of_its_own():
    names = {gemm.source("float32", tile).identity for tile in CANDIDATES}
    assert len(names) == len(CANDIDATES)


def test_another_processor_is_not_measured(tmp_path):
    """Its instructions may not run here."""
    code = (
        "from fastnet._kernels.cpu import tuning; tuning.measure = None;"
        "from dataclasses import astuple; import json; print(json.dumps(astuple(tuning.tile('float32'))))"
    )
    environment = {**os.environ, "FASTNET_TARGET": processor_name(), "FASTNET_CACHE_DIR": str(tmp_path)}
    text = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert json.loads(text.stdout)


def processor_name() -> str:
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name()


@pytest.mark.parametrize(
    ("size", "expected"),
    [(2 << 20, (1024, 2048)), (1 << 20, (1024, 2048)), (512 << 10, (1024, 1024)), (256 << 10, (512, 512))],
)
def test_a_block_of_b_fits_the_second_level_cache(size, expected, monkeypatch):
    monkeypatch.setattr(blocking, "cache", lambda level: processor.Cache(size, 8))
    assert (blocking.nc_bytes(False), blocking.nc_bytes(True)) == expected
    assert max(expected) * chunks.KC <= size


def test_rows_that_share_a_set_are_copied(monkeypatch):
    monkeypatch.setattr(processor, "cache", lambda level: processor.Cache(32 << 10, 8))
    assert [processor.shared_set(d, 8) for d in (4096, 8192, 2048, 4096 + 64, 4096 + 16, 1040)] == [8, 8, 4, 1, 4, 1]
    monkeypatch.setattr(gemm, "cache", processor.cache)
    monkeypatch.setattr(gemm.tuning, "tile", lambda dtype: blocking.Tile(64, 14, 14))
    assert gemm.packs(256, 1024, "float32", 1024, False, False)[0]
    assert not gemm.packs(256, 1024, "float32", 1040, False, False)[0]
    assert not gemm.packs(256, 10, "float32", 1024, False, False)[0]
    assert gemm.packs(256, 10, "float32", 1024, False, True)[0]


@pytest.mark.parametrize(
    ("width", "dtype", "m", "n", "trans_a", "expected"),
    [
        (64, "float32", 128, 10, False, True),
        (64, "float32", 128, 16, False, False),
        (64, "float32", 1, 10, False, False),
        (64, "float64", 128, 8, False, False),
        (32, "float32", 128, 10, False, True),
        (32, "float64", 128, 10, False, False),
        (32, "float64", 128, 10, True, True),
        (64, "float32", 128, 49, True, False),
    ],
)
def test_few_columns_are_those_that_leave_lanes_empty(width, dtype, m, n, trans_a, expected, monkeypatch):
    monkeypatch.setattr(gemm.tuning, "tile", lambda dtype: blocking.Tile(width, 6, 12))
    assert gemm.has_few_columns(m, n, dtype, trans_a) is expected


def test_a_system_that_tells_no_cache_sizes(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "CACHES", tmp_path)
    assert processor.cache.__wrapped__(1) == processor.Cache(32 << 10, 8)
    folder = tmp_path / "index0"
    folder.mkdir()
    for name, text in {"level": "2", "type": "Unified", "size": "2048K", "ways_of_associativity": "16"}.items():
        (folder / name).write_text(text + "\n")
    assert processor.cache.__wrapped__(2) == processor.Cache(2 << 20, 16)
    (folder / "size").write_text("much")
    assert processor.cache.__wrapped__(2) == processor.Cache(512 << 10, 8)
