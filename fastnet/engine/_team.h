// Threads that wait for work: parked between runs, at barriers within one.
//
// Thread 0 is the caller. It and each worker talk through two words: thread 0 writes `go`, the worker answers with
// `arrived`. A turn is passed on by writing go, so starting, every barrier and the end of a run are one mechanism.
// No shared counter and, at a barrier, no read-modify-write: each of the two has a cache line and one writer.
#pragma once

#include <stdlib.h>

#include "_platform.h"

// At a barrier: about 1 µs of pauses, then yield. Where two threads have to share a core, a barrier costs two such
// spins: 4.4 µs with 20 pauses, 13.3 with 200, measured. On free cores a yield is late by half a microsecond at most.
#define SPINS 30
// Between runs: longer than Python needs from one chunk to the next, short enough not to be noticed as load.
#define PARK_SPIN 50e-6

typedef struct Worker Worker;
typedef void (*Work)(void *job, Worker *worker);

struct Worker {
    char pad0[128];
    int64_t go;  // number of the turn, doubled; odd: the run is over
    Work work;
    void *job;
    char pad1[128];
    int64_t arrived;
    int64_t asleep;  // set by the worker; thread 0 rings the bell if it is who clears it
    int64_t seen;
    char pad2[128];
    PyThread_type_lock bell;  // a semaphore: locked, but from a ring until the worker wakes
    int thread;
};

// Zeroed, a team is new. Its workers are never freed: after a fork the child's copy may hold locked locks, and at exit
// they still sleep on them.
typedef struct {
    char pad0[128];  // what lies beside a static Team is read by all
    Worker **workers;
    int size;
    int active;
    int64_t turn;
    int64_t leased;
    char pad1[128];
} Team;

static inline void wait_until(const int64_t *word, int64_t value, int equal) {
    for (int i = 0; i < SPINS; ++i) {
        if ((word_load(word) == value) == equal) return;
        relax();
    }
    while ((word_load(word) == value) != equal) leave_core();
}

// --- a worker's side ---

// NULL: no memory.
static inline Worker *worker_new(int thread) {
    Worker *worker = (Worker *)calloc(1, sizeof(Worker));
    if (worker == NULL) return NULL;
    worker->thread = thread;
    worker->bell = PyThread_allocate_lock();
    if (worker->bell == NULL) {
        free(worker);
        return NULL;
    }
    PyThread_acquire_lock(worker->bell, WAIT_LOCK);
    return worker;
}

// Only one that no thread serves.
static inline void worker_free(Worker *worker) {
    PyThread_release_lock(worker->bell);
    PyThread_free_lock(worker->bell);
    free(worker);
}

// No wake-up is lost: the worker sets `asleep`, fences, reads `go`; thread 0 writes `go`, fences, reads `asleep`. One
// of the fences comes first, and the read behind the other sees what was written ahead of it. Where both reads see the
// other's write, the exchange decides, so that each ring is waited for: one left over would end the next sleep.
static inline void worker_park(Worker *worker) {
    const double until = seconds_now() + PARK_SPIN;
    do {
        for (int i = 0; i < 32; ++i) {
            const int64_t go = word_load(&worker->go);
            if (go != worker->seen) {
                worker->seen = go;
                return;
            }
            relax();
        }
    } while (seconds_now() < until);
    word_store(&worker->asleep, 1);
    fence();
    if (word_load(&worker->go) == worker->seen || !word_exchange(&worker->asleep, 0))
        PyThread_acquire_lock(worker->bell, WAIT_LOCK);
    worker->seen = word_load(&worker->go);
}

// The whole life of a worker's thread. Workers are never stopped: asleep they cost nothing, and at exit the process
// takes them along.
static inline void worker_serve(Worker *worker) {
    flush_subnormals();
    for (;;) {
        worker_park(worker);
        worker->work(worker->job, worker);
    }
}

// Everything before is done; wait for the others. False: the run is over, and its job must not be touched again.
static inline int worker_arrive(Worker *worker) {
    word_store(&worker->arrived, worker->seen);
    wait_until(&worker->go, worker->seen, 0);
    worker->seen += 2;
    // A worker that was off its core may miss the end of the run and find the beginning of a later one instead, since
    // nobody waits for it there. That is another number than its own next; worker_park() will take it up.
    const int over = word_load(&worker->go) != worker->seen;
    if (over) worker->seen |= 1;
    return !over;
}

// --- thread 0's side ---

static inline int team_lease(Team *team) { return !word_exchange(&team->leased, 1); }
static inline void team_give_back(Team *team) { word_store(&team->leased, 0); }

// All that follows is for the lease's holder, thread 0 of its run.

// A worker joins when its thread runs: one that an interrupt left without would never answer. False: no memory.
static inline int team_enlist(Team *team, Worker *worker) {
    Worker **workers = (Worker **)realloc(team->workers, (size_t)(team->size + 1) * sizeof(Worker *));
    if (workers == NULL) return 0;
    team->workers = workers;
    workers[team->size++] = worker;
    return 1;
}

static inline int team_asleep(const Team *team, int count) {
    for (int i = 0; i < count; ++i)
        if (word_load(&team->workers[i]->asleep)) return 1;
    return 0;
}

// Start work(job, worker) on the first `count` workers.
static inline void team_begin(Team *team, Work work, void *job, int count) {
    team->active = count;
    team->turn += 2;
    for (int i = 0; i < count; ++i) {
        Worker *worker = team->workers[i];
        worker->work = work;
        worker->job = job;
        word_store(&worker->go, team->turn);
    }
    fence();
    for (int i = 0; i < count; ++i) {
        Worker *worker = team->workers[i];
        if (word_load(&worker->asleep) && word_exchange(&worker->asleep, 0)) PyThread_release_lock(worker->bell);
    }
}

// Wait until every worker has arrived. Until team_release() or team_end() thread 0 is alone.
static inline void team_gather(Team *team) {
    for (int i = 0; i < team->active; ++i) wait_until(&team->workers[i]->arrived, team->turn, 1);
}

static inline void team_pass(Team *team, int64_t over) {
    team->turn += 2;
    for (int i = 0; i < team->active; ++i) word_store(&team->workers[i]->go, team->turn | over);
}

static inline void team_release(Team *team) { team_pass(team, 0); }
static inline void team_end(Team *team) { team_pass(team, 1); }
