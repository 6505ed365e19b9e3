package engine

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// clock is the store's only source of time: Unix milliseconds that never go backwards.
//
// It reads the wall clock once, at the start, and then counts with the monotonic clock. Somebody who sets the
// wall clock therefore makes no key expire early or live for years. The clock follows the wall slowly: once a
// second, adjust compares the two and chooses the rate for the next second, at most slewPPM faster or slower
// than real time. A jump of the wall is reported, because absolute expiry times (EXPIREAT, PXAT) mean the
// wall's time until the clock has caught up.
//
// Invariants:
//
//	(1) A line {at, ms, ppm} maps monotonic time to milliseconds; adjust starts a new line where the old one is.
//	(2) now returns max(line, last) and raises last, so that a reader with an old line cannot be overtaken backwards.
//	(3) last is written at most once a millisecond; all other calls only read shared memory.
type clock struct {
	wall func() time.Time     // the wall clock
	mono func() time.Duration // since the start
	log  *slog.Logger

	line atomic.Pointer[clockLine]
	last atomic.Int64 // the newest time given out

	mu     sync.Mutex // guards the fields below: adjust only
	offset time.Duration
}

// clockLine is the clock between two adjustments.
type clockLine struct {
	at  time.Duration // monotonic
	ns  int64         // Unix nanoseconds at `at`
	ppm int64         // faster (or slower) than the monotonic clock by so many millionths
}

const (
	slewPPM     = 5000                   // 5 ms a second: an error of a second is gone after 200 s
	jumpAtLeast = 500 * time.Millisecond // what is reported as a jump of the wall clock
	adjustEvery = time.Second
)

func newClock(log *slog.Logger) *clock {
	start := time.Now()
	return startClock(time.Now, func() time.Duration { return time.Since(start) }, log)
}

func startClock(wall func() time.Time, mono func() time.Duration, log *slog.Logger) *clock {
	c := &clock{wall: wall, mono: mono, log: log}
	// A wall clock before 1970 would give negative times, which the engine does not know.
	c.line.Store(&clockLine{at: mono(), ns: max(wall().UnixNano(), int64(time.Millisecond))})
	return c
}

// now returns Unix milliseconds, not before any time it has returned to anybody.
func (c *clock) now() int64 { return c.nowAt(c.mono()) }

// nowAt is now for somebody who has read the monotonic clock already.
func (c *clock) nowAt(t time.Duration) int64 {
	ms := c.line.Load().at0(t) / int64(time.Millisecond)
	for {
		last := c.last.Load()
		if ms <= last {
			return last
		}
		if c.last.CompareAndSwap(last, ms) {
			return ms
		}
	}
}

// at0 returns the line's Unix nanoseconds at monotonic time t.
func (l *clockLine) at0(t time.Duration) int64 {
	d := int64(t - l.at)
	return l.ns + d + d/1_000_000*l.ppm
}

// raise makes the clock go on from ms if it is before that: times in the log must not lie ahead of the clock that
// goes on writing it. It is steered back slowly, like any other difference from the wall clock.
func (c *clock) raise(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ns := c.mono(), ms*int64(time.Millisecond)
	if c.line.Load().at0(t) >= ns {
		return
	}
	c.offset = time.Duration(c.wall().UnixNano() - ns)
	c.line.Store(&clockLine{at: t, ns: ns})
	if -c.offset >= jumpAtLeast {
		c.log.Warn("the system clock is behind the newest time in the log; expiry times follow the log's",
			"behind", -c.offset.Round(time.Millisecond))
	}
}

// adjust steers the clock towards the wall clock; the driver calls it every adjustEvery.
func (c *clock) adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.mono()
	ns := c.line.Load().at0(t)
	offset := time.Duration(c.wall().UnixNano() - ns)
	if jump := offset - c.offset; jump.Abs() >= jumpAtLeast {
		c.log.Warn("the system clock was set; expiry times follow it slowly",
			"jump", jump.Round(time.Millisecond), "behind", offset.Round(time.Millisecond))
	}
	c.offset = offset
	// The rate that would close the gap within one period, bounded.
	ppm := int64(offset) * 1_000_000 / int64(adjustEvery)
	if offset.Abs() > adjustEvery {
		ppm = slewPPM
		if offset < 0 {
			ppm = -slewPPM
		}
	}
	c.line.Store(&clockLine{at: t, ns: ns, ppm: max(-slewPPM, min(slewPPM, ppm))})
}
