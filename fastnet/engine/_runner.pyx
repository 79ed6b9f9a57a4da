# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The runner: executes a launch table step after step, without the GIL, on a team of threads.

Every thread of the team goes through the whole table, taking its part of each launch; they meet at barriers only.
Which thread computes a part never changes its bits, so a run that does not get the team works alone.
"""

import os
import threading

from fastnet._kernels import abi
from fastnet.engine.threads import default_num_threads

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset


cdef extern from "_team.h" nogil:
    ctypedef struct Worker:
        int thread

    ctypedef struct Team:
        int size

    ctypedef void (*Work)(void*, Worker*) noexcept nogil

    Worker* worker_new(int) noexcept
    void worker_free(Worker*) noexcept
    void worker_serve(Worker*) noexcept
    bint worker_arrive(Worker*) noexcept

    bint team_lease(Team*) noexcept
    void team_give_back(Team*) noexcept
    bint team_enlist(Team*, Worker*) noexcept
    bint team_asleep(const Team*, int) noexcept
    void team_begin(Team*, Work, void*, int) noexcept
    void team_gather(Team*) noexcept
    void team_release(Team*) noexcept
    void team_end(Team*) noexcept
    bint team_pauses(const Team*) noexcept
    void team_judge(Team*, double) noexcept
    void team_forget(Team*) noexcept

    double seconds_now() noexcept
    uint64_t flush_subnormals() noexcept
    void restore_float_control(uint64_t) noexcept


ctypedef void (*kernel_t)(int64_t*, int64_t*, int64_t, int64_t, int64_t) noexcept nogil

cdef int ROWS = abi.ROWS, FIRST = abi.FIRST, ITERATION = abi.ITERATION, NONFINITE = abi.NONFINITE
cdef int RATE = abi.RATE, RATES = abi.RATES, RATES_COUNT = abi.RATES_COUNT
cdef int STEP = abi.STEP, SCRATCH = abi.SCRATCH
cdef int FN = abi.FN, ARGS = abi.ARGS, PER_ROW = abi.PER_ROW, UNIT = abi.UNIT, TIMES = abi.TIMES, FIXED = abi.FIXED
cdef int GRAIN = abi.GRAIN, COST = abi.COST, FLAGS = abi.FLAGS, PERIOD = abi.PERIOD
cdef int BARRIER = abi.BARRIER, CHECK = abi.CHECK

cdef enum:
    SPACES = 8  # a reference has three bits for the space
    STRIDE = 16  # int64 from one thread's bases to the next's: two cache lines

# How a run ended.
cpdef enum:
    OK = 0  # as asked
    CHECKED = 1  # NONFINITE was set at a CHECK: the step did not happen
    NONFINITE_STEP = 2  # NONFINITE was set when a step was done: it happened, and was the last

# A run shorter than this (picoseconds of work) does not wake sleeping threads: they would come too late.
cdef double MIN_WAKE = 50e6


# Leased by one run at a time; new in a forked child, where the parent's threads and runs do not exist.
cdef Team team
cdef int epoch = 1  # forks + 1
cdef int num_threads = 0  # 0: not yet asked for


def set_num_threads(int n):
    """Set the number of threads; see :func:`fastnet.engine.threads.set_num_threads`, which validates."""
    global num_threads
    num_threads = n
    team_forget(&team)


def get_num_threads():
    """Number of threads runs may use, the caller's own included."""
    global num_threads
    if num_threads == 0:
        num_threads = default_num_threads()
    return num_threads


def _after_fork():
    global epoch
    memset(&team, 0, sizeof(team))
    epoch += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _serve(size_t worker):
    with nogil:
        worker_serve(<Worker*> worker)


cdef bint enlist(int workers) except -1:
    """Start the missing ones of ``workers`` threads. False: the system refuses more."""
    cdef Worker* worker
    while team.size < workers:
        worker = worker_new(team.size + 1)
        if worker == NULL:
            raise MemoryError
        thread = threading.Thread(
            target=_serve, args=(<size_t> worker,), name=f"fastnet-{worker.thread}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter is ending: alone it goes on, with the same bits
            worker_free(worker)
            return False
        if not team_enlist(&team, worker):
            raise MemoryError
    return True


include "_schedule.pxi"
include "_steps.pxi"


cdef class Execution:
    """A bound plan: launches, the memory they work in, and what is needed to run them.

    Parameters
    ----------
    launches
        ``int64 (n, abi.COLUMNS)``, C-contiguous; must not change afterwards.
    bases
        ``abi.SPACES`` addresses; the entry of ``SCRATCH`` is ignored.
    step
        The step block, one-dimensional ``int64``; its address is ``bases[STEP]``.
    scratch_bytes
        Private memory each thread gets, 64-byte aligned, uninitialised.
    keep
        Anything that must live as long as this object: the arrays and kernels behind the addresses.

    Raises
    ------
    ValueError
        The table, the bases or the step block break the contract of ``fastnet._kernels.abi``.
    """

    cdef:
        const int64_t[:, ::1] launches
        int64_t[::1] step
        readonly object keep
        int64_t addresses[SPACES]
        size_t scratch_bytes
        Schedule full, partial
        int threads  # that have bases and scratch
        int64_t* bases
        void** scratch
        int running  # epoch of the run going on, 0: none

    def __init__(self, launches, bases, step, size_t scratch_bytes=0, keep=None):
        if self.full.entries != NULL:
            raise RuntimeError("An Execution is initialised once.")
        self.launches, self.step, self.keep = launches, step, keep
        self.scratch_bytes = scratch_bytes
        if self.launches.shape[1] != abi.COLUMNS:
            raise ValueError(f"A launch table has {abi.COLUMNS} columns, got {self.launches.shape[1]}.")
        if self.step.shape[0] < abi.HEADER:
            raise ValueError(f"A step block has at least {abi.HEADER} slots, got {self.step.shape[0]}.")
        if len(bases) != abi.SPACES:
            raise ValueError(f"There are {abi.SPACES} memory spaces, got {len(bases)} bases.")
        for k in range(len(bases)):
            self.addresses[k] = bases[k] if k != SCRATCH else 0
        if self.addresses[STEP] != <int64_t> <size_t> &self.step[0]:
            raise ValueError("bases[STEP] is not the address of the step block.")
        self.check()
        self.full.entries = <Entry*> calloc(self.launches.shape[0] + 1, sizeof(Entry))
        self.partial.entries = <Entry*> calloc(self.launches.shape[0] + 1, sizeof(Entry))
        if self.full.entries == NULL or self.partial.entries == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int t
        for t in range(self.threads):
            free(self.scratch[t])
        free(self.scratch)
        free(self.bases)
        free(self.full.entries)
        free(self.partial.entries)

    cdef int check(self) except -1:
        cdef int k
        for k in range(<int> self.launches.shape[0]):
            if not self.launches[k, FN]:
                raise ValueError(f"Launch {k} has no kernel.")
            if min(self.launches[k, UNIT], self.launches[k, GRAIN], self.launches[k, PERIOD]) < 1:
                raise ValueError(f"Launch {k}: UNIT, GRAIN and PERIOD must be at least 1, got {self.launches[k, UNIT]}, "
                                 f"{self.launches[k, GRAIN]} and {self.launches[k, PERIOD]}.")
        return 0

    cdef int reserve(self, int threads) except -1:
        """Bases and scratch for ``threads`` threads."""
        cdef int t
        cdef int64_t* bases
        cdef void** scratch
        if threads <= self.threads:
            return 0
        bases = <int64_t*> calloc(threads * STRIDE, sizeof(int64_t))
        scratch = <void**> calloc(threads, sizeof(void*))
        if bases == NULL or scratch == NULL:
            free(bases)
            free(scratch)
            raise MemoryError
        for t in range(self.threads):
            scratch[t] = self.scratch[t]
        free(self.scratch)
        free(self.bases)
        self.bases, self.scratch = bases, scratch
        for t in range(threads):
            if t >= self.threads:
                # 192 more: to align, and to keep two threads' scratch apart by two cache lines.
                scratch[t] = malloc(self.scratch_bytes + 192)
                if scratch[t] == NULL:
                    raise MemoryError
                self.threads = t + 1
            for space in range(abi.SPACES):
                bases[t * STRIDE + space] = self.addresses[space]
            bases[t * STRIDE + SCRATCH] = (<int64_t> <size_t> scratch[t] + 127) & ~63
        return 0

    cdef Schedule* prepare(self, int64_t rows, int64_t batch, int threads) noexcept:
        """The schedule for this many rows; that of a full batch and the last one of another size are kept."""
        cdef Schedule* schedule = &self.full if rows == batch else &self.partial
        if schedule.rows != rows or schedule.threads != threads:
            divide(schedule, self.launches, rows, threads)
        return schedule

    def schedule(self, int64_t rows, threads=None):
        """The division of a step of ``rows`` rows: ``[(launch, extent, chunk, threads, barrier), ...]``.

        Thread t of a launch works on ``[t * chunk, (t + 1) * chunk)`` of its extent. Launches without extent are left
        out.
        """
        cdef Schedule schedule
        cdef Entry* entry
        cdef int k
        schedule.entries = <Entry*> calloc(self.launches.shape[0] + 1, sizeof(Entry))
        if schedule.entries == NULL:
            raise MemoryError
        divide(&schedule, self.launches, rows, get_num_threads() if threads is None else threads)
        answer = []
        for k in range(schedule.count):
            entry = schedule.entries + k
            parts = (entry.extent + entry.chunk - 1) // entry.chunk if entry.extent else 0
            answer.append((entry.launch, entry.extent, entry.chunk, parts, entry.barrier))
        free(schedule.entries)
        return answer

    def run(self, int64_t first, int64_t total, int64_t batch, int64_t max_steps, double seconds, double[::1] times=None):
        """Execute steps from row ``first`` on, without the GIL, and return ``(steps_done, status)``.

        It ends when all ``total`` rows or ``max_steps`` steps are done, after the step in which ``seconds`` have
        passed, or when a batch is not finite. Statuses: ``OK`` (0); ``CHECKED`` (1): NONFINITE was set at a CHECK, that
        step did not happen and is not counted; ``NONFINITE_STEP`` (2): NONFINITE was set at the end of a step that
        happened and is counted, the last of this run.

        ``times``, of one float64 for each launch, has the seconds of each added; the steps then run with a barrier
        before every launch.

        Raises
        ------
        RuntimeError
            Another thread is running this execution: it is one set of activations, for one run at a time.
        ValueError
            ``batch`` is below 1, or ``times`` has the wrong length.
        """
        cdef Job job
        cdef int threads = get_num_threads()
        cdef bint leased = False
        cdef double work, start
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}.")
        if times is not None and times.shape[0] != self.launches.shape[0]:
            raise ValueError(f"times must have {self.launches.shape[0]} elements, got {times.shape[0]}.")
        if first >= total or max_steps < 1:
            return 0, OK
        if self.running == epoch:
            raise RuntimeError("This execution is running in another thread. Make one execution for each thread.")
        self.running = epoch
        try:
            job.full = job.partial = self.prepare(min(batch, total - first), batch, threads)
            work = job.full.work * min(max_steps, (total - first) // batch + 1)
            if total - first > batch and (total - first) % batch:
                job.partial = self.prepare((total - first) % batch, batch, threads)
            threads = max(job.full.width, job.partial.width)
            if threads > 1:
                leased = team_lease(&team)
            if (not leased or team_pauses(&team) or not enlist(threads - 1)
                    or (work < MIN_WAKE and team_asleep(&team, threads - 1))):
                threads = 1
            self.reserve(threads)
            job.workers = threads - 1
            job.step, job.bases = &self.step[0], self.bases
            job.times = NULL
            if times is not None and times.shape[0] > 0:
                job.times = &times[0]
            job.current = -1
            job.first, job.total, job.batch, job.steps, job.done = first, total, batch, max_steps, 0
            job.status = 0
            with nogil:
                start = seconds_now()
                job.deadline = start + seconds
                lead(&job)
                if job.workers:
                    team_judge(&team, seconds_now() - start)
        finally:
            self.running = 0
            if leased:
                team_give_back(&team)
        return job.done, job.status
