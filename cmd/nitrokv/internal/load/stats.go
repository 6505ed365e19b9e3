package load

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// stats counts what one loop did in one phase.
type stats struct {
	latency       [opCount]histogram
	misses        int64
	errors        int64
	mismatches    int64
	abandoned     [opCount]int64 // due, never sent
	valueBytes    int64          // read
	sent          int64          // bytes
	received      int64
	firstError    string
	firstMismatch string
	user, system  time.Duration // of the loop's thread
	last          int64         // when the loop was done
}

func (s *stats) record(o op, d time.Duration, n int) { s.latency[o].record(d, n) }

// abandon records a request that was due and never sent. The time that it waited is a lower bound of its latency.
func (s *stats) abandon(o op, waited time.Duration) {
	s.abandoned[o]++
	s.latency[o].record(waited, 1)
}

// answered returns how many requests of a kind were answered without an error. A read-modify-write is one.
func (s *stats) answered(o op) int64 { return int64(s.latency[o].total) - s.abandoned[o] }

func (s *stats) requests() int64 {
	sum := int64(0)
	for o := range opCount {
		sum += s.answered(o)
	}
	return sum
}

// unsent returns how many requests were due and never sent.
func (s *stats) unsent() int64 {
	sum := int64(0)
	for _, n := range s.abandoned {
		sum += n
	}
	return sum
}

func (s *stats) fail(text []byte) {
	s.errors++
	if s.firstError == "" {
		s.firstError = string(text[:min(len(text), 200)])
	}
}

func (s *stats) mismatch(key uint64, what string) {
	s.mismatches++
	if s.firstMismatch == "" {
		s.firstMismatch = fmt.Sprintf("key:%012d: %s", key, what)
	}
}

// add merges the result of another loop of the same phase.
func (s *stats) add(o *stats) {
	for i := range s.latency {
		s.latency[i].add(&o.latency[i])
		s.abandoned[i] += o.abandoned[i]
	}
	s.addCounts(o)
	s.misses += o.misses
	s.valueBytes += o.valueBytes
	s.sent += o.sent
	s.received += o.received
	s.user += o.user
	s.system += o.system
	s.last = max(s.last, o.last)
}

// addCounts merges only what counts against a run in every phase.
func (s *stats) addCounts(o *stats) {
	s.errors += o.errors
	s.mismatches += o.mismatches
	if s.firstError == "" {
		s.firstError = o.firstError
	}
	if s.firstMismatch == "" {
		s.firstMismatch = o.firstMismatch
	}
}

// cpuTime is CPU time of a thread.
type cpuTime struct{ user, system time.Duration }

func threadCPU() (cpuTime, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return cpuTime{}, fmt.Errorf("read the thread's CPU time: %w", err)
	}
	return cpuTime{time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())}, nil
}
