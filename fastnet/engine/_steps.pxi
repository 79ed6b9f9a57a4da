# A run: one step of the launch table after another, on thread 0 and on those that follow it. Included by _runner.pyx.

cdef struct Job:
    int workers  # 0: alone
    Schedule* full
    Schedule* partial
    Schedule* schedule  # of this step
    int64_t* step
    int64_t* bases
    double* times
    int current  # launch being timed, -1: none
    double since
    int64_t first, total, batch, steps, done
    double deadline
    int status


cdef inline void stamp(Job* job, int launch) noexcept nogil:
    cdef double now = seconds_now()
    if job.current >= 0:
        job.times[job.current] += now - job.since
    job.current = launch
    job.since = now


cdef bint sweep(Job* job, Worker* worker, int thread) noexcept nogil:
    """One step: this thread's part of every launch. False: the run is over."""
    cdef:
        const Schedule* schedule = job.schedule
        const Entry* entry
        const int64_t* step = job.step
        int64_t* bases = job.bases + thread * STRIDE
        int64_t turn = step[ITERATION] + 1
        int64_t low, high
        bint together = job.workers > 0
        bint timed = job.times != NULL
        bint barrier
        int k
    for k in range(schedule.count):
        entry = schedule.entries + k
        barrier = together and (entry.barrier or timed)
        if thread > 0:
            if barrier and not worker_arrive(worker):
                return False
        else:
            if barrier:
                team_gather(&team)
            if timed:
                stamp(job, entry.launch)
            # Thread 0 decides for all. Who waits at a later barrier learns it there, and has done nothing since.
            if entry.check and step[NONFINITE]:
                return False
            if barrier:
                team_release(&team)
        if entry.period > 1 and turn % entry.period:
            continue
        low = thread * entry.chunk
        high = entry.extent
        if together:
            high = min(low + entry.chunk, high)
        if low < high:
            entry.fn(bases, entry.args, schedule.rows, low, high)
    return True


cdef void follow(void* pointer, Worker* worker) noexcept nogil:
    cdef Job* job = <Job*> pointer
    while sweep(job, worker, worker.thread) and worker_arrive(worker):
        pass


cdef void open_step(Job* job) noexcept nogil:
    cdef:
        int64_t* step = job.step
        int64_t rows = min(job.batch, job.total - job.first)
        int64_t count = step[RATES_COUNT]
    job.schedule = job.full if rows == job.full.rows else job.partial
    step[ROWS] = rows
    step[FIRST] = job.first
    step[NONFINITE] = 0
    if step[RATES] and count > 0:
        step[RATE] = (<int64_t*> <size_t> step[RATES])[min(job.done, count - 1)]


cdef void lead(Job* job) noexcept nogil:
    """Thread 0's run."""
    cdef bint completed, more = True
    cdef uint64_t control = flush_subnormals()
    while more:
        open_step(job)
        if job.workers and job.done == 0:
            team_begin(&team, follow, job, job.workers)
        elif job.workers:
            team_release(&team)
        completed = sweep(job, NULL, 0)
        if job.workers:
            team_gather(&team)
        if job.times != NULL:
            stamp(job, -1)
        if completed:
            job.first += job.schedule.rows
            job.step[ITERATION] += 1
            job.done += 1
        if job.step[NONFINITE]:
            job.status = NONFINITE_STEP if completed else CHECKED
        more = job.status == 0 and job.done < job.steps and job.first < job.total and seconds_now() < job.deadline
    if job.workers:
        team_end(&team)
    restore_float_control(control)
