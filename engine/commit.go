package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Commit
//
// The engine appends every effect to the log in memory and gives it an LSN. Three calls of the engine bring the log to
// the disk, and here is who makes them, when, and who waits for what:
//
//	appended ≥ written ≥ durable; write: appended → written; sync: written → durable; fill: room ahead of appended
//
// A reply may go out when the LSN that it shows is durable (level always) or written (the others). Ten thousand
// connections that wait are ten thousand entries of a queue, not threads in C: at most one thread is in each of the
// three calls.
//
// There is no thread that owns the log. Whoever needs something done and finds nobody at it does it himself, so that a
// lone client's write is one write and one sync on the goroutine that serves it, without any hand-over. Whoever finds
// somebody at it queues up, and the syncer (drive.go) takes care of the queue: a sync covers all that was written when
// it began, so those who came during one sync share the next one. That is group commit; it needs no timer, because a
// slower disk gathers a larger group by itself.
//
//	(1) `turn` is held by who syncs or notes, `writing` by who writes, `filling` by who fills, or
//	    changes what the folder holds (snaptake.go): the engine wants one thread at a time in each. Who needs several
//	    takes them in that order; mu is a leaf.
//	(2) After each of these calls `publish` copies the log's view to the fields below; LSNs there only ever grow. So
//	    everybody else reads Go memory, which also outlives the store.
//	(3) The log is opened, and stopped, with all three locks held, and under each of them refusal is asked before the
//	    engine is called: no call is made before the log is open, nor during and after nitro_log_stop.
//	(4) Nobody is forgotten: a waiter is put into the queue under mu if his LSN is not yet durable, and asks the syncer
//	    afterwards. Durable is raised before the queue is looked through under mu. So either the waiter sees the new
//	    value, or he is found in the queue, or the syncer, which has been asked, finds him.
//	(5) Failures are final. `failure` is set once, before the queue is looked through for the last time; everybody in
//	    it is released, nobody gets into it again. What was durable before stays durable.
//	(6) A waiter is released exactly once, by a releaser and not by who has synced: that one goes on to the next sync
//	    while the replies of the last are on their way to the sockets.
//	(7) `unsynced` is the time of the oldest record of level everysec that no sync has begun to cover, `syncing` that of
//	    the oldest one that a running sync covers. A record is written before it is marked, and the mark is moved
//	    before the sync begins; so a mark is dropped only after its record is durable.
//
// With Options.ManualSteps there are no drivers: who waits does the work, and releases the others himself.
type committer struct {
	log     journal
	now     func() int64  // the store's time
	manual  bool          // no drivers
	promise time.Duration // the longest that a record of level everysec may stay unsynced

	turn    sync.Mutex    // held to sync and to note; order: gate → turn → writing → filling → mu
	writing sync.Mutex    // held to write
	filling sync.Mutex    // held to fill, and to change what the folder holds
	opened  bool          // guarded by all three: set with all of them held, read with any
	fills   atomic.Uint64 // fills that are over; raised under filling

	written, durable atomic.Uint64
	state            atomic.Uint32              // a LogState
	lack             atomic.Uint32              // a LogLack
	trouble          atomic.Pointer[error]      // why the state is LogFull or LogFailed
	failure          atomic.Pointer[logFailure] // nil until the log has failed or the store is closed
	failed           chan struct{}              // closed when the log has failed

	crowd atomic.Bool // the last round wrote more than one record: yielding before the next one gathers more

	syncs Latency // of the calls of sync that have succeeded

	started           time.Time
	unsynced, syncing atomic.Int64 // nanoseconds since started; 0: none

	mu      sync.Mutex // guards the fields below
	waiting []waiter   // until their LSN is durable
	ready   []Waiter   // to be released; those before readyAt have been
	readyAt int

	wantSync, wantFill, wantRelease chan struct{} // one kick each

	noted time.Time // when note was called last; guarded by turn
}

// journal is what the committer needs of the engine's log: the calls of nitro.h with the same names, and the view.
type journal interface {
	write(now int64) error
	sync() error
	note() error
	fill(need uint64) error
	look() logView
	reason() error // why there is no room, or what has failed
}

// logView is struct nitro_log_view at one moment.
type logView struct {
	appended, written, durable uint64
	state                      LogState
	lack                       LogLack
	fill                       bool // the filler should come
}

// newCommitter returns one that makes no call of the log until it is opened. A promise of 0 is a second's.
func newCommitter(log journal, now func() int64, manual bool, promise time.Duration) *committer {
	if promise == 0 {
		promise = everysec
	}
	return &committer{log: log, now: now, manual: manual, promise: promise,
		failed: make(chan struct{}), started: time.Now(),
		wantSync: make(chan struct{}, 1), wantFill: make(chan struct{}, 1), wantRelease: make(chan struct{}, 1)}
}

// bar locks everybody out of the log; unbar, or the end, lets them see what has changed.
func (c *committer) bar() {
	c.turn.Lock()
	c.writing.Lock()
	c.filling.Lock()
}

func (c *committer) unbar() {
	c.filling.Unlock()
	c.writing.Unlock()
	c.turn.Unlock()
}

// open begins the use of the log.
func (c *committer) open() {
	c.bar()
	defer c.unbar()
	c.opened = true
	c.publish()
}

// shut ends it: stop, unless it is nil, makes everything durable. Afterwards nobody is in the queue, and those who
// were can be released.
func (c *committer) shut(stop func() error) (err error) {
	c.bar()
	defer c.unbar()
	if stop != nil {
		err = stop()
		c.publish()
	}
	c.mu.Lock()
	if c.failure.Load() == nil {
		c.failure.Store(newLogFailure(ErrClosed))
	}
	c.mu.Unlock()
	c.settle()
	return err
}

// publish copies the log's view; the caller holds turn, writing or filling, and the store is open.
func (c *committer) publish() {
	v := c.log.look()
	raise(&c.written, v.written)
	raise(&c.durable, v.durable)
	if uint32(v.state) != c.state.Load() || v.state == LogFull && uint32(v.lack) != c.lack.Load() {
		c.changeState()
	}
	if v.fill {
		kick(c.wantFill)
	}
}

// raise sets a to v unless it is there already.
func raise(a *atomic.Uint64, v uint64) {
	for old := a.Load(); old < v; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}

// kick asks a driver to come; it will, even if it is busy now.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// decided reports whether waiting for lsn is over, one way or the other; outcome says which.
func (c *committer) decided(lsn uint64) bool {
	return c.durable.Load() >= lsn || c.failure.Load() != nil
}

func (c *committer) outcome(lsn uint64) error {
	if c.durable.Load() >= lsn {
		return nil
	}
	if f := c.failure.Load(); f != nil {
		return f.notDurable
	}
	return nil
}

// writeUpTo makes lsn written, unless somebody else has while the lock was awaited.
func (c *committer) writeUpTo(lsn uint64) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.written.Load() >= lsn {
		return nil
	}
	if err := c.refusal(); err != nil {
		return err
	}
	err := c.log.write(c.now())
	c.publish()
	return c.verdict(err)
}

// round writes and syncs once, and looks through the queue. The caller holds turn.
func (c *committer) round() error {
	before := c.written.Load()
	if err := c.writeUpTo(everything); err != nil {
		return err
	}
	c.crowd.Store(c.written.Load() > before+1)
	if mark := c.unsynced.Load(); mark != 0 { // nobody else changes a mark that is not 0
		c.syncing.Store(mark)
		c.unsynced.Store(0)
	}
	began := time.Now()
	err := c.log.sync()
	took := time.Since(began)
	c.publish()
	if err != nil {
		return c.verdict(err)
	}
	c.syncs.Add(took, 1)
	c.syncing.Store(0)
	c.settle()
	return nil
}

// commit makes lsn durable, if it can be. The caller holds turn.
func (c *committer) commit(lsn uint64) {
	for !c.decided(lsn) {
		before := c.durable.Load()
		if c.round() != nil || c.durable.Load() == before {
			return
		}
	}
}

// serve syncs as long as somebody waits: the syncer's work.
func (c *committer) serve() {
	c.turn.Lock()
	defer c.turn.Unlock()
	for c.awaited() {
		before := c.durable.Load()
		if c.round() != nil || c.durable.Load() == before {
			return // failed, or what they wait for has not been appended
		}
		c.noteIfDue()
	}
}

// tick is how often the syncer looks what there is to sync.
func (c *committer) tick() time.Duration { return min(c.promise/2, syncTickMost) }

// background is what the syncer does when nobody waits: records of level everysec, before half of the promise is over;
// others, every few seconds; and CONTROL is told how far the log is durable.
func (c *committer) background(others bool) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.refusal() != nil {
		return
	}
	// With the next tick half of the promise would be over; the other half is for the sync.
	due := c.aged(&c.unsynced, c.promise/2-c.tick())
	if due || others && c.log.look().appended > c.durable.Load() {
		if c.round() != nil {
			return
		}
	}
	c.noteIfDue()
}

// noteIfDue tells CONTROL the durable LSN once a second, which costs nothing when it knows. The caller holds turn. The
// error is dropped here because it is the log's: publish has seen it.
func (c *committer) noteIfDue() {
	if time.Since(c.noted) < noteEvery || c.refusal() != nil {
		return
	}
	_ = c.log.note()
	c.noted = time.Now()
	c.publish()
}

// TryCommit makes lsn durable on the calling goroutine, with a write and a sync that others share, if nobody else is
// syncing now; then, or if that was decided already, it returns true: lsn is durable, or the log has failed. It
// returns false at once when somebody is syncing. A caller that would rather do the work than wait tries this before
// Notify.
func (s *Store) TryCommit(lsn uint64) bool {
	c := s.commit
	if c.decided(lsn) {
		return true
	}
	if !c.turn.TryLock() {
		return false
	}
	// Those who are ready to run get to append first; they find the turn taken and queue up for the sync. A lone client
	// has nobody to yield to, and the scheduler's search for somebody would cost it as much as the rest of its request.
	if c.crowd.Load() {
		runtime.Gosched()
	}
	c.commit(lsn)
	c.turn.Unlock()
	if c.manual {
		c.release()
	}
	return c.decided(lsn) // false for an LSN that has not been appended yet
}

// WaitWritten returns when lsn is written, that is when killing the process can't take it back: after one write to a
// file at most, which it makes itself unless somebody else has. At LevelEverysec lsn will be durable within a second, or
// what Options.SyncInterval says.
// ErrNotDurable: the log has failed before.
func (s *Store) WaitWritten(lsn uint64, l Level) error {
	c := s.commit
	if c.written.Load() < lsn {
		runtime.Gosched() // others may append meanwhile: their records go into the same write
		if err := c.writeUpTo(lsn); err != nil {
			return err
		}
	}
	if l == LevelEverysec && c.durable.Load() < lsn && c.unsynced.Load() == 0 {
		c.unsynced.CompareAndSwap(0, max(int64(time.Since(c.started)), 1))
	}
	return nil
}

// Throttle parks a caller that is about to write at LevelEverysec while the oldest record of that level that is not
// durable is a second old (Options.SyncInterval): that is how "a second at most" is kept when the disk can't follow.
// Otherwise it returns at once.
func (s *Store) Throttle(l Level) {
	c := s.commit
	if l != LevelEverysec || c.unsynced.Load() == 0 && c.syncing.Load() == 0 {
		return
	}
	for c.late() {
		if s.waitDurable(c.written.Load()) != nil {
			return // the write that comes next meets the same failure, and reports it
		}
	}
}

// late reports whether the oldest everysec record that is not durable is too old.
func (c *committer) late() bool {
	return c.aged(&c.syncing, c.promise) || c.aged(&c.unsynced, c.promise)
}

// aged reports whether there is a mark, and it is at least so old.
func (c *committer) aged(mark *atomic.Int64, age time.Duration) bool {
	at := mark.Load()
	return at != 0 && int64(time.Since(c.started))-at >= int64(age)
}
