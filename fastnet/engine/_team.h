// Threads that wait for work: parked between runs, at barriers within one.
// On a busy machine they sleep at barriers, and a team that mostly waits is left out of the next runs.
//
// Thread 0 is the caller. It and each worker talk through two words: thread 0 writes `go`, the worker answers with
// `arrived`. A turn is passed on by writing go, so starting, every barrier and the end of a run are one mechanism.
// No shared counter and, at a barrier, no read-modify-write: each of the two has a cache line and one writer.
#pragma once

#include <stdlib.h>

#include "_platform.h"

// At a barrier: about 1 µs of pauses, then yields. Where two threads of a team have to share a core, a barrier costs
// two such spins: 4.4 µs with 20 pauses, 13.3 with 200, measured. On free cores a yield is late by half a microsecond
// at most.
#define SPINS 30
// A longer yield gave the core to another program, for a time slice (3 ms) or several: Linux 6.18 moves a yielding
// thread behind the others. In its next waits the thread sleeps in place of yields. A thread that slept runs first
// when it is woken, and its core is free meanwhile, for the thread that has to arrive. 784-128-10 on 2 cores beside 12
// processes, microseconds a step: yields 51,002, sleep and pauses of the team 1,425, one thread 2,414.
#define LONG_YIELD 100e-6
#define CROWDED_WAITS 2000
// Pauses before sleep on a crowded machine: a wake-up costs 5 to 10 µs.
#define CROWDED_SPIN 20e-6
// Elsewhere a thread sleeps after this time. A launch of one thread that takes as long loses 2 % by the wake-up.
#define LONG_WAIT 500e-6
// If thread 0 of n waits for more than 1 - 1/n of so many seconds of runs, the next runs use one thread: alone, which
// takes n times as long as a team that never waits, it is faster. The team is tried again after the first pause; each
// further pause is twice as long, up to the last one.
#define JUDGED 0.05
#define FIRST_PAUSE 1.0
#define LAST_PAUSE 16.0
// A sleeping thread looks at its word after so many microseconds. The ring at a barrier therefore needs no fence: it
// may miss a thread that falls asleep at the same moment.
#define NAP 1000
// Between runs: longer than Python needs from one chunk to the next, short enough not to be noticed as load.
#define PARK_SPIN 50e-6

typedef struct Worker Worker;
typedef void (*Work)(void *job, Worker *worker);

struct Worker {
    char pad0[128];
    int64_t go;  // number of the turn, doubled; odd: the run is over
    Work work;
    void *job;
    int64_t awaited;  // as asleep, for thread 0, which sleeps until this worker arrives
    char pad1[128];
    int64_t arrived;
    int64_t asleep;  // set by the worker; thread 0 rings the bell if it is who clears it
    int64_t seen;
    int crowded;  // waits for which this thread does not yield
    char pad2[128];
    PyThread_type_lock bell;  // a semaphore: locked, but from a ring until the worker wakes
    PyThread_type_lock answer;  // thread 0's
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
    int crowded;  // of thread 0
    double waited, elapsed;  // seconds of thread 0 at barriers, and of its runs, since they were last judged
    double pause, resume;  // seconds without the team, and the time at which they end
    char pad1[128];
} Team;

// Ring, if the other thread sleeps.
static inline void ring(int64_t *asleep, PyThread_type_lock bell) {
    if (word_load(asleep) && word_exchange(asleep, 0)) PyThread_release_lock(bell);
}

// Sleep for a ring, or for a NAP.
static inline void nap(const int64_t *word, int64_t value, int equal, int64_t *asleep, PyThread_type_lock bell) {
    word_store(asleep, 1);
    fence();
    if ((word_load(word) == value) != equal && PyThread_acquire_lock_timed(bell, NAP, 0) == PY_LOCK_ACQUIRED) return;
    if (!word_exchange(asleep, 0)) PyThread_acquire_lock(bell, WAIT_LOCK);  // the ring is on its way
}

// The seconds that it took, if more than some pauses.
static inline double wait_until(
    const int64_t *word, int64_t value, int equal, int *crowded, int64_t *asleep, PyThread_type_lock bell
) {
    for (int i = 0; i < SPINS; ++i) {
        if ((word_load(word) == value) == equal) return 0.0;
        relax();
    }
    const double begin = seconds_now(), patience = *crowded ? CROWDED_SPIN : LONG_WAIT;
    double now = begin;
    if (*crowded) --*crowded;
    while ((word_load(word) == value) != equal) {
        const double before = now;
        if (now - begin > patience)
            nap(word, value, equal, asleep, bell);
        else if (*crowded)
            relax();
        else
            leave_core();
        now = seconds_now();
        if (!*crowded && before - begin <= patience && now - before > LONG_YIELD) *crowded = CROWDED_WAITS;
    }
    return now - begin;
}

// --- a worker's side ---

// NULL: no memory.
static inline Worker *worker_new(int thread) {
    Worker *worker = (Worker *)calloc(1, sizeof(Worker));
    if (worker == NULL) return NULL;
    worker->thread = thread;
    worker->bell = PyThread_allocate_lock();
    worker->answer = PyThread_allocate_lock();
    if (worker->bell == NULL || worker->answer == NULL) {
        if (worker->bell != NULL) PyThread_free_lock(worker->bell);
        if (worker->answer != NULL) PyThread_free_lock(worker->answer);
        free(worker);
        return NULL;
    }
    PyThread_acquire_lock(worker->bell, WAIT_LOCK);
    PyThread_acquire_lock(worker->answer, WAIT_LOCK);
    return worker;
}

// Only one that no thread serves.
static inline void worker_free(Worker *worker) {
    PyThread_release_lock(worker->bell);
    PyThread_free_lock(worker->bell);
    PyThread_release_lock(worker->answer);
    PyThread_free_lock(worker->answer);
    free(worker);
}

// No wake-up is lost: the worker sets `asleep`, fences, reads `go`; thread 0 writes `go`, fences, reads `asleep`. One
// of the fences comes first, and the read behind the other sees what was written ahead of it. Where both reads see the
// other's write, the exchange decides, so that each ring is waited for: one left over would end the next sleep.
// A ring may come late, from the barrier before: then there is nothing to do yet.
static inline void worker_park(Worker *worker) {
    for (;;) {
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
    }
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
    ring(&worker->awaited, worker->answer);
    wait_until(&worker->go, worker->seen, 0, &worker->crowded, &worker->asleep, worker->bell);
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
    for (int i = 0; i < count; ++i) ring(&team->workers[i]->asleep, team->workers[i]->bell);
}

// Wait until every worker has arrived. Until team_release() or team_end() thread 0 is alone.
static inline void team_gather(Team *team) {
    for (int i = 0; i < team->active; ++i) {
        Worker *worker = team->workers[i];
        team->waited += wait_until(&worker->arrived, team->turn, 1, &team->crowded, &worker->awaited, worker->answer);
    }
}

static inline void team_pass(Team *team, int64_t over) {
    team->turn += 2;
    for (int i = 0; i < team->active; ++i) word_store(&team->workers[i]->go, team->turn | over);
    for (int i = 0; i < team->active; ++i) ring(&team->workers[i]->asleep, team->workers[i]->bell);
}

static inline void team_release(Team *team) { team_pass(team, 0); }
static inline void team_end(Team *team) { team_pass(team, 1); }

// Whether the team has been slower than one thread, and none of it should run now.
static inline int team_pauses(const Team *team) { return team->resume != 0.0 && seconds_now() < team->resume; }

// After a run that took so many seconds: judge whether the team is worth its barriers.
static inline void team_judge(Team *team, double seconds) {
    team->elapsed += seconds;
    if (team->elapsed < JUDGED) return;
    if (team->waited * (team->active + 1) > team->elapsed * team->active) {
        team->pause = team->pause == 0.0 ? FIRST_PAUSE : team->pause < LAST_PAUSE ? 2.0 * team->pause : LAST_PAUSE;
        team->resume = seconds_now() + team->pause;
    } else {
        team->pause = team->resume = 0.0;
    }
    team->waited = team->elapsed = 0.0;
}

// Judge anew: another number of threads was asked for.
static inline void team_forget(Team *team) { team->waited = team->elapsed = team->pause = team->resume = 0.0; }
