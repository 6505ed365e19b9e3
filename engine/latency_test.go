package engine

import (
	"math"
	"testing"
	"time"
)

// Every time is in the bucket whose bounds it lies between, and the bounds grow.
func TestLatencyBuckets(t *testing.T) {
	for i := 1; i < LatencyBuckets; i++ {
		if LatencyBound(i) <= LatencyBound(i-1) {
			t.Fatalf("bucket %d ends at %v, the one before at %v", i, LatencyBound(i), LatencyBound(i-1))
		}
	}
	times := []time.Duration{0, 1, 127, 128, 191, 192, 1023, 1024, time.Microsecond, time.Second, 17 * time.Second,
		18 * time.Second, math.MaxInt64}
	for i := range LatencyBuckets {
		times = append(times, LatencyBound(i)-1, LatencyBound(i))
	}
	for _, d := range times {
		i := latencyBucket(d)
		var from time.Duration
		if i > 0 {
			from = LatencyBound(i - 1)
		}
		if d < from || i < LatencyBuckets-1 && d >= LatencyBound(i) {
			t.Errorf("%d ns are in bucket %d, which is from %d to %d", d, i, from, LatencyBound(i))
		}
	}
	if got := latencyBucket(-time.Second); got != 0 {
		t.Errorf("a negative time is in bucket %d", got)
	}
}

// The bounds in the documentation: two buckets for each doubling, from 128 ns to 17 s.
func TestLatencyBounds(t *testing.T) {
	for i, want := range map[int]time.Duration{0: 128, 1: 192, 2: 256, 3: 384, 6: 1024, LatencyBuckets - 2: 1 << 34} {
		if got := LatencyBound(i); got != want {
			t.Errorf("bucket %d ends at %d ns, want %d", i, got, want)
		}
	}
}

func TestLatencyQuantile(t *testing.T) {
	var l Latency
	none := l.Histogram()
	if q := none.Quantile(0.5); q != 0 || none.Count() != 0 {
		t.Errorf("of nothing: %v, %d times", q, none.Count())
	}
	l.Add(10*time.Microsecond, 90)
	l.Add(10*time.Millisecond, 9)
	l.Add(time.Minute, 1)
	h := l.Histogram()
	if h.Count() != 100 || h.Total != 90*10*time.Microsecond+9*10*time.Millisecond+time.Minute {
		t.Errorf("%d times of %v together", h.Count(), h.Total)
	}
	for _, q := range []struct {
		part        float64
		least, most time.Duration
	}{
		{0, 10 * time.Microsecond, 15 * time.Microsecond},
		{0.5, 10 * time.Microsecond, 15 * time.Microsecond},
		{0.9, 10 * time.Microsecond, 15 * time.Microsecond},
		{0.91, 10 * time.Millisecond, 15 * time.Millisecond},
		{0.99, 10 * time.Millisecond, 15 * time.Millisecond},
		{0.999, 17 * time.Second, 18 * time.Second}, // the last bound there is
		{1, 17 * time.Second, 18 * time.Second},
	} {
		if got := h.Quantile(q.part); got < q.least || got > q.most {
			t.Errorf("quantile %v is %v, want %v to %v", q.part, got, q.least, q.most)
		}
	}
}

// Times gives two clocks at one moment: neither goes backwards, and the store's time is the one that Now tells.
func TestTimes(t *testing.T) {
	s := openStore(t, Options{ManualSteps: true})
	before := s.Now()
	now, elapsed := s.Times()
	if now < before || s.Now() < now || s.Elapsed() < elapsed || elapsed < 0 {
		t.Errorf("now %d after %d, elapsed %v before %v", now, before, elapsed, s.Elapsed())
	}
}

// Each sync of the log is timed.
func TestSyncLatency(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir()})
	for range 5 {
		must(t, s.Set([]byte("k"), []byte("v")))
	}
	h := s.SyncLatency()
	if n := s.Stats().LogSyncs; h.Count() == 0 || h.Count() > n || h.Total <= 0 {
		t.Errorf("%d syncs were timed (%v together), the log counts %d", h.Count(), h.Total, n)
	}
}
