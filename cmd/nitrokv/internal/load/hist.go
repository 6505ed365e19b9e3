package load

import (
	"math"
	"math/bits"
	"time"
)

// A histogram counts durations in log-linear buckets: exact below 256 ns, then 128 buckets per power of two, so a
// percentile is at most 0.8 % too high. Recording is an index computation and an addition.
type histogram struct {
	counts [histBuckets]uint64
	total  uint64
	sum    float64 // of nanoseconds, for the mean
	max    time.Duration
}

const (
	histBits    = 7  // log2 of the buckets per power of two
	histTop     = 43 // durations from 2^43 ns (2.4 hours) on share the last bucket
	histBuckets = (histTop - histBits + 1) << histBits
)

// bucketOf returns the bucket that counts d nanoseconds.
func bucketOf(d uint64) int {
	shift := bits.Len64(d|1<<histBits) - histBits - 1
	return min(shift<<histBits+int(d>>shift), histBuckets-1)
}

// bucketTop returns the largest number of nanoseconds that bucket i counts.
func bucketTop(i int) uint64 {
	if i < 2<<histBits {
		return uint64(i)
	}
	shift := i>>histBits - 1
	low := uint64(i - shift<<histBits)
	return (low+1)<<shift - 1
}

// record counts d n times. A negative d, which clocks don't produce, counts as zero.
func (h *histogram) record(d time.Duration, n int) {
	if n == 0 {
		return
	}
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))] += uint64(n)
	h.total += uint64(n)
	h.sum += float64(d) * float64(n)
	h.max = max(h.max, d)
}

// add merges o into h.
func (h *histogram) add(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// quantile returns the duration that a share q of the recorded ones doesn't exceed; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	want := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= want {
			return min(time.Duration(bucketTop(i)), h.max)
		}
	}
	return h.max
}

// mean returns the average; 0 if nothing was recorded.
func (h *histogram) mean() time.Duration {
	if h.total == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.total))
}
