package engine

import (
	"runtime"
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name           string
		worked, others time.Duration
		urgent         bool
		want           time.Duration
	}{
		{"alone", ms, 0, false, 0},
		{"beside little", ms, ms / 5, false, 0},
		{"beside a busy server", ms / 2, ms / 4, false, pauseFactor * ms / 2},
		{"beside two busy processors", ms / 2, 2 * ms, false, pauseFactor * ms / 2},
		{"a long piece", 40 * ms, 20 * ms, false, pauseMost},
		{"writers wait", ms, 2 * ms, true, 0},
	} {
		var now, others, slept time.Duration
		p := startPacer(pacerClock{
			now:    func() time.Duration { return now },
			others: func() time.Duration { return others },
			sleep:  func(d time.Duration) { slept += d; now += d; others += d },
		})
		for piece := range 3 { // what others do during a pause is not held against the next piece
			slept = 0
			now, others = now+c.worked, others+c.others
			p.pause(c.urgent)
			if slept != c.want {
				t.Errorf("%s, piece %d: paused for %v, want %v", c.name, piece, slept, c.want)
			}
		}
	}
}

func TestOthersTime(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := othersTime()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for begin := time.Now(); time.Since(begin) < 20*time.Millisecond || othersTime() == 0; {
		}
	}()
	<-done
	if after := othersTime(); after <= before {
		t.Errorf("another thread has worked, but what others have used went from %v to %v", before, after)
	}
}
