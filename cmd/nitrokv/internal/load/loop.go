package load

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A loop drives its share of the connections on one thread. Between phases nothing is under way.
type loop struct {
	cfg      *Config
	number   int
	conns    []*conn
	clock    func() int64
	stop     *atomic.Bool // set by the run: end early
	poll     *poller
	wire     wire
	rng      rng
	picker   keyPicker
	values   *values
	in       *insertions // workload D: the keys that are new; else nil
	other    op          // what is done when not reading
	versions []uint32    // verifying: the last version sent per key; an element belongs to the key's connection

	plan      plan
	stats     *stats
	underWay  int     // requests that wait for a reply
	unsent    int     // open loop: requests that are due and wait for room in their pipeline
	dirty     []*conn // open loop: connections for which requests became due
	unchecked bool    // an error reply has come: a write may not have happened, so exact versions aren't known
	answered  atomic.Int64
	lastCheck int64
}

// tick is how often a loop looks at the stop flag and for connections that hang, and how long it sleeps at most.
const tick = 100 * time.Millisecond

// run carries out one phase. Every loop locks its thread, so that the CPU time it reports is its own.
func (l *loop) run(p *phase) (*stats, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := sharpTimers(); err != nil {
		return nil, err
	}
	l.begin(p)
	cpu, err := threadCPU()
	if err != nil {
		return nil, err
	}
	if err := l.drive(); err != nil {
		return nil, err
	}
	after, err := threadCPU()
	if err != nil {
		return nil, err
	}
	l.stats.user, l.stats.system = after.user-cpu.user, after.system-cpu.system
	l.stats.last = l.clock()
	return l.stats, nil
}

func (l *loop) begin(p *phase) {
	l.plan = newPlan(p, l.number, l.cfg.Threads)
	l.stats = &stats{}
	l.lastCheck = p.start
	for _, c := range l.conns {
		c.next, c.arrived = 0, 0
	}
}

// drive sends and receives until the phase is over and nothing is under way.
func (l *loop) drive() error {
	now := l.clock()
	for _, c := range l.conns {
		if err := l.refill(c, now); err != nil {
			return err
		}
	}
	for {
		if l.plan.rate > 0 {
			if err := l.arrive(now); err != nil {
				return err
			}
		}
		if l.finished(now) {
			return nil
		}
		events, err := l.poll.wait(l.sleep(now))
		if err != nil {
			return fmt.Errorf("wait for replies: %w", err)
		}
		for i := range events {
			if err := l.handle(&events[i]); err != nil {
				return err
			}
		}
		if now = l.clock(); now-l.lastCheck >= int64(tick) {
			l.lastCheck = now
			if err := l.check(now); err != nil {
				return err
			}
		}
	}
}

// handle moves a connection on as far as it goes without waiting.
func (l *loop) handle(e *unix.EpollEvent) error {
	c := l.conns[e.Fd]
	if e.Events&unix.EPOLLOUT != 0 {
		if err := l.flush(c); err != nil {
			return err
		}
	}
	if e.Events&^unix.EPOLLOUT == 0 {
		return nil
	}
	n, err := c.read()
	if err != nil {
		return l.fail(c, err)
	}
	if n == 0 {
		return nil
	}
	now := l.clock()
	c.activeAt = now
	l.stats.received += int64(n)
	if err := l.replies(c, now); err != nil {
		return l.fail(c, err)
	}
	if len(c.out) > 0 && !c.polling { // the second halves of read-modify-writes
		if err := l.flush(c); err != nil {
			return err
		}
	}
	return l.refill(c, now)
}

// refill sends what the connection has to send next.
func (l *loop) refill(c *conn, now int64) error {
	idle := c.waiting == 0
	if !l.fillRequests(c, now) {
		return nil
	}
	// Encoding takes a while; a closed loop's latency starts when the request leaves.
	c.batchAt = l.clock()
	if idle {
		c.activeAt = c.batchAt
	}
	return l.flush(c)
}

func (l *loop) flush(c *conn) error {
	n, err := c.write()
	if err != nil {
		return l.fail(c, err)
	}
	l.stats.sent += int64(n)
	if more := len(c.out) > 0; more != c.polling {
		c.polling = more
		if err := l.poll.watch(c, more); err != nil {
			return fmt.Errorf("watch connection %d: %w", c.number+1, err)
		}
	}
	return nil
}

// over says that the phase makes no more requests.
func (l *loop) over(now int64) bool { return now >= l.plan.end || l.stop.Load() }

// finished reports whether nothing is under way and nothing is left to be sent.
func (l *loop) finished(now int64) bool {
	switch {
	case l.underWay > 0:
		return false
	case l.stop.Load():
		return true
	case l.plan.rate > 0:
		return l.unsent == 0 && (l.over(now) || l.allArrived())
	default:
		return true // a closed loop with nothing under way has nothing to send: refill would have sent it
	}
}

// check notices a server that doesn't answer, and gives up an open loop's backlog after the grace.
func (l *loop) check(now int64) error {
	for _, c := range l.conns {
		if c.waiting > 0 && now-c.activeAt > int64(l.cfg.Timeout) {
			return l.fail(c, l.silence(c))
		}
	}
	if l.plan.rate > 0 && (l.stop.Load() || now > l.plan.end && now-l.plan.end > int64(grace)) {
		l.abandon(now)
	}
	return nil
}

// silence is the error about a server that doesn't answer.
func (l *loop) silence(c *conn) error {
	err := fmt.Errorf("no reply for %v while %d requests wait", l.cfg.Timeout, c.waiting)
	if l.cfg.Protocol == Binary && l.stats.received == 0 {
		err = fmt.Errorf("%w; other servers than NitroKV need --protocol resp", err)
	}
	return err
}

// sleep returns how long to wait for replies: to the next request that becomes due, or a tick.
func (l *loop) sleep(now int64) time.Duration {
	if l.plan.rate == 0 || l.over(now) || l.allArrived() {
		return tick
	}
	due := l.plan.due(l.arrival(l.plan.arrivals))
	return min(max(time.Duration(due-l.clock()), 0), tick)
}

// fail names the connection and, if the server has sent an error, what it said.
func (l *loop) fail(c *conn, err error) error {
	err = fmt.Errorf("connection %d of %d to %s: %w", c.number+1, l.cfg.Clients, l.cfg.Addr, err)
	if l.stats.firstError != "" {
		err = fmt.Errorf("%w; before that it answered %q", err, l.stats.firstError)
	}
	return err
}

func (l *loop) close() error {
	err := l.poll.close()
	for _, c := range l.conns {
		err = errors.Join(err, c.close())
	}
	return err
}
