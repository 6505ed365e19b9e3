package engine

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeLog is a log in memory whose calls can be held up and made to fail. It reports calls that the engine forbids.
type fakeLog struct {
	t testing.TB

	mu       sync.Mutex // guards the fields below
	v        logView
	cause    error
	failSync error
	failOut  error // of write
	failFill error
	stopped  bool

	syncs, writes, fills, notes    atomic.Int64
	inSync, inWrite, inFill        atomic.Int32
	syncGate, writeGate, fillGate  chan struct{} // nil: not held up; else each call takes one
	syncStarted, writtenDuringSync atomic.Int64
}

func newFakeLog(t testing.TB) *fakeLog { return &fakeLog{t: t, v: logView{state: LogOK}} }

func (f *fakeLog) alone(n *atomic.Int32, what string) func() {
	if n.Add(1) != 1 {
		f.t.Errorf("two goroutines are in %s", what)
	}
	f.mu.Lock()
	if f.stopped {
		f.t.Errorf("%s after the stop", what)
	}
	f.mu.Unlock()
	return func() { n.Add(-1) }
}

func (f *fakeLog) append() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.v.appended++
	return f.v.appended
}

func (f *fakeLog) fail(err error) error {
	f.v.state, f.cause = LogFailed, err
	return err
}

func (f *fakeLog) write(int64) error {
	defer f.alone(&f.inWrite, "write")()
	f.writes.Add(1)
	f.mu.Lock()
	upTo, gate := f.v.appended, f.writeGate
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if f.inSync.Load() > 0 {
		f.writtenDuringSync.Add(1)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failOut != nil {
		return f.fail(f.failOut)
	}
	f.v.written = max(f.v.written, upTo)
	return nil
}

func (f *fakeLog) sync() error {
	defer f.alone(&f.inSync, "sync")()
	f.syncs.Add(1)
	f.mu.Lock()
	upTo, gate := f.v.written, f.syncGate
	f.mu.Unlock()
	f.syncStarted.Add(1)
	if gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failSync != nil {
		return f.fail(f.failSync)
	}
	f.v.durable = upTo
	return nil
}

func (f *fakeLog) note() error {
	defer f.alone(&f.inSync, "note, beside sync,")()
	f.notes.Add(1)
	return nil
}

func (f *fakeLog) fill(uint64) error {
	defer f.alone(&f.inFill, "fill")()
	f.fills.Add(1)
	f.mu.Lock()
	gate := f.fillGate
	f.v.fill = false
	f.mu.Unlock()
	if gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.v.state == LogFailed {
		return f.cause
	}
	f.v.state = LogOK
	if f.failFill != nil {
		f.v.state, f.cause = LogFull, f.failFill
	}
	return f.failFill
}

func (f *fakeLog) look() logView {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.v
}

func (f *fakeLog) reason() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cause
}

// stop is the clean stop: everything is durable, and no call may come afterwards.
func (f *fakeLog) stop() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	f.v.written, f.v.durable = f.v.appended, f.v.appended
	return nil
}

func (f *fakeLog) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// fakeStore is a store with a log and nothing else; the log's drivers run if they are asked for.
func fakeStore(t testing.TB, f *fakeLog, drivers bool) *Store {
	s := &Store{gate: newGate(), stop: make(chan struct{}), level: LevelAlways}
	s.commit = newCommitter(f, func() int64 { return 1 }, false, 0)
	s.commit.open()
	if drivers {
		s.startLogDrivers()
	}
	t.Cleanup(func() { closeFake(s, f) })
	return s
}

// closeFake is what Close does with the log.
func closeFake(s *Store, f *fakeLog) {
	if s.closed.Swap(true) {
		return
	}
	close(s.stop)
	s.wg.Wait()
	if err := s.commit.shut(f.stop); err != nil {
		f.t.Error(err)
	}
	s.commit.release()
}

// counter is a waiter that counts how often it is told.
type counter struct{ told atomic.Int32 }

func (c *counter) Durable() { c.told.Add(1) }

// eventually fails the test if done doesn't come; it is for goroutines that would hang.
func eventually(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("waited too long for %s", what)
	}
}
