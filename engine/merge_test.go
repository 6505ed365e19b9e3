package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// overwrite writes the same keys again and again, at the same size, and returns what they hold in the end.
func overwrite(t testing.TB, s *Store, keys, times int) map[string]string {
	t.Helper()
	want := map[string]string{}
	for n := range times {
		for k := range keys {
			key, value := fmt.Sprintf("key %d", k), string(bytes.Repeat(fmt.Appendf(nil, "%d.", n%10), 250))
			must(t, s.Set([]byte(key), []byte(value)))
			want[key] = value
		}
	}
	return want
}

// TestMergeOfWhatWasMerged: what is dead when somebody asks is gone when the answer comes, also in files that were merged since the log
// file that is written to was made.
func TestMergeOfWhatWasMerged(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true, MaxFileBytes: 4 << 20, Merge: MergeOptions{Off: true}})
	for round := range 5 {
		for range 2 {
			for k := range 30 {
				must(t, s.Set(fmt.Appendf(nil, "key %d", k), bytes.Repeat([]byte{byte(round)}, 1000)))
			}
		}
		must(t, s.Sync(t.Context()))
		must(t, s.Merge(t.Context()))
		if f := s.DataFiles(); f.PutBytes != f.LiveBytes || f.Merges == 0 {
			t.Errorf("round %d: %+v", round, f)
		}
	}
}

// folderBytes is what the store's data files take.
func folderBytes(t testing.TB, s *Store) (n int64) {
	t.Helper()
	s.commit.bar() // between two changes of the folder
	defer s.commit.unbar()
	for _, pattern := range []string{"*.log", "*.data"} {
		names, err := filepath.Glob(filepath.Join(s.opt.Dir, pattern))
		must(t, err)
		for _, name := range names {
			st, err := os.Stat(name)
			must(t, err)
			n += st.Size()
		}
	}
	return n
}

func TestMergeGivesRoomBack(t *testing.T) {
	for _, manual := range []bool{true, false} {
		dir := t.TempDir()
		s := bitcaskStore(t, dir, Options{ManualSteps: manual, Merge: MergeOptions{Off: true}})
		want := overwrite(t, s, 200, 10)
		must(t, s.Sync(t.Context()))
		before := folderBytes(t, s)
		must(t, s.Merge(t.Context()))
		f := s.DataFiles()
		if f.Merges == 0 || f.MergedFiles == 0 || f.MergeReadBytes == 0 || f.MergeWrittenBytes == 0 || f.MergeDroppedBytes == 0 ||
			f.Merging {
			t.Errorf("manual %v: %+v", manual, f)
		}
		// The files that are written to and prepared have room ahead.
		if after, most := folderBytes(t, s), int64(f.LiveBytes)*6/5+4<<16; after > most {
			t.Errorf("manual %v: %d bytes before, %d after, want %d at most", manual, before, after, most)
		}
		wantAll(t, s, want)
		must(t, s.Merge(t.Context())) // and again, with nothing to do
		must(t, s.Close())
		s = bitcaskStore(t, dir, Options{})
		wantAll(t, s, want)
	}
}

// TestMergeLeavesNothingDead, be it a record among hundreds.
func TestMergeLeavesNothingDead(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true, MaxFileBytes: 1 << 20})
	want := overwrite(t, s, 900, 1)
	must(t, s.Delete([]byte("key 5")))
	delete(want, "key 5")
	must(t, s.Sync(t.Context()))
	must(t, s.Merge(t.Context()))
	if f := s.DataFiles(); f.Merges == 0 || f.MergeDroppedBytes == 0 || f.GoneBytes != 0 {
		t.Errorf("%+v", f)
	}
	wantAll(t, s, want)
}

// TestMergesGoByThemselves, when the files are dead enough.
func TestMergesGoByThemselves(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{})
	want := overwrite(t, s, 200, 5)
	must(t, s.Sync(t.Context())) // what is not durable is not merged
	waitFor(t, "a merge", func() bool { return s.DataFiles().Merges > 0 })
	wantAll(t, s, want)
	if f := s.Folder(); f.LogFiles == 0 || f.LogBytes == 0 {
		t.Errorf("%+v", f)
	}
}

// TestSealedFilesGetHints, although merges are off; a start goes by them.
func TestSealedFilesGetHints(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}})
	want := overwrite(t, s, 200, 3)
	must(t, s.Sync(t.Context()))
	waitFor(t, "hints", func() bool { f := s.DataFiles(); return f.Hints >= 3 && !f.Merging })
	if f := s.DataFiles(); f.Merges != 0 || f.MergedFiles != 0 {
		t.Errorf("merges are off, and yet: %+v", f)
	}
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{ManualSteps: true})
	if f := s.DataFiles(); f.HintsLoaded < 3 {
		t.Errorf("%+v, want hints to be used", f)
	}
	wantAll(t, s, want)
}

// TestKillBetweenMergeSteps: after each piece of a merge the folder is one that a start makes the same store from.
func TestKillBetweenMergeSteps(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	want := overwrite(t, s, 100, 4)
	for i := range 20 {
		key := fmt.Sprintf("key %d", i)
		must(t, s.Delete([]byte(key)))
		delete(want, key)
	}
	must(t, s.Sync(t.Context()))
	steps := 0
	for more := true; more; steps++ {
		var err error
		more, err = s.MergeStep()
		must(t, err)
		after := bitcaskStore(t, killed(t, s), Options{ManualSteps: true})
		wantAll(t, after, want)
		must(t, after.Close())
	}
	must(t, s.lookAtFolder())
	if f := s.DataFiles(); f.Merges == 0 {
		t.Errorf("%d steps, and no merge: %+v", steps, f)
	}
	wantAll(t, s, want)
}

// TestMergeCallsShare: all who ask return, and a call that comes later is not served by one that has begun.
func TestMergeCallsShare(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{Merge: MergeOptions{Off: true}})
	s.merges.turn.Lock() // the driver waits
	release := sync.OnceFunc(s.merges.turn.Unlock)
	defer release()
	first, err := s.askMerge()
	must(t, err)
	second, err := s.askMerge()
	must(t, err)
	if first != second {
		t.Error("two calls that wait are not the same")
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "a context that has ended", s.Merge(late), context.Canceled)
	if s.merges.take() != first {
		t.Error("another call was waiting")
	}
	third, err := s.askMerge()
	must(t, err)
	if third == first {
		t.Error("a call joined one that has begun")
	}
	release()
	eventually(t, "the later call", third.done)
	must(t, third.err)
}

// TestCloseDuringMerges: who waits for one is told, and the data is there at the next start.
func TestCloseDuringMerges(t *testing.T) {
	for _, manual := range []bool{true, false} {
		dir := t.TempDir()
		// So slow that Close comes in the middle.
		opt := Options{ManualSteps: manual, Merge: MergeOptions{Off: true, BytesPerSecond: 1}}
		s := bitcaskStore(t, dir, opt)
		want := overwrite(t, s, 200, 5)
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() { wantErr(t, "a merge", s.Merge(t.Context()), ErrClosed) })
		}
		waitFor(t, "the merge", s.merges.busy.Load)
		must(t, s.Close())
		eventually(t, "the callers", start(callers.Wait))
		wantErr(t, "a merge of a closed store", s.Merge(t.Context()), ErrClosed)
		_, err := s.MergeStep()
		wantErr(t, "a step in a closed store", err, ErrClosed)
		wantAll(t, bitcaskStore(t, dir, Options{ManualSteps: true}), want)
	}
}

// TestCloseLeavesHints: the next start reads no data file, though the last one was not full.
func TestCloseLeavesHints(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}})
	want := overwrite(t, s, 200, 2)
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{ManualSteps: true})
	if f := s.DataFiles(); f.HintsLoaded == 0 || f.HintsRebuilt != 0 || f.Hints != f.HintsLoaded {
		t.Errorf("%+v, want hints alone", f)
	}
	wantAll(t, s, want)
}

// TestCloseLeavesHintsInsteadOfAMerge: one that is being copied is given up, and its file goes.
func TestCloseLeavesHintsInsteadOfAMerge(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{ManualSteps: true})
	want := overwrite(t, s, 200, 3)
	must(t, s.Sync(t.Context()))
	merged := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*.data"))
		must(t, err)
		return names
	}
	for len(merged()) == 0 {
		if more, err := s.MergeStep(); err != nil || !more {
			t.Fatalf("no merge began: %v", err)
		}
	}
	must(t, s.leaveHints(time.Now().Add(time.Minute)))
	must(t, s.lookAtFolder())
	if f := s.DataFiles(); len(merged()) != 0 || f.MergedFiles != 0 || f.Merges != 0 || f.Hints == 0 {
		t.Errorf("%q is left, %+v", merged(), f)
	}
	must(t, s.Merge(t.Context())) // it can be made after all
	wantAll(t, s, want)
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{ManualSteps: true})
	if f := s.DataFiles(); f.MergedFiles == 0 || f.HintsRebuilt != 0 {
		t.Errorf("%+v, want hints alone", f)
	}
	wantAll(t, s, want)
}

// TestCloseLeavesHintsInTime: when the time is over, or there is no room, Close leaves the rest to the next start.
func TestCloseLeavesHintsInTime(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{ManualSteps: true})
	want := overwrite(t, s, 200, 2)
	must(t, s.leaveHints(time.Now()))
	must(t, s.lookAtFolder())
	if f := s.DataFiles(); f.Hints != 0 {
		t.Errorf("%+v, want no hint after the time", f)
	}
	restore := limitFiles(t, 1<<10)
	if err := s.leaveHints(time.Now().Add(time.Minute)); err == nil {
		t.Error("hints were made without room")
	}
	restore()
	must(t, s.leaveHints(time.Now().Add(time.Minute))) // after a failure all else comes first,
	must(t, s.leaveHints(time.Now().Add(time.Minute))) // and then hints again
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{ManualSteps: true})
	if f := s.DataFiles(); f.HintsLoaded == 0 || f.HintsRebuilt != 0 {
		t.Errorf("%+v, want hints alone", f)
	}
	wantAll(t, s, want)
}

// TestCloseWaitsForMergeSteps: one that is being made goes on with the store open.
func TestCloseWaitsForMergeSteps(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	s.merges.turn.Lock()
	closing := start(func() { noErr(t, s.Close()) })
	eventually(t, "Close to begin", s.stop)
	for range 100 {
		must(t, s.lookAtFolder()) // refused when the store has been closed
	}
	s.merges.turn.Unlock()
	eventually(t, "Close", closing)
}

// TestMergeWithoutRoom: a file that a merge can't write (here because of a limit on the size of files, else because the disk
// is full) costs the merge, and nothing else; it is made when there is room.
func TestMergeWithoutRoom(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	want := overwrite(t, s, 100, 4)
	must(t, s.Sync(t.Context()))
	restore := limitFiles(t, 8<<10)
	err := error(nil)
	for more := true; more && err == nil; {
		more, err = s.MergeStep()
	}
	wantErr(t, "a merge without room", err, ErrLogFull)
	wantAll(t, s, want)
	restore()
	must(t, s.Set([]byte("key 1"), []byte("after")))
	want["key 1"] = "after"
	if s.LogState() != LogOK {
		t.Errorf("the log is %v: %v", s.LogState(), s.LogError())
	}
	must(t, s.Merge(t.Context()))
	if f := s.DataFiles(); f.Merges == 0 {
		t.Errorf("%+v", f)
	}
	wantAll(t, s, want)
}

// TestMergesWaitForTheLog: what makes a record dead is durable before the dead one goes, whatever the store's level.
func TestMergesWaitForTheLog(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	overwrite(t, s, 100, 4)
	must(t, s.Sync(t.Context()))
	waits := 0
	for more := true; more; {
		must(t, s.Set([]byte("key 1"), []byte("not durable")))
		lsn := uint64(s.merges.next.lsn) // 0 but for a step that waits
		if lsn > s.Durable() {
			waits++
		}
		var err error
		more, err = s.MergeStep()
		must(t, err)
		if s.Durable() < lsn {
			t.Fatalf("a step that needs LSN %d is made with durable %d", lsn, s.Durable())
		}
	}
	if waits == 0 {
		t.Error("no step had to wait")
	}
}

// TestDriverGivesWay: it does what is due, but not before what somebody has asked for.
func TestDriverGivesWay(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	overwrite(t, s, 100, 4)
	must(t, s.Sync(t.Context()))
	d := mergeDriver{s: s}
	call, err := s.merges.ask()
	must(t, err)
	d.work()
	d.look()
	if f := s.DataFiles(); f.Merges != 0 || f.Hints != 0 {
		t.Errorf("the driver has worked beside a call: %+v", f)
	}
	s.merges.take()
	s.merges.busy.Store(true)
	d.work()
	d.look()
	if f := s.DataFiles(); f.Merges == 0 || f.Merging {
		t.Errorf("the driver has not worked: %+v", f)
	}
	select {
	case <-call.done:
		t.Error("the driver has ended a call that it was not given")
	default:
	}
}

// brokenLog is the engine's log, of which every sync fails.
type brokenLog struct {
	journal
	failed *error
}

func (l brokenLog) sync() error { *l.failed = errDisk; return errDisk }

func (l brokenLog) look() logView {
	v := l.journal.look()
	if *l.failed != nil {
		v.state = LogFailed
	}
	return v
}

func (l brokenLog) reason() error { return *l.failed }

// TestMergesEndWithTheLog: when it has failed, nothing changes the folder any more.
func TestMergesEndWithTheLog(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	overwrite(t, s, 100, 3)
	s.commit.log = brokenLog{s.commit.log, new(error)}
	call := start(func() { wantErr(t, "a merge that meets the failure", s.Merge(t.Context()), ErrNotDurable) })
	eventually(t, "the merge", call)
	files := folderBytes(t, s)
	driver := start(s.driveMerges)
	eventually(t, "the end of the driver", driver)
	wantErr(t, "a later merge", s.Merge(t.Context()), ErrReadOnly)
	_, err := s.MergeStep()
	wantErr(t, "a later step", err, ErrNotDurable)
	if n := folderBytes(t, s); n != files {
		t.Errorf("%d bytes in the folder, %d before", n, files)
	}
}

// TestMergeFailuresAreToldOnce for each kind, and are followed by a pause; the log's are not the merges' to tell.
func TestMergeFailuresAreToldOnce(t *testing.T) {
	var said bytes.Buffer
	s := &Store{commit: newCommitter(newFakeLog(t), nil, true, 0)}
	s.opt.Logger = slog.New(slog.NewTextHandler(&said, nil))
	d := mergeDriver{s: s}
	full := fmt.Errorf("engine: merge: no room: %w", ErrLogFull)
	for i, c := range []struct {
		err  error
		told int // in all
	}{{full, 1}, {full, 1}, {fmt.Errorf("x: %w", ErrIO), 2}, {nil, 2}, {full, 3}, {errMergeClosed, 3}, {errors.New("new"), 4}} {
		d.report(c.err)
		if told := bytes.Count(said.Bytes(), []byte("level=WARN")); told != c.told {
			t.Errorf("%d, %v: told %d times, want %d", i, c.err, told, c.told)
		}
		if d.retry.After(time.Now()) == (c.err == nil) {
			t.Errorf("%d, %v: the next try is at %v", i, c.err, d.retry)
		}
	}
}

func TestMergeWindow(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		w    MergeWindow
		at   time.Duration
		open bool
	}{
		{MergeWindow{}, 0, true},
		{MergeWindow{5 * h, 5 * h}, 12 * h, true},
		{MergeWindow{1 * h, 5 * h}, 1*h - 1, false},
		{MergeWindow{1 * h, 5 * h}, 1 * h, true},
		{MergeWindow{1 * h, 5 * h}, 5*h - 1, true},
		{MergeWindow{1 * h, 5 * h}, 5 * h, false},
		{MergeWindow{22 * h, 6 * h}, 23 * h, true},
		{MergeWindow{22 * h, 6 * h}, 3 * h, true},
		{MergeWindow{22 * h, 6 * h}, 6 * h, false},
		{MergeWindow{22 * h, 6 * h}, 12 * h, false},
		{MergeWindow{18 * h, 24 * h}, 23*h + 59*time.Minute, true},
		{MergeWindow{18 * h, 24 * h}, 0, false},
	} {
		now := time.Date(2026, time.June, 1, 0, 0, 0, 0, time.Local).Add(c.at)
		if got := c.w.open(now); got != c.open {
			t.Errorf("%v at %v: open %v, want %v", c.w, c.at, got, c.open)
		}
		o := MergeOptions{Window: c.w}
		if allow := o.automatic(now).allow == 1; allow != c.open {
			t.Errorf("%v at %v: merges begin: %v", c.w, c.at, allow)
		}
	}
}

func TestMergeOptionsForTheEngine(t *testing.T) {
	now := time.Now()
	o := (&MergeOptions{}).automatic(now)
	if o.allow != 1 || o.dead_percent != 50 || o.dead_bytes != 0 || o.dead_age_ms != 0 {
		t.Errorf("the zero value: %+v", o)
	}
	o = (&MergeOptions{DeadPercent: 7, DeadBytes: 8, DeadAge: time.Nanosecond, Off: true}).automatic(now)
	if o.allow != 0 || o.dead_percent != 7 || o.dead_bytes != 8 || o.dead_age_ms != 1 {
		t.Errorf("%+v", o)
	}
}

func TestMergeRate(t *testing.T) {
	var r rate
	now := time.Unix(1, 0)
	for i, c := range []struct {
		perSecond  int64
		bytes      uint64
		pass, want time.Duration
	}{
		{0, 1 << 40, 0, 0},
		{1000, 500, 0, 500 * time.Millisecond},
		{1000, 500, 0, time.Second}, // the first half second is not over yet
		{1000, 0, 900 * time.Millisecond, 100 * time.Millisecond},
		{1000, 1, time.Hour, time.Millisecond}, // what was not used is gone
	} {
		now = now.Add(c.pass)
		if got := r.delay(c.perSecond, c.bytes, now); got != c.want {
			t.Errorf("%d: wait for %v, want %v", i, got, c.want)
		}
	}
}
