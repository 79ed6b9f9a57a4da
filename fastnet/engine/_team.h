// Threads that wait for work: parked between runs, at barriers within one.
//
// Thread 0 is the caller. It and each worker talk through two words: thread 0 writes `go_`, the worker answers with
// `arrived_`. A turn is passed on by writing go_, so starting, every barrier and the end of a run are one mechanism.
// No read-modify-write and no shared counter: each word has a cache line and one writer.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

namespace fastnet {

// This thread takes subnormal numbers for zero from now on; the control word before, for restore_float_control().
// Moments of weights that get no gradient decay to them: Adam's update then took 1.28 ns an element, not 0.39 (Zen 3).
#if defined(__SSE2__) || defined(_M_X64)
inline uint64_t flush_subnormals() {
    const unsigned int before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);  // results, and operands
    return before;
}
inline void restore_float_control(uint64_t word) { _mm_setcsr(static_cast<unsigned int>(word)); }
#elif defined(_M_ARM64)
inline void restore_float_control(uint64_t word) { _WriteStatusReg(ARM64_FPCR, word); }
inline uint64_t flush_subnormals() {
    const uint64_t before = _ReadStatusReg(ARM64_FPCR);
    restore_float_control(before | uint64_t(1) << 24);
    return before;
}
#elif defined(__aarch64__)
inline void restore_float_control(uint64_t word) { __asm__ __volatile__("msr fpcr, %0" : : "r"(word)); }
inline uint64_t flush_subnormals() {
    uint64_t before;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
    restore_float_control(before | uint64_t(1) << 24);
    return before;
}
#else
inline void restore_float_control(uint64_t) {}
inline uint64_t flush_subnormals() { return 0; }
#endif

inline void relax() {
#if defined(__SSE2__) || defined(_M_X64)
    _mm_pause();
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

inline double seconds_now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// At a barrier: about 1 µs of pauses, then yield. Where two threads have to share a core, a barrier costs two such
// spins: 4.4 µs with 20 pauses, 13.3 with 200, measured. On free cores a yield is late by half a microsecond at most.
const int SPINS = 30;
// Between runs: longer than Python needs from one chunk to the next, short enough not to be noticed as load.
const double PARK_SPIN = 50e-6;

template <class Ready>
inline void wait_until(Ready ready) {
    for (int i = 0; i < SPINS; ++i) {
        if (ready()) return;
        relax();
    }
    while (!ready()) std::this_thread::yield();
}

class Worker;
typedef void (*Work)(void *job, Worker *worker);

class Worker {
  public:
    const int thread;

    explicit Worker(int number)
        : thread(number), go_(0), work_(nullptr), job_(nullptr), arrived_(0), sleeping_(false), seen_(0) {}

    // The whole life of a worker's thread. Workers are never stopped: asleep they cost nothing, and at exit the
    // process takes them along.
    void serve() {
        flush_subnormals();
        for (;;) {
            park();
            work_(job_, this);
        }
    }

    // Everything before is done; wait for the others. False: the run is over, and its job must not be touched again.
    bool arrive() {
        arrived_.store(seen_, std::memory_order_release);
        wait_until([this] { return go_.load(std::memory_order_acquire) != seen_; });
        seen_ += 2;
        // A worker that was off its core may miss the end of the run and find the beginning of a later one instead,
        // since nobody waits for it there. That is another number than its own next; park() will take it up.
        const bool over = go_.load(std::memory_order_relaxed) != seen_;
        if (over) seen_ |= 1;
        return !over;
    }

  private:
    friend class Team;

    void park() {
        const double until = seconds_now() + PARK_SPIN;
        do {
            for (int i = 0; i < 32; ++i) {
                const uint64_t go = go_.load(std::memory_order_acquire);
                if (go != seen_) {
                    seen_ = go;
                    return;
                }
                relax();
            }
        } while (seconds_now() < until);
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_.store(true);  // before go_ is read: begin() writes go_, then reads sleeping_
        condition_.wait(lock, [this] { return go_.load() != seen_; });
        sleeping_.store(false);
        seen_ = go_.load();
    }

    void wake() {
        if (!sleeping_.load()) return;
        std::lock_guard<std::mutex> lock(mutex_);
        condition_.notify_one();
    }

    // Padding instead of alignas: `new` honours alignments above 16 from C++17 only.
    char pad0_[128];
    std::atomic<uint64_t> go_;  // number of the turn, doubled; odd: the run is over
    Work work_;
    void *job_;
    char pad1_[128];
    std::atomic<uint64_t> arrived_;
    std::atomic<bool> sleeping_;
    uint64_t seen_;
    char pad2_[128];
    std::mutex mutex_;
    std::condition_variable condition_;
};

// A team is never deleted, nor are its workers: after a fork the child's copy may hold locked mutexes, and at exit a
// destroyed condition variable would wait for its sleepers.
class Team {
  public:
    Team() : leased_(false), active_(0), turn_(0) {}

    bool lease() { return !leased_.exchange(true, std::memory_order_acquire); }
    void give_back() { leased_.store(false, std::memory_order_release); }

    // All that follows is for the lease's holder, thread 0 of its run.
    int size() const { return static_cast<int>(workers_.size()); }

    Worker *enlist() {
        workers_.push_back(new Worker(size() + 1));
        return workers_.back();
    }

    // The newest worker's thread could not be started.
    void discharge() {
        delete workers_.back();
        workers_.pop_back();
    }

    bool asleep(int count) const {
        for (int i = 0; i < count; ++i)
            if (workers_[i]->sleeping_.load(std::memory_order_relaxed)) return true;
        return false;
    }

    // Start work(job, worker) on the first `count` workers.
    void begin(Work work, void *job, int count) {
        active_ = count;
        turn_ += 2;
        for (int i = 0; i < active_; ++i) {
            workers_[i]->work_ = work;
            workers_[i]->job_ = job;
            workers_[i]->go_.store(turn_);
            workers_[i]->wake();
        }
    }

    // Wait until every worker has arrived. Until release() or end() thread 0 is alone.
    void gather() {
        for (int i = 0; i < active_; ++i) {
            const std::atomic<uint64_t> &arrived = workers_[i]->arrived_;
            wait_until([&] { return arrived.load(std::memory_order_acquire) == turn_; });
        }
    }

    void release() { pass(0); }

    void end() { pass(1); }

  private:
    void pass(uint64_t over) {
        turn_ += 2;
        for (int i = 0; i < active_; ++i) workers_[i]->go_.store(turn_ | over, std::memory_order_release);
    }

    std::atomic<bool> leased_;
    int active_;
    uint64_t turn_;
    std::vector<Worker *> workers_;
};

}  // namespace fastnet
