package engine

import (
	"syscall"
	"time"
)

// How a snapshot leaves requests their share of the processors.
const (
	// busyShare of one processor, used by the rest of the process, makes it worth to be considerate.
	busyShare = 0.25
	// pauseFactor is how long a snapshot then pauses for the time that it has worked.
	pauseFactor = 7
	pauseMost   = 5 * time.Millisecond
)

// pacer keeps background work from delaying requests: it pauses after each piece if the rest of the process was busy
// meanwhile. On an idle machine it doesn't. Its goroutine is locked to a thread, so that its own work can be told from
// that of others.
type pacer struct {
	clock pacerClock
	at    time.Duration // when the piece began
	used  time.Duration // by others until then
}

// pacerClock is what a pacer sees of the world.
type pacerClock struct {
	now    func() time.Duration // since some moment
	others func() time.Duration // processor time that the other threads have used
	sleep  func(time.Duration)
}

func newPacer() *pacer {
	begin := time.Now()
	return startPacer(pacerClock{func() time.Duration { return time.Since(begin) }, othersTime, time.Sleep})
}

func startPacer(c pacerClock) *pacer { return &pacer{c, c.now(), c.others()} }

// pause ends a piece of work and begins the next one; urgent work goes on at once.
func (p *pacer) pause(urgent bool) {
	worked := p.clock.now() - p.at
	if others := p.clock.others() - p.used; !urgent && others > time.Duration(busyShare*float64(worked)) {
		p.clock.sleep(min(pauseFactor*worked, pauseMost))
	}
	p.at, p.used = p.clock.now(), p.clock.others()
}

// othersTime is the processor time that all threads but this one have used; 0, and so never busy, if the system doesn't
// tell.
func othersTime() time.Duration {
	var all, own syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &all) != nil || syscall.Getrusage(rusageThread, &own) != nil {
		return 0
	}
	return time.Duration(all.Utime.Nano() + all.Stime.Nano() - own.Utime.Nano() - own.Stime.Nano())
}

const rusageThread = 1 // RUSAGE_THREAD of Linux, which package syscall doesn't have
