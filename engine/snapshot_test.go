package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heldSnapshot starts a snapshot that gets no further than to wait for the log, which is synced when the returned
// function is called. The store has LevelNever.
func heldSnapshot(t *testing.T, s *Store) (release func()) {
	t.Helper()
	s.commit.turn.Lock()
	release = sync.OnceFunc(s.commit.turn.Unlock)
	t.Cleanup(release)
	must(t, s.Set([]byte("not durable"), nil))
	must(t, s.StartSnapshot())
	waitFor(t, "the snapshot to wait for the log", func() bool { return queued(s) == 1 })
	if st := s.SnapshotState(); !st.Running || st.Since.IsZero() || st.Bytes == 0 {
		t.Errorf("under way: %+v", st)
	}
	return release
}

// namesLike lists the files of the store's folder that match.
func namesLike(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	return names
}

func TestSnapshotIsLoaded(t *testing.T) {
	for _, how := range []Compression{CompressionZstd, CompressionLZ4, CompressionNone} {
		t.Run(how.String(), func(t *testing.T) {
			dir := t.TempDir()
			s := logStore(t, dir, Options{Compression: how, LogFileBytes: 64 << 10, Segments: 8, ManualSteps: true})
			want := fillSome(t, s)
			expire, err := s.Info([]byte("k1"))
			must(t, err)
			info, err := s.Snapshot(t.Context())
			must(t, err)
			if info.LSN != s.Appended() || info.Keys != uint64(len(want)) || info.Bytes == 0 || info.RawBytes == 0 ||
				info.Time.UnixMilli() > s.Now() || info.Hash == (ContentHash{}) {
				t.Errorf("%+v", info)
			}
			st, folder := s.SnapshotState(), s.Folder()
			if st.Newest != info || st.OK != 1 || st.Failed != 0 || st.Running || st.Changes != 0 || st.Took <= 0 {
				t.Errorf("state %+v", st)
			}
			if folder.Newest != info || folder.Snapshots != 1 || folder.SnapshotBytes != info.Bytes ||
				folder.OldestLSN != info.LSN {
				t.Errorf("folder %+v, want the snapshot %+v", folder, info)
			}
			must(t, s.Set([]byte("later"), []byte("x")))
			want["later"] = "x"
			if n := s.SnapshotState().Changes; n != 1 {
				t.Errorf("%d changes after one", n)
			}

			s = logStore(t, killed(t, s), Options{Segments: 64})
			r := s.Recovery()
			if r.SnapshotLSN != info.LSN || r.SnapshotKeys != info.Keys || r.SnapshotBytes != info.Bytes {
				t.Errorf("%+v, want the snapshot %+v", r, info)
			}
			wantAll(t, s, want)
			if again, err := s.Info([]byte("k1")); err != nil || again != expire {
				t.Errorf("%+v, %v, want %+v", again, err, expire)
			}
			if st := s.SnapshotState(); st.Newest != info || !st.LastSave.Equal(info.Time) || st.OK != 0 {
				t.Errorf("after the start: %+v", st)
			}
		})
	}
}

// history is what one goroutine has written to its keys.
type history struct {
	mu       sync.Mutex
	versions map[string][]uint64 // of the values 0, 1, 2 …
}

// write sets one key after the other to its next value, again and again, until stop.
func (h *history) write(t *testing.T, s *Store, name string, stop *atomic.Bool) {
	for i := 0; !stop.Load(); i++ {
		key := fmt.Sprintf("%s %d", name, i%2000)
		h.mu.Lock()
		n := len(h.versions[key])
		h.mu.Unlock()
		version, err := s.SetWith([]byte(key), fmt.Appendf(nil, "%d %s", n, strings.Repeat("v", i%300)), SetOptions{})
		if err != nil {
			t.Errorf("%s: %v", key, err)
			return
		}
		h.mu.Lock()
		h.versions[key] = append(h.versions[key], version)
		h.mu.Unlock()
	}
}

// check compares the store with what was written up to an LSN.
func (h *history) check(t *testing.T, s *Store, lsn uint64) {
	t.Helper()
	for key, versions := range h.versions {
		newest := -1
		for i, v := range versions {
			if v <= lsn {
				newest = i
			}
		}
		got, err := s.Get(nil, []byte(key))
		if newest < 0 {
			wantErr(t, key+", which was not there yet", err, ErrNotFound)
			continue
		}
		if err != nil || !bytes.HasPrefix(got, fmt.Appendf(nil, "%d ", newest)) {
			t.Errorf("%s at LSN %d: %.20q, %v, want value %d", key, lsn, got, err, newest)
		}
	}
}

// TestSnapshotsUnderWrites: each one is the store at its LSN, exactly, whatever is written meanwhile; and the store
// loses nothing.
func TestSnapshotsUnderWrites(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{Level: LevelNever, LogFileBytes: 64 << 10, Segments: 4})
	var stop atomic.Bool
	var writers sync.WaitGroup
	h := make([]history, 3)
	for i := range h {
		h[i].versions = map[string][]uint64{}
		writers.Go(func() { h[i].write(t, s, fmt.Sprint("writer ", i), &stop) })
	}
	var files []*SnapshotFile
	for range 4 {
		at := s.Appended()
		waitFor(t, "some writes", func() bool { return s.Appended() > at+5000 })
		f, err := s.OpenSnapshot(t.Context())
		must(t, err)
		defer f.Close()
		files = append(files, f)
	}
	stop.Store(true)
	eventually(t, "the writers", start(writers.Wait))
	must(t, s.Close())

	for _, f := range files {
		restored := filepath.Join(t.TempDir(), "restored")
		r, err := Restore(RestoreOptions{From: saved(t, f), Dir: restored})
		must(t, err)
		if r.LSN != f.Info().LSN || r.Keys != f.Info().Keys {
			t.Errorf("restored %+v from %+v", r, f.Info())
		}
		at := logStore(t, restored, Options{})
		for i := range h {
			h[i].check(t, at, f.Info().LSN)
		}
		must(t, at.Close())
	}
	s = logStore(t, dir, Options{})
	for i := range h {
		h[i].check(t, s, everything)
	}
	if n := len(namesLike(t, dir, "*.snap")); n != 1 {
		t.Errorf("%d snapshots are left, want the newest alone", n)
	}
}

// saved copies a snapshot to a file of its own, and checks it.
func saved(t *testing.T, f *SnapshotFile) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	to, err := os.Create(path)
	must(t, err)
	n, err := io.Copy(to, io.NewSectionReader(f, 0, f.Size()))
	must(t, err)
	must(t, to.Close())
	info, err := VerifySnapshot(path, nil)
	if err != nil || n != f.Size() || info != f.Info() {
		t.Errorf("%d bytes, %+v, %v; want %d bytes, %+v", n, info, err, f.Size(), f.Info())
	}
	return path
}

// TestOldFilesGo: with each snapshot the log that it covers, and the snapshot before it. One that is open can be read
// all the same.
func TestOldFilesGo(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{LogFileBytes: 64 << 10, Level: LevelNever})
	fill := func() {
		for i := range 300 {
			must(t, s.Set(fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{byte(i)}, 1000)))
		}
	}
	fill()
	before := len(namesLike(t, dir, "*.log"))
	f, err := s.OpenSnapshot(t.Context())
	must(t, err)
	defer f.Close()
	if n := len(namesLike(t, dir, "*.log")); n >= before {
		t.Errorf("%d log files after the snapshot, %d before", n, before)
	}
	fill()
	_, err = s.Snapshot(t.Context())
	must(t, err)
	if n := len(namesLike(t, dir, "*.snap")); n != 1 {
		t.Errorf("%d snapshots in the folder", n)
	}
	saved(t, f)
}

// TestRetentionKeepsOldFiles, so that an LSN before the newest snapshot can be restored.
func TestRetentionKeepsOldFiles(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{LogFileBytes: 64 << 10, RetainFor: time.Hour})
	var versions []uint64
	for i := range 300 {
		v, err := s.SetWith([]byte("k"), fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 1000)), SetOptions{})
		must(t, err)
		versions = append(versions, v)
		if i%100 == 50 {
			_, err := s.Snapshot(t.Context())
			must(t, err)
		}
	}
	if f := s.Folder(); f.OldestLSN != 0 || f.Snapshots != 3 {
		t.Errorf("%+v, want everything back to the beginning", f)
	}
	must(t, s.Close())
	for _, i := range []int{0, 49, 50, 51, 120, 299} {
		to := filepath.Join(t.TempDir(), "to")
		r, err := Restore(RestoreOptions{From: dir, Dir: to, ToLSN: versions[i]})
		must(t, err)
		if r.LSN != versions[i] || r.Keys != 1 || r.LastLSN != versions[299] {
			t.Errorf("to LSN %d: %+v", versions[i], r)
		}
		at := logStore(t, to, Options{})
		got, err := at.Get(nil, []byte("k"))
		if err != nil || !bytes.HasPrefix(got, fmt.Appendf(nil, "%d ", i)) {
			t.Errorf("at LSN %d: %.10q, %v, want value %d", versions[i], got, err, i)
		}
		if v, err := at.SetWith([]byte("new"), nil, SetOptions{}); err != nil || v <= versions[299] {
			t.Errorf("version %d, %v: was given out before the restore", v, err)
		}
		must(t, at.Close())
	}
}

// TestSnapshotCallsShare: those who ask while one is under way get the next one, all the same.
func TestSnapshotCallsShare(t *testing.T) {
	s := logStore(t, t.TempDir(), Options{Level: LevelNever})
	release := heldSnapshot(t, s)
	wantErr(t, "a second start", s.StartSnapshot(), ErrSnapshotRunning)
	var calls []*snapshotCall
	for range 10 {
		call, err := s.askSnapshot(true)
		must(t, err)
		calls = append(calls, call)
	}
	wantErr(t, "a start while one is asked for", s.StartSnapshot(), ErrSnapshotRunning)
	if behind, err := s.ScheduleSnapshot(); err != nil || !behind {
		t.Errorf("one more is scheduled behind the one under way: %v, %v", behind, err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Snapshot(late)
	wantErr(t, "a context that has ended", err, context.Canceled)
	release()
	for _, call := range calls {
		eventually(t, "the snapshot that was asked for", call.done)
		if call.err != nil || call.info != calls[0].info {
			t.Errorf("%+v, %v, want %+v", call.info, call.err, calls[0].info)
		}
	}
	if st := s.SnapshotState(); st.OK != 2 || st.Running || st.Newest != calls[0].info {
		t.Errorf("two snapshots for all these calls: %+v", st)
	}
}

// TestSnapshotHasWhatWasThereWhenAsked: also if another one, which has not, is under way.
func TestSnapshotHasWhatWasThereWhenAsked(t *testing.T) {
	s := logStore(t, t.TempDir(), Options{Level: LevelNever})
	var askers sync.WaitGroup
	for g := range 4 {
		askers.Go(func() {
			for i := range 10 {
				version, err := s.SetWith(fmt.Appendf(nil, "%d %d", g, i), nil, SetOptions{})
				noErr(t, err)
				if info, err := s.Snapshot(t.Context()); err != nil || info.LSN < version {
					t.Errorf("a snapshot at LSN %d, %v, asked for after %d was written", info.LSN, err, version)
				}
			}
		})
	}
	eventually(t, "the askers", start(askers.Wait))
}

// TestCloseDuringASnapshot: it is given up, and so is the next one; nothing of it stays.
func TestCloseDuringASnapshot(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{Level: LevelNever})
	want := fillSome(t, s)
	release := heldSnapshot(t, s)
	want["not durable"] = ""
	next, err := s.askSnapshot(true)
	must(t, err)
	closing := start(func() { noErr(t, s.Close()) })
	waitFor(t, "Close to begin", s.closed.Load)
	<-s.stop
	release()
	eventually(t, "Close", closing)
	eventually(t, "the next snapshot", next.done)
	wantErr(t, "the next snapshot", next.err, ErrClosed)
	_, err = s.Snapshot(t.Context())
	wantErr(t, "a snapshot of a closed store", err, ErrClosed)
	wantErr(t, "a start on a closed store", s.StartSnapshot(), ErrClosed)
	if left := namesLike(t, dir, "*.snap*"); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	wantAll(t, logStore(t, dir, Options{}), want)
}

// TestFailedSnapshot changes nothing: the older one, the log and writes go on.
func TestFailedSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{})
	want := fillSome(t, s)
	info, err := s.Snapshot(t.Context())
	must(t, err)
	must(t, s.Set([]byte("k1"), []byte("new")))
	want["k1"] = "new"
	var blocked []string // folders with the names that the next snapshots would take
	for n := range uint64(20) {
		name := filepath.Join(dir, fmt.Sprintf("%010d.snap.tmp", info.Number+1+n))
		must(t, os.Mkdir(name, 0o700))
		blocked = append(blocked, name)
	}
	_, err = s.Snapshot(t.Context())
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a snapshot whose file can't be made: %v", err)
	}
	st := s.SnapshotState()
	if st.Failed != 1 || st.OK != 1 || st.Err == nil || st.ErrAt.IsZero() || st.Newest != info || st.Running {
		t.Errorf("%+v", st)
	}
	if s.LogState() != LogOK {
		t.Errorf("the log is %v", s.LogState())
	}
	if now := time.Now(); s.snapshotDueAt(now.Add(snapshotPauseMin / 2)) {
		t.Error("another one is due at once")
	}
	wantAll(t, logStore(t, killed(t, s), Options{}), want)
	for _, name := range blocked {
		must(t, os.Remove(name))
	}
	again, err := s.Snapshot(t.Context())
	if err != nil || again.LSN <= info.LSN {
		t.Errorf("%+v, %v", again, err)
	}
	if st := s.SnapshotState(); st.Err != nil || st.Failed != 1 || st.OK != 2 {
		t.Errorf("%+v", st)
	}
}

// TestSnapshotThatCannotBeWritten fails in the middle, here because of a limit on the size of files, else because the
// disk is full. Writers go on.
func TestSnapshotThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{Level: LevelNever, LogFileBytes: 64 << 10, Compression: CompressionNone})
	for i := range 1000 {
		must(t, s.Set(fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte("v"), 1000)))
	}
	restore := limitFiles(t, 600<<10)

	var stop atomic.Bool
	writer := start(func() {
		for i := 0; !stop.Load(); i++ {
			noErr(t, s.Set(fmt.Appendf(nil, "k%d", i%1000), bytes.Repeat([]byte("w"), 1000)))
		}
	})
	_, err := s.Snapshot(t.Context())
	wantErr(t, "a snapshot that does not fit", err, ErrLogFull)
	if left := namesLike(t, dir, "*.snap*"); len(left) != 0 {
		t.Errorf("%v are left", left)
	}
	at := s.Appended()
	waitFor(t, "writes after it", func() bool { return s.Appended() > at+1000 })
	stop.Store(true)
	eventually(t, "the writer", writer)
	restore()
	_, err = s.Snapshot(t.Context())
	must(t, err)
	if s.LogState() != LogOK {
		t.Errorf("the log is %v", s.LogState())
	}
}

// TestSnapshotWaitsForTheLog: it is not taken if the log does not become durable, and given up when the store closes.
func TestSnapshotWaitsForTheLog(t *testing.T) {
	f := newFakeLog(t)
	gate := make(chan struct{})
	f.syncGate = gate
	s := fakeStore(t, f, true)
	lsn := f.append()
	var waited atomic.Bool
	done := start(func() {
		noErr(t, s.snapshotDurable(lsn, nil))
		waited.Store(s.Durable() >= lsn)
	})
	waitFor(t, "the sync", func() bool { return f.syncStarted.Load() == 1 })
	quit := make(chan struct{})
	close(quit)
	wantErr(t, "a store that closes", s.snapshotDurable(f.append(), quit), ErrClosed)
	close(gate)
	eventually(t, "the first wait", done)
	if !waited.Load() {
		t.Error("it did not wait")
	}
	f.set(func() { f.failSync = errDisk })
	wantErr(t, "a failed log", s.snapshotDurable(f.append(), nil), ErrNotDurable)
}

// TestSnapshotsUnasked: when the log has grown, and when time has passed.
func TestSnapshotsUnasked(t *testing.T) {
	for name, opt := range map[string]Options{
		"log":  {SnapshotLogBytes: 256 << 10, LogFileBytes: 64 << 10},
		"time": {SaveInterval: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			opt.Level = LevelNever
			s := logStore(t, t.TempDir(), opt)
			for i := range 400 {
				must(t, s.Set(fmt.Appendf(nil, "k%d", i%10), bytes.Repeat([]byte("v"), 1000)))
			}
			waitFor(t, "a snapshot", func() bool { return s.SnapshotState().OK > 0 })
			if off := s.SnapshotState().AutoOff; off != "" {
				t.Errorf("they are off: %s", off)
			}
		})
	}
}

func TestSnapshotDue(t *testing.T) {
	soon := func() time.Time { return time.Now().Add(time.Second) }
	s := logStore(t, t.TempDir(), Options{SaveInterval: time.Minute, SnapshotLogBytes: 1000, ManualSteps: true})
	late := time.Now().Add(time.Hour)
	if s.snapshotDueAt(late) {
		t.Error("due without a change")
	}
	must(t, s.Set([]byte("k"), nil))
	if s.snapshotDueAt(soon()) || !s.snapshotDueAt(late) {
		t.Error("a change: due at once, or not in an hour")
	}
	must(t, s.Set([]byte("k"), bytes.Repeat([]byte("v"), 2000)))
	must(t, s.lookAtFolder())
	if !s.snapshotDueAt(soon()) {
		t.Errorf("not due with %d bytes of log", s.Folder().LogSince)
	}
	must(t, s.StartSnapshot())
	if s.snapshotDueAt(late) {
		t.Error("due after a snapshot")
	}
	must(t, s.Flush())
	if s.snapshotDueAt(soon()) || !s.snapshotDueAt(late) {
		t.Error("a flush: due at once, or not in an hour")
	}
	if s.SnapshotState().AutoOff == "" || s.snapshotDue() {
		t.Error("manual steps: a snapshot is taken unasked")
	}
}

func TestSnapshotTriggersByOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt      Options
		interval time.Duration
		log      uint64
	}{
		"default":         {Options{}, 0, 1 << 30},
		"interval":        {Options{SaveInterval: 5}, 5, 1 << 30},
		"all off":         {Options{SaveInterval: -1, SnapshotLogBytes: -1}, 0, 0},
		"log bytes":       {Options{SnapshotLogBytes: 7}, 0, 7},
		"no log":          {Options{WALOff: true}, time.Minute, 0},
		"no log, manual":  {Options{WALOff: true, SaveInterval: -1}, 0, 0},
		"no log, 5 beats": {Options{WALOff: true, SaveInterval: 5}, 5, 0},
	} {
		if i, l := c.opt.saveInterval(), c.opt.snapshotLogBytes(1<<30); i != c.interval || l != c.log {
			t.Errorf("%s: every %v, every %d bytes; want %v, %d", name, i, l, c.interval, c.log)
		}
	}
	if l := (&Options{}).snapshotLogBytes(1); l != snapshotLogMin {
		t.Errorf("a small snapshot: every %d bytes", l)
	}
}

func TestSnapshotWithoutAFolder(t *testing.T) {
	s := openStore(t, Options{})
	_, err := s.Snapshot(t.Context())
	wantErr(t, "a snapshot", err, ErrUnsupported)
	_, err = s.OpenSnapshot(t.Context())
	wantErr(t, "opening one", err, ErrUnsupported)
	wantErr(t, "starting one", s.StartSnapshot(), ErrUnsupported)
	if st := s.SnapshotState(); st.AutoOff == "" || s.Folder() != (Folder{}) {
		t.Errorf("%+v, %+v", st, s.Folder())
	}
}

func TestSnapshotWhileLoading(t *testing.T) {
	s := logStore(t, t.TempDir(), Options{Loading: true})
	_, err := s.Snapshot(t.Context())
	wantErr(t, "a snapshot", err, ErrLoading)
	_, err = s.Recover(nil)
	must(t, err)
	_, err = s.Snapshot(t.Context())
	must(t, err)
}

// TestWALOffCleanStop: Close takes a last snapshot, and only if there is something new.
func TestWALOffCleanStop(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{WALOff: true, Segments: 8})
	want := fillSome(t, s)
	if s.LogState() != LogNone || s.Folder().LogSince != 0 {
		t.Errorf("log %v, folder %+v", s.LogState(), s.Folder())
	}
	err := s.Sync(t.Context())
	wantErr(t, "sync", err, ErrUnsupported)
	must(t, s.Close())
	s = logStore(t, dir, Options{WALOff: true, Segments: 16})
	wantAll(t, s, want)
	if r := s.Recovery(); r.SnapshotKeys != uint64(len(want)) {
		t.Errorf("%+v", r)
	}
	newest := s.SnapshotState().Newest
	must(t, s.Close())
	s = logStore(t, dir, Options{WALOff: true})
	if again := s.SnapshotState().Newest; again != newest {
		t.Errorf("a snapshot without a change: %+v after %+v", again, newest)
	}
	must(t, s.Flush())
	must(t, s.Close())
	wantAll(t, logStore(t, dir, Options{WALOff: true}), nil)
}

// TestWALOffCloseFails: who loses something is told.
func TestWALOffCloseFails(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{WALOff: true})
	must(t, s.Set([]byte("k"), nil))
	for n := range 20 { // the names that the snapshot would take
		must(t, os.Mkdir(filepath.Join(dir, fmt.Sprintf("%010d.snap.tmp", 1+n)), 0o700))
	}
	err := s.Close()
	wantErr(t, "a close without the last snapshot", err, ErrIO)
	if err == nil || !strings.Contains(err.Error(), "are lost") {
		t.Errorf("%v does not say what it means", err)
	}
}

// TestWALOffKill loses what is newer than the newest snapshot, exactly, and gives no version twice.
func TestWALOffKill(t *testing.T) {
	dir := t.TempDir()
	var newest uint64
	for range 3 {
		s := logStore(t, dir, Options{WALOff: true, SaveInterval: -1, ManualSteps: true})
		must(t, s.Flush())
		want := fillSome(t, s)
		_, err := s.Snapshot(t.Context())
		must(t, err)
		for i := range 100 {
			v, err := s.SetWith(fmt.Appendf(nil, "lost %d", i), nil, SetOptions{})
			must(t, err)
			newest = max(newest, v)
		}
		must(t, s.Delete([]byte("k1")))
		dir = killed(t, s)
		s = logStore(t, dir, Options{WALOff: true, SaveInterval: -1, ManualSteps: true})
		wantAll(t, s, want)
		if v, err := s.SetWith([]byte("k1"), nil, SetOptions{}); err != nil || v <= newest {
			t.Errorf("version %d, %v: given out before, newest was %d", v, err, newest)
		}
		must(t, s.Close()) // without a snapshot, as if it had been killed
	}
}

// TestWALOffFolders: a folder with a log is opened without one, and the other way round.
func TestWALOffFolders(t *testing.T) {
	dir := t.TempDir()
	var newest uint64
	want := map[string]string{}
	for i, off := range []bool{false, true, false, false, true, true, false} {
		s := logStore(t, dir, Options{WALOff: off})
		wantAll(t, s, want)
		key := fmt.Sprintf("life %d", i)
		v, err := s.SetWith([]byte(key), []byte(key), SetOptions{})
		if err != nil || v <= newest {
			t.Errorf("version %d, %v, after %d", v, err, newest)
		}
		newest = v
		want[key] = key
		must(t, s.Close())
	}
}

func TestSnapshotsGivenUpByManualUse(t *testing.T) {
	s := logStore(t, t.TempDir(), Options{ManualSteps: true})
	fillSome(t, s)
	var users sync.WaitGroup
	for range 4 {
		users.Go(func() {
			for {
				if _, err := s.Snapshot(context.Background()); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	waitFor(t, "some snapshots", func() bool { return s.SnapshotState().OK > 2 })
	must(t, s.Close())
	eventually(t, "the users", start(users.Wait))
}
