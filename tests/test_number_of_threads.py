"""How many threads a process may use, and who says so."""

import os

import pytest

from fastnet.engine.threads import cgroup_quota, default_num_threads, get_num_threads, set_num_threads

from .launch_tables import in_process, succeed


@pytest.fixture(autouse=True)
def two_threads():
    set_num_threads(2)
    yield
    set_num_threads(2)


@pytest.mark.parametrize("bad", [0, -1, 2.0, "2", None, True, 2**31])
def test_set_num_threads_refuses(bad):
    with pytest.raises(ValueError, match="integer of at least 1"):
        set_num_threads(bad)
    assert get_num_threads() == 2


@pytest.fixture
def environment(monkeypatch):
    def put(**variables):
        for name in ("FASTNET_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_number_of_threads_from_the_environment(environment):
    environment(FASTNET_NUM_THREADS="3", OMP_NUM_THREADS="5")
    assert default_num_threads() == 3
    environment(OMP_NUM_THREADS=" 4 ,2")
    assert default_num_threads() == 4
    environment(FASTNET_NUM_THREADS="", OMP_NUM_THREADS="7")
    assert default_num_threads() == 7
    environment()
    assert 1 <= default_num_threads() <= os.cpu_count()


@pytest.mark.parametrize("name", ["FASTNET_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("bad", ["0", "-2", "two", "1.5", "²", "99999999999"])
def test_bad_environment_is_named(environment, name, bad):
    environment(**{name: bad})
    with pytest.raises(ValueError, match=f"{name}.*at least 1"):
        default_num_threads()


def child_print_threads():
    print(get_num_threads())


def test_a_process_takes_its_number_from_the_environment():
    assert succeed(child_print_threads, FASTNET_NUM_THREADS="6").strip() == "6"
    done = in_process(child_print_threads, FASTNET_NUM_THREADS="six")
    assert "FASTNET_NUM_THREADS must be an integer of at least 1, got 'six'" in done.stderr


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, 10.0**9),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 10.0**9),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "9 1\n", "sys/fs/cgroup/cpu.max": "2 1\n"}, 2.0),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            10.0**9,
        ),
    ],
)
def test_control_group_quota(tmp_path, files, quota):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cgroup_quota(tmp_path) == quota
