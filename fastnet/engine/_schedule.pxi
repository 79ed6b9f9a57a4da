# Which thread works on which part of a launch, and where all of them must meet. Included by _runner.pyx.

# Picoseconds of work that are worth a thread.
cdef double MIN_PART = 2e6


cdef struct Entry:
    kernel_t fn
    int64_t* args
    int64_t extent
    int64_t chunk  # thread t works on [t * chunk, (t + 1) * chunk)
    int64_t period
    int launch
    bint barrier
    bint check


cdef struct Schedule:
    int64_t rows
    int threads  # it was made for
    int width  # threads that have work
    int count
    double work  # picoseconds
    Entry* entries


cdef void divide(Schedule* schedule, const int64_t[:, ::1] launches, int64_t rows, int threads) noexcept nogil:
    """Fill a schedule: each launch's extent, its parts, and the barriers that are needed."""
    cdef:
        int k, width
        int64_t extent, grain, grains
        bint wanted = False  # a barrier that was asked for and not yet met
        bint ran = False  # since the last barrier a thread had work
        bint apart = False  # since the last barrier another thread than 0 had work
        bint spread
        double work
        Entry* entry
    schedule.rows, schedule.threads, schedule.width, schedule.work, schedule.count = rows, threads, 1, 0, 0
    for k in range(<int> launches.shape[0]):
        extent = (rows * launches[k, PER_ROW] + launches[k, UNIT] - 1) // launches[k, UNIT]
        extent = max(<int64_t> 0, extent * launches[k, TIMES] + launches[k, FIXED])
        entry = schedule.entries + schedule.count
        entry.check = (launches[k, FLAGS] & CHECK) != 0
        wanted |= entry.check or (launches[k, FLAGS] & BARRIER) != 0
        if extent == 0 and not entry.check:
            continue
        grain = launches[k, GRAIN]
        grains = (extent + grain - 1) // grain
        work = <double> extent * <double> launches[k, COST]
        width = <int> max(1.0, min(work / MIN_PART, <double> threads))
        entry.fn = <kernel_t> <void*> <size_t> launches[k, FN]
        entry.args = <int64_t*> <size_t> launches[k, ARGS]
        entry.extent = extent
        entry.chunk = (grains + width - 1) // width * grain
        entry.period = launches[k, PERIOD]
        entry.launch = k
        # A launch that only thread 0 works on, after launches only it worked on, is in order anyway. Its barrier
        # stays wanted by the next launch of all: what that reads may come from before this one.
        spread = extent > entry.chunk
        entry.barrier = wanted and (apart or (ran and spread))
        if entry.barrier or not ran:
            wanted = apart = False
        ran = True
        if spread:
            apart = True
            schedule.width = max(schedule.width, <int> ((extent + entry.chunk - 1) // entry.chunk))
        schedule.work += work
        schedule.count += 1
