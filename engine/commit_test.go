package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var errDisk = errors.New("the disk is broken")

// noErr is must for goroutines that the test waits for.
func noErr(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// start runs fn and says when it has returned.
func start(fn func()) <-chan struct{} {
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	return done
}

// queued is how many wait.
func queued(s *Store) int {
	s.commit.mu.Lock()
	defer s.commit.mu.Unlock()
	return len(s.commit.waiting)
}

// TestCommitAlone: a lone caller needs no driver, and pays one write and one sync.
func TestCommitAlone(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	lsn := f.append()
	if !s.TryCommit(lsn) || s.Durable() != lsn || s.Written() != lsn {
		t.Errorf("durable %d, written %d, want %d", s.Durable(), s.Written(), lsn)
	}
	must(t, s.WaitDurable(t.Context(), f.append()))
	must(t, s.WaitDurable(t.Context(), lsn))
	if f.syncs.Load() != 2 || f.writes.Load() != 2 {
		t.Errorf("%d syncs and %d writes for two commits", f.syncs.Load(), f.writes.Load())
	}
}

// TestCommitShares: those who come during a sync share the next one, and none of them returns before that.
func TestCommitShares(t *testing.T) {
	f := newFakeLog(t)
	f.syncGate = make(chan struct{})
	s := fakeStore(t, f, true)
	const waiters = 50
	var early atomic.Int32
	first := start(func() { _ = s.WaitDurable(context.Background(), f.append()) })
	waitFor(t, "the first sync", func() bool { return f.syncStarted.Load() == 1 })
	var wg sync.WaitGroup
	for range waiters {
		lsn := f.append()
		wg.Go(func() {
			if err := s.WaitDurable(context.Background(), lsn); err != nil || s.Durable() < lsn {
				early.Add(1)
			}
		})
	}
	waitFor(t, "the queue", func() bool { return queued(s) == waiters })
	if s.TryCommit(f.append()) {
		t.Error("TryCommit found nobody syncing")
	}
	f.syncGate <- struct{}{}
	eventually(t, "the first waiter", first)
	f.syncGate <- struct{}{}
	eventually(t, "the others", start(wg.Wait))
	if early.Load() != 0 {
		t.Errorf("%d waiters returned before their LSN was durable", early.Load())
	}
	if n := f.syncs.Load(); n != 2 {
		t.Errorf("%d syncs for 1 + %d waiters, want 2", n, waiters)
	}
	close(f.syncGate)
}

// TestWaiterAsksForASync: who finds somebody syncing asks the syncer, once for all who wait.
func TestWaiterAsksForASync(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	s.commit.turn.Lock()
	var told counter
	s.Notify(f.append(), &told)
	waiter := start(func() { noErr(t, s.WaitDurable(context.Background(), f.append())) })
	waitFor(t, "the waiter", func() bool { return queued(s) == 2 })
	s.commit.turn.Unlock()
	select {
	case <-s.commit.wantSync:
	default:
		t.Fatal("the syncer was not asked")
	}
	s.commit.serve()
	if len(s.commit.wantRelease) != 1 || told.told.Load() != 0 {
		t.Error("released by the syncer, not by a releaser")
	}
	s.commit.release()
	eventually(t, "the waiter", waiter)
	if told.told.Load() != 1 || f.syncs.Load() != 1 {
		t.Errorf("told %d times after %d syncs", told.told.Load(), f.syncs.Load())
	}
}

// TestWritesOverlapSyncs: the lower levels don't wait for a sync that is under way.
func TestWritesOverlapSyncs(t *testing.T) {
	f := newFakeLog(t)
	f.syncGate = make(chan struct{})
	s := fakeStore(t, f, true)
	first := start(func() { _ = s.WaitDurable(context.Background(), f.append()) })
	waitFor(t, "the sync", func() bool { return f.syncStarted.Load() == 1 })
	lsn := f.append()
	eventually(t, "a write at level never", start(func() { noErr(t, s.WaitWritten(lsn, LevelNever)) }))
	if s.Written() != lsn || s.Durable() >= lsn || f.writtenDuringSync.Load() != 1 {
		t.Errorf("written %d, durable %d, %d writes during the sync", s.Written(), s.Durable(), f.writtenDuringSync.Load())
	}
	close(f.syncGate)
	eventually(t, "the sync", first)
}

// TestCommitNobodyIsForgotten runs all ways to wait against each other. A waiter that is lost hangs the test.
func TestCommitNobodyIsForgotten(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, true)
	const each = 2000
	var wg sync.WaitGroup
	var told atomic.Int64
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				lsn := f.append()
				switch rng.IntN(5) {
				case 0:
					if err := s.WaitDurable(context.Background(), lsn); err != nil || s.Durable() < lsn {
						t.Errorf("WaitDurable(%d): %v with durable %d", lsn, err, s.Durable())
					}
				case 1:
					s.TryCommit(lsn)
				case 2:
					ctx, cancel := context.WithCancel(context.Background())
					go cancel()
					if err := s.WaitDurable(ctx, lsn); err == nil && s.Durable() < lsn {
						t.Errorf("WaitDurable(%d) with durable %d", lsn, s.Durable())
					}
				case 3:
					if err := s.WaitWritten(lsn, LevelEverysec); err != nil || s.Written() < lsn {
						t.Errorf("WaitWritten(%d): %v with written %d", lsn, err, s.Written())
					}
				case 4:
					s.Notify(lsn, &expectation{t: t, s: s, lsn: lsn, told: &told})
					told.Add(-1)
				}
				if rng.IntN(100) == 0 {
					noErr(t, s.MakeRoom(1))
				}
			}
		})
	}
	eventually(t, "the waiters", start(wg.Wait))
	waitFor(t, "the notifications", func() bool { return told.Load() == 0 })
}

// expectation is a waiter that looks whether it has been told in time, and once.
type expectation struct {
	t    testing.TB
	s    *Store
	lsn  uint64
	told *atomic.Int64
	n    atomic.Int32
}

func (e *expectation) Durable() {
	if e.n.Add(1) != 1 || e.s.Durable() < e.lsn {
		e.t.Errorf("told %d times about LSN %d with durable %d", e.n.Load(), e.lsn, e.s.Durable())
	}
	e.told.Add(1)
}

func TestWaitDurableIsCancelled(t *testing.T) {
	f := newFakeLog(t)
	f.syncGate = make(chan struct{})
	s := fakeStore(t, f, true)
	first := start(func() { _ = s.WaitDurable(context.Background(), f.append()) })
	waitFor(t, "the sync", func() bool { return f.syncStarted.Load() == 1 })
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		lsn := f.append()
		time.AfterFunc(time.Millisecond, cancel)
		wantErr(t, "a cancelled wait", s.WaitDurable(ctx, lsn), context.Canceled)
		wantErr(t, "a wait cancelled before", s.WaitDurable(ctx, lsn), context.Canceled)
	}
	// Cancelled waiters are told later; whoever waits then must not take that for his own.
	lsn := f.append()
	second := start(func() {
		if err := s.WaitDurable(context.Background(), lsn); err != nil || s.Durable() < lsn {
			t.Errorf("after the cancelled ones: %v, durable %d, want %d", err, s.Durable(), lsn)
		}
	})
	close(f.syncGate)
	eventually(t, "the first", first)
	eventually(t, "the last", second)
}

// TestSyncFailureIsFinal is the table of 0003 at a failed sync: who is parked, who comes later, and what was durable.
func TestSyncFailureIsFinal(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, true)
	durable := f.append()
	must(t, s.WaitDurable(t.Context(), durable))

	f.syncGate = make(chan struct{})
	f.failSync = errDisk
	var told counter
	inFlight, parked := f.append(), f.append()
	first := start(func() { wantErr(t, "in flight", s.WaitDurable(context.Background(), inFlight), ErrNotDurable) })
	waitFor(t, "the sync", func() bool { return f.syncStarted.Load() == 2 })
	s.Notify(parked, &told)
	second := start(func() { wantErr(t, "parked", s.WaitDurable(context.Background(), parked), errDisk) })
	written := f.append()
	must(t, s.WaitWritten(written, LevelNever))
	close(f.syncGate)
	eventually(t, "the one in flight", first)
	eventually(t, "the parked one", second)
	waitFor(t, "the notification", func() bool { return told.told.Load() == 1 })

	syncs := f.syncs.Load()
	f.set(func() { f.failSync = nil }) // the kernel says that all is well now: not to be believed
	must(t, s.WaitDurable(t.Context(), durable))
	must(t, s.WaitWritten(written, LevelNever))
	wantErr(t, "written, not durable", s.WaitDurable(t.Context(), written), ErrNotDurable)
	wantErr(t, "not even written", s.WaitWritten(f.append(), LevelNever), ErrNotDurable)
	wantErr(t, "sync", s.Sync(t.Context()), ErrNotDurable)
	wantErr(t, "room", s.MakeRoom(1), ErrNotDurable)
	s.Notify(parked, &told)
	if told.told.Load() != 2 {
		t.Errorf("told %d times, want at once", told.told.Load())
	}
	s.commit.background(true)
	if f.syncs.Load() != syncs || s.LogState() != LogFailed || !errors.Is(s.LogError(), errDisk) {
		t.Errorf("%d more syncs, state %v, error %v", f.syncs.Load()-syncs, s.LogState(), s.LogError())
	}
	wantErr(t, "a write in flight", s.commit.unknown(nil), ErrUnknownOutcome)
	wantErr(t, "a later write", s.commit.readOnly(), ErrReadOnly)
}

func TestWriteFailureIsFinal(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, true)
	f.failOut = errDisk
	lsn := f.append()
	wantErr(t, "in flight", s.WaitWritten(lsn, LevelNever), ErrNotDurable)
	wantErr(t, "at always", s.WaitDurable(t.Context(), lsn), errDisk)
	if f.writes.Load() != 1 || f.syncs.Load() != 0 {
		t.Errorf("%d writes, %d syncs, want 1 and 0", f.writes.Load(), f.syncs.Load())
	}
}

func TestLogFailureIsReportedOnce(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, true)
	reports := make(chan error, 10)
	s.opt.OnLogFailure = func(err error) { reports <- err }
	s.wg.Go(s.reportFailure)
	f.failSync = errDisk
	for range 3 {
		wantErr(t, "wait", s.WaitDurable(t.Context(), f.append()), ErrNotDurable)
	}
	select {
	case err := <-reports:
		wantErr(t, "report", err, errDisk)
	case <-time.After(20 * time.Second):
		t.Fatal("no report")
	}
	closeFake(s, f)
	if len(reports) != 0 {
		t.Errorf("%d more reports", len(reports))
	}
}

// TestBackground: what nobody waits for. Everysec records are synced at each tick, others at some.
func TestBackground(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	never := f.append()
	must(t, s.WaitWritten(never, LevelNever))
	s.commit.background(false)
	if s.Durable() != 0 {
		t.Error("a tick has synced a record of level never")
	}
	s.commit.background(true)
	if s.Durable() != never {
		t.Errorf("durable %d, want %d", s.Durable(), never)
	}
	everysec := f.append()
	must(t, s.WaitWritten(everysec, LevelEverysec))
	s.commit.background(false)
	if s.Durable() != everysec {
		t.Errorf("durable %d, want %d", s.Durable(), everysec)
	}
	syncs := f.syncs.Load()
	s.commit.background(true)
	if f.syncs.Load() != syncs {
		t.Error("a sync with nothing to do")
	}
	if f.notes.Load() != 1 {
		t.Errorf("%d notes within a second, want 1", f.notes.Load())
	}
}

// TestEverysecIsSyncedByTheDriver: nobody asks, and it is durable soon.
func TestEverysecIsSyncedByTheDriver(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, true)
	lsn, begin := f.append(), time.Now()
	must(t, s.WaitWritten(lsn, LevelEverysec))
	waitFor(t, "the tick", func() bool { return s.Durable() == lsn })
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("durable after %v", took)
	}
}

func TestThrottle(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	lsn := f.append()
	must(t, s.WaitWritten(lsn, LevelEverysec))
	s.Throttle(LevelEverysec)
	s.Throttle(LevelNever)
	if f.syncs.Load() != 0 {
		t.Error("a fresh record throttles")
	}
	s.commit.started = s.commit.started.Add(-everysec) // now it is a second old
	s.Throttle(LevelNever)
	s.Throttle(LevelAlways)
	if f.syncs.Load() != 0 {
		t.Error("other levels are throttled")
	}
	s.Throttle(LevelEverysec)
	if s.Durable() != lsn {
		t.Errorf("throttle returned with durable %d, want %d", s.Durable(), lsn)
	}

	// Records that a slow sync is about to cover throttle, too.
	f.syncGate = make(chan struct{})
	must(t, s.WaitWritten(f.append(), LevelEverysec))
	s.startLogDrivers()
	slow := start(func() { _ = s.WaitDurable(context.Background(), s.Written()) })
	waitFor(t, "the slow sync", func() bool { return f.syncStarted.Load() == 2 })
	s.commit.syncing.Store(1)
	parked := start(func() { s.Throttle(LevelEverysec) })
	waitFor(t, "the writer to park", func() bool { return queued(s) == 1 })
	close(f.syncGate)
	eventually(t, "the slow sync", slow)
	eventually(t, "the throttled writer", parked)
}

// TestSyncInterval: another promise than a second's is kept by the driver, and by writers that wait.
func TestSyncInterval(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	s.commit.promise = time.Minute
	if tick := s.commit.tick(); tick != syncTickMost {
		t.Errorf("a tick of %v", tick)
	}
	lsn := f.append()
	must(t, s.WaitWritten(lsn, LevelEverysec))
	s.commit.background(false)
	s.Throttle(LevelEverysec)
	if f.syncs.Load() != 0 {
		t.Error("a sync long before it is due")
	}
	s.commit.started = s.commit.started.Add(-30 * time.Second) // the record is so much older now
	s.Throttle(LevelEverysec)
	if f.syncs.Load() != 0 {
		t.Error("a writer is held up before the minute is over")
	}
	s.commit.background(false)
	if s.Durable() != lsn {
		t.Errorf("durable %d at half of the interval, want %d", s.Durable(), lsn)
	}
	lsn = f.append()
	must(t, s.WaitWritten(lsn, LevelEverysec))
	s.commit.started = s.commit.started.Add(-time.Minute)
	s.Throttle(LevelEverysec)
	if s.Durable() != lsn {
		t.Errorf("durable %d after the interval, want %d", s.Durable(), lsn)
	}
}

// TestShortSyncInterval: the driver's ticks follow it.
func TestShortSyncInterval(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	s.commit.promise = 20 * time.Millisecond
	if tick := s.commit.tick(); tick != 10*time.Millisecond {
		t.Errorf("a tick of %v", tick)
	}
	s.startLogDrivers()
	for range 3 {
		lsn := f.append()
		must(t, s.WaitWritten(lsn, LevelEverysec))
		waitFor(t, "the tick", func() bool { return s.Durable() == lsn })
	}
}

func TestMakeRoomIsShared(t *testing.T) {
	f := newFakeLog(t)
	f.fillGate = make(chan struct{})
	s := fakeStore(t, f, false)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { noErr(t, s.MakeRoom(100)) })
	}
	waitFor(t, "all of them", func() bool { return f.writes.Load() == 20 })
	close(f.fillGate)
	eventually(t, "room", start(wg.Wait))
	if n := f.fills.Load(); n != 1 {
		t.Errorf("%d fills, want 1", n)
	}
}

// TestMakeRoomOnAFullDisk: writers get an error at once, and the filler heals it.
func TestMakeRoomOnAFullDisk(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, true)
	full := fmt.Errorf("no space left: %w", ErrLogFull)
	f.failFill = full
	wantErr(t, "the first", s.MakeRoom(1), ErrLogFull)
	if s.LogState() != LogFull || !errors.Is(s.LogError(), full) {
		t.Errorf("state %v, error %v", s.LogState(), s.LogError())
	}
	fills := f.fills.Load()
	for range 100 {
		wantErr(t, "the others", s.MakeRoom(1), ErrLogFull)
	}
	if n := f.fills.Load() - fills; n > 10 {
		t.Errorf("%d fills for a hundred writers on a full disk", n)
	}
	must(t, s.WaitDurable(t.Context(), f.append())) // what has been appended goes on
	f.set(func() { f.failFill = nil; f.v.fill = true })
	must(t, s.WaitDurable(t.Context(), f.append()))
	waitFor(t, "room again", func() bool { return s.LogState() == LogOK })
	must(t, s.MakeRoom(1))
	if err := s.LogError(); err != nil {
		t.Errorf("healed, and still: %v", err)
	}
}

// TestShutReleasesEverybody: the clean stop makes durable what is waited for.
func TestShutReleasesEverybody(t *testing.T) {
	f := newFakeLog(t)
	f.syncGate = make(chan struct{})
	s := fakeStore(t, f, true)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { noErr(t, s.WaitDurable(context.Background(), f.append())) })
	}
	waitFor(t, "the sync, and the others behind it", func() bool {
		s.commit.mu.Lock()
		defer s.commit.mu.Unlock()
		return f.syncStarted.Load() == 1 && len(s.commit.waiting) == 9
	})
	closing := start(func() { closeFake(s, f) })
	close(f.syncGate)
	eventually(t, "the end", closing)
	eventually(t, "the waiters", start(wg.Wait))
	wantErr(t, "room", s.MakeRoom(1), ErrClosed)
	wantErr(t, "written", s.WaitWritten(f.append(), LevelNever), ErrClosed)
	wantErr(t, "durable", s.WaitDurable(t.Context(), s.Durable()+1), ErrClosed)
	s.commit.background(true)
	s.commit.serve()
}

// TestManualCommit: with ManualSteps there is no driver, and nobody waits for one.
func TestManualCommit(t *testing.T) {
	f := newFakeLog(t)
	s := fakeStore(t, f, false)
	s.commit.manual = true
	var wg sync.WaitGroup
	var told counter
	for range 8 {
		wg.Go(func() {
			for range 200 {
				lsn := f.append()
				if err := s.WaitDurable(context.Background(), lsn); err != nil || s.Durable() < lsn {
					t.Errorf("%v with durable %d, want %d", err, s.Durable(), lsn)
				}
				s.Notify(f.append(), &told)
			}
		})
	}
	eventually(t, "the waiters", start(wg.Wait))
	if told.told.Load() != 8*200 {
		t.Errorf("%d told, want %d", told.told.Load(), 8*200)
	}
}
