package engine

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Times, and how they are distributed
//
// A histogram has fixed buckets, two for each doubling: [128, 192) ns, [192, 256), [256, 384) … up to 17 s. So a
// percentile is told to within a half, histograms can be added, and finding the bucket of a time takes the position
// of its highest bit and the bit behind that.
const (
	latencyLow     = 7  // the first bucket ends at 2^7 ns
	latencyHigh    = 33 // the last one that has an end does so at 2^34 ns
	LatencyBuckets = 2*(latencyHigh-latencyLow+1) + 2
)

// LatencyBound is the time below which those in bucket i are, and those in the buckets before it. The last bucket has
// the largest of all times.
func LatencyBound(i int) time.Duration {
	if i >= LatencyBuckets-1 {
		return math.MaxInt64
	}
	end := time.Duration(1) << (latencyLow + i/2)
	if i%2 == 1 {
		end += end / 2
	}
	return end
}

// latencyBucket is the bucket of a time; one that is negative counts as none.
func latencyBucket(d time.Duration) int {
	if d < 1<<latencyLow {
		return 0
	}
	high := bits.Len64(uint64(d)) - 1
	second := int(d>>(high-1)) & 1
	return min(1+2*(high-latencyLow)+second, LatencyBuckets-1)
}

// Latency counts times in a histogram. Its methods may be called from any goroutine; it must not be copied.
type Latency struct {
	counts [LatencyBuckets]atomic.Uint64
	total  atomic.Int64 // nanoseconds
}

// Add counts n times of d.
func (l *Latency) Add(d time.Duration, n uint64) {
	d = max(d, 0)
	l.counts[latencyBucket(d)].Add(n)
	l.total.Add(int64(d) * int64(n))
}

// Histogram is what has been counted so far.
func (l *Latency) Histogram() (h Histogram) {
	for i := range l.counts {
		h.Counts[i] = l.counts[i].Load()
	}
	h.Total = time.Duration(l.total.Load())
	return h
}

// Histogram is how times are distributed: Counts[i] of them are below LatencyBound(i), and not below the bound before.
type Histogram struct {
	Counts [LatencyBuckets]uint64
	Total  time.Duration // the sum of the times
}

func (h *Histogram) add(other *Histogram) {
	for i, n := range other.Counts {
		h.Counts[i] += n
	}
	h.Total += other.Total
}

// Count is the number of times.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Quantile is a time that the part q (0 to 1) of the times is below, to within a bucket; 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.Count())))
	var n uint64
	for i, c := range h.Counts {
		n += c
		if c > 0 && n >= rank {
			return LatencyBound(min(i, LatencyBuckets-2)) // "more than 17 s" is as much as is known
		}
	}
	return 0
}

// Times are Now and Elapsed at the same moment, for the price of one.
func (s *Store) Times() (now int64, elapsed time.Duration) {
	elapsed = s.clock.mono()
	return s.clock.nowAt(elapsed), elapsed
}

// Elapsed is the time since the store was opened, by a clock that nobody sets: what took how long is the difference of
// two of these.
func (s *Store) Elapsed() time.Duration { return s.clock.mono() }

// SyncLatency is how long the log's syncs have taken.
func (s *Store) SyncLatency() Histogram { return s.commit.syncs.Histogram() }
