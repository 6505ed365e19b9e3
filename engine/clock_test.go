package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeTime is a wall and a monotonic clock under the test's control.
type fakeTime struct {
	wallNow time.Time
	monoNow time.Duration
}

func (f *fakeTime) wall() time.Time     { return f.wallNow }
func (f *fakeTime) mono() time.Duration { return f.monoNow }

// pass lets both clocks run for d, the wall faster by drift.
func (f *fakeTime) pass(d, drift time.Duration) {
	f.monoNow += d
	f.wallNow = f.wallNow.Add(d + drift)
}

func newFakeClock(log *slog.Logger) (*fakeTime, *clock) {
	f := &fakeTime{wallNow: time.UnixMilli(1_700_000_000_000)}
	return f, startClock(f.wall, f.mono, log)
}

func TestClockIgnoresJumpsOfTheWall(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		var text bytes.Buffer
		f, c := newFakeClock(slog.New(slog.NewTextHandler(&text, nil)))
		start := c.now()
		f.pass(time.Second, jump)
		if got := c.now() - start; got != 1000 {
			t.Errorf("wall set by %v: the clock moved by %d ms in a second", jump, got)
		}
		c.adjust()
		if !strings.Contains(text.String(), "jump="+jump.String()) {
			t.Errorf("wall set by %v: not reported in %q", jump, text.String())
		}
		// From now on the clock is steered, by 5 ms a second at most.
		before := c.now()
		f.pass(10*time.Second, 0)
		moved, want := c.now()-before, int64(10_050)
		if jump < 0 {
			want = 9_950
		}
		if moved != want {
			t.Errorf("wall set by %v: the clock moved by %d ms in ten seconds, want %d", jump, moved, want)
		}
		text.Reset()
		c.adjust()
		if text.Len() != 0 {
			t.Errorf("wall set by %v: reported twice: %q", jump, text.String())
		}
	}
}

func TestClockFollowsASmallDrift(t *testing.T) {
	f, c := newFakeClock(slog.New(slog.DiscardHandler))
	for range 100 {
		f.pass(time.Second, 100*time.Microsecond) // 100 ppm
		c.adjust()
	}
	if off := f.wallNow.UnixMilli() - c.now(); off < -1 || off > 1 {
		t.Errorf("after 100 s of drift the clock is %d ms off", off)
	}
}

func TestClockNeverGoesBackwards(t *testing.T) {
	c := newClock(slog.New(slog.DiscardHandler))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c.adjust()
			}
		}
	})
	var shared int64
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 20000 {
				mu.Lock()
				now := c.now()
				if now < shared {
					t.Errorf("%d after %d", now, shared)
				}
				shared = now
				mu.Unlock()
				c.now()
			}
		})
	}
	readers.Wait()
	close(stop)
	wg.Wait()
}

func TestClockIsNotBeforeTheLog(t *testing.T) {
	var text bytes.Buffer
	f, c := newFakeClock(slog.New(slog.NewTextHandler(&text, nil)))
	start := c.now()
	c.raise(start - 1)
	if c.now() != start || text.Len() != 0 {
		t.Errorf("a log that is older moved the clock by %d ms, with %q", c.now()-start, text.String())
	}
	c.raise(start + 10_000)
	if got := c.now(); got != start+10_000 || !strings.Contains(text.String(), "behind=10s") {
		t.Errorf("raised by 10 s the clock is %d ms on, with %q", got-start, text.String())
	}
	text.Reset()
	f.pass(time.Second, 0)
	c.adjust() // it goes on, and from here on it is steered back, without another report
	f.pass(time.Second, 0)
	if got := c.now() - start; got != 10_000+1000+995 || text.Len() != 0 {
		t.Errorf("after two more seconds: %d ms, with %q", got, text.String())
	}
}
