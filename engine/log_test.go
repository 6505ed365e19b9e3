package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// logStore opens a store whose log is in dir, and closes it at the end if the test has not.
func logStore(t testing.TB, dir string, opt Options) *Store {
	t.Helper()
	opt.Dir = dir
	return openStore(t, opt)
}

// killed returns a copy of the store's folder as it is between two calls of the log: what a process that is killed
// leaves.
func killed(t testing.TB, s *Store) string {
	t.Helper()
	s.commit.bar()
	defer s.commit.unbar()
	to := filepath.Join(t.TempDir(), "data")
	must(t, os.CopyFS(to, os.DirFS(s.opt.Dir)))
	return to
}

func TestSetIsDurableWhenItReturns(t *testing.T) { everyMode(t, setIsDurableWhenItReturns) }

func setIsDurableWhenItReturns(t *testing.T, mode Mode) {
	for _, manual := range []bool{false, true} {
		s := logStore(t, t.TempDir(), inMode(mode, Options{ManualSteps: manual}))
		for i := range 20 {
			version, err := s.SetWith([]byte("k"), fmt.Appendf(nil, "%d", i), SetOptions{})
			must(t, err)
			if s.Durable() < version {
				t.Fatalf("manual %v: version %d is acknowledged, durable is %d", manual, version, s.Durable())
			}
		}
		if s.LogState() != LogOK || s.LogError() != nil || s.Appended() < 20 {
			t.Errorf("state %v, error %v, appended %d", s.LogState(), s.LogError(), s.Appended())
		}
	}
}

func TestLowerLevelsAreWrittenWhenTheyReturn(t *testing.T) {
	everyMode(t, lowerLevelsAreWrittenWhenTheyReturn)
}

func lowerLevelsAreWrittenWhenTheyReturn(t *testing.T, mode Mode) {
	for _, level := range []Level{LevelNever, LevelEverysec} {
		s := logStore(t, t.TempDir(), inMode(mode, Options{Level: level, ManualSteps: true}))
		version, err := s.SetWith([]byte("k"), []byte("v"), SetOptions{})
		must(t, err)
		if s.Written() < version || s.Durable() >= version {
			t.Errorf("%v: version %d, written %d, durable %d", level, version, s.Written(), s.Durable())
		}
		must(t, s.Sync(t.Context()))
		if s.Durable() < version {
			t.Errorf("%v: durable %d after Sync, want %d", level, s.Durable(), version)
		}
	}
}

// TestReadsWaitForWhatTheyShow: a value, a miss that a delete has made, a refused condition, a scan.
func TestReadsWaitForWhatTheyShow(t *testing.T) { everyMode(t, readsWaitForWhatTheyShow) }

func readsWaitForWhatTheyShow(t *testing.T, mode Mode) {
	s := logStore(t, t.TempDir(), inMode(mode, Options{Level: LevelNever, ManualSteps: true}))
	key := []byte("k")
	for name, read := range map[string]func(version uint64) error{
		"a value":         func(uint64) error { _, err := s.Get(nil, key); return err },
		"its description": func(uint64) error { _, err := s.Info(key); return err },
		"a refused condition": func(uint64) error {
			_, err := s.SetWith(key, nil, SetOptions{IfAbsent: true})
			return swallow(err, ErrNotStored)
		},
		"another version": func(version uint64) error {
			_, err := s.CompareAndSwap(key, nil, version+1)
			return swallow(err, ErrVersion)
		},
		"no number": func(uint64) error { _, err := s.Incr(key, 1); return swallow(err, ErrNotNumber) },
		"a scan": func(uint64) error {
			for _, err := range s.Scan() {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"a miss after a delete": func(uint64) error {
			if err := s.Delete(key); err != nil {
				return err
			}
			s.level = LevelAlways
			_, err := s.Get(nil, key)
			return swallow(err, ErrNotFound)
		},
	} {
		s.level = LevelNever
		version, err := s.SetWith(key, []byte("v"), SetOptions{})
		must(t, err)
		if name != "a miss after a delete" {
			s.level = LevelAlways
		}
		if err := read(version); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.Durable() < s.Appended() {
			t.Errorf("%s was shown with durable %d of %d", name, s.Durable(), s.Appended())
		}
	}
}

func swallow(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return fmt.Errorf("got %w, want %w", err, expected)
}

// fillSome makes changes of every kind and returns what must be there afterwards.
func fillSome(t testing.TB, s *Store) map[string]string {
	want := map[string]string{}
	for i := range 300 {
		k, v := fmt.Sprintf("k%d", i), fmt.Sprintf("value %d", i)
		must(t, s.Set([]byte(k), []byte(v)))
		want[k] = v
	}
	for i := 0; i < 300; i += 3 {
		must(t, s.Delete(fmt.Appendf(nil, "k%d", i)))
		delete(want, fmt.Sprintf("k%d", i))
	}
	big := bytes.Repeat([]byte("0123456789"), 20_000)
	must(t, s.Set([]byte("big"), big))
	want["big"] = string(big)
	_, err := s.Incr([]byte("n"), 41)
	must(t, err)
	_, err = s.Incr([]byte("n"), 1)
	must(t, err)
	want["n"] = "42"
	must(t, s.Expire([]byte("k1"), time.UnixMilli(s.Now()+3_600_000)))
	must(t, s.Write([]Op{{Key: []byte("b1"), Value: []byte("x")}, {Key: []byte("k2"), Delete: true},
		{Key: []byte("b2"), Value: nil}, {Key: []byte("nobody"), Delete: true}}))
	want["b1"], want["b2"] = "x", ""
	delete(want, "k2")
	return want
}

func wantAll(t testing.TB, s *Store, want map[string]string) {
	t.Helper()
	for k, v := range want {
		got, err := s.Get(nil, []byte(k))
		if err != nil || string(got) != v {
			t.Fatalf("%s: %.40q, %v, want %.40q", k, got, err, v)
		}
	}
	if n := s.Stats().Keys; n != uint64(len(want)) {
		t.Errorf("%d keys, want %d", n, len(want))
	}
}

func TestRecoveryAfterACleanStop(t *testing.T) { everyMode(t, recoveryAfterACleanStop) }

func recoveryAfterACleanStop(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{Segments: 8}))
	if r := s.Recovery(); !r.Created || r.Keys != 0 {
		t.Errorf("a new folder: %+v", r)
	}
	want := fillSome(t, s)
	last := s.Appended()
	expire, err := s.Info([]byte("k1"))
	must(t, err)
	must(t, s.Close())
	if s.Durable() < last || s.Appended() < last {
		t.Errorf("durable %d, appended %d after Close, want %d", s.Durable(), s.Appended(), last)
	}

	s = logStore(t, dir, inMode(mode, Options{Segments: 64}))
	r := s.Recovery()
	if !r.Clean || r.Created || r.Keys != uint64(len(want)) || r.LastLSN != last || r.TailRecords != 0 || r.Took <= 0 {
		t.Errorf("%+v, want a clean stop at LSN %d with %d keys", r, last, len(want))
	}
	wantAll(t, s, want)
	if again, err := s.Info([]byte("k1")); err != nil || again != expire {
		t.Errorf("%+v, %v, want %+v", again, err, expire)
	}
}

// TestRecoveryAfterAKill: at every level, what was acknowledged is there; and it is the same after another kill.
func TestRecoveryAfterAKill(t *testing.T) { everyMode(t, recoveryAfterAKill) }

func recoveryAfterAKill(t *testing.T, mode Mode) {
	for _, level := range []Level{LevelNever, LevelEverysec, LevelAlways} {
		t.Run(level.String(), func(t *testing.T) {
			dir := t.TempDir()
			s := logStore(t, dir, inMode(mode, Options{Level: level}))
			want := fillSome(t, s)
			version := s.Appended()
			for range 2 {
				dir = killed(t, s)
				s = logStore(t, dir, inMode(mode, Options{Level: level}))
				if r := s.Recovery(); r.Clean || r.CutBytes != 0 || r.LastLSN < version {
					t.Errorf("%+v, want an unclean start with LSN %d", r, version)
				}
				wantAll(t, s, want)
			}
			v, err := s.SetWith([]byte("new"), nil, SetOptions{})
			must(t, err)
			if v < version+1<<24 {
				t.Errorf("version %d is given after a kill at %d", v, version)
			}
		})
	}
}

// TestClockGoesOnFromTheLog: a start with the system's clock behind gives no times that the log has passed.
func TestClockGoesOnFromTheLog(t *testing.T) {
	s := logStore(t, t.TempDir(), Options{})
	s.clock.raise(s.Now() + 3_600_000)
	must(t, s.Set([]byte("k"), nil))
	then := s.Now() - 1000 // the time of the write, or a little earlier
	if now := logStore(t, killed(t, s), Options{}).Now(); now < then {
		t.Errorf("the clock is %d ms behind the log", then-now)
	}
}

func TestFlushSurvives(t *testing.T) { everyMode(t, flushSurvives) }

func flushSurvives(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{}))
	fillSome(t, s)
	must(t, s.Flush())
	if s.Durable() != s.Appended() {
		t.Errorf("flushed with durable %d of %d", s.Durable(), s.Appended())
	}
	must(t, s.Set([]byte("k"), []byte("v")))
	s = logStore(t, killed(t, s), inMode(mode, Options{}))
	wantAll(t, s, map[string]string{"k": "v"})
}

// TestLogFilesRotate: small files, several writers; every key is there afterwards.
func TestLogFilesRotate(t *testing.T) { everyMode(t, logFilesRotate) }

func logFilesRotate(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{LogFileBytes: 64 << 10, Level: LevelNever}))
	value := bytes.Repeat([]byte("v"), 1000)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				noErr(t, s.Set(fmt.Appendf(nil, "%d/%d", w, i), value))
			}
		})
	}
	wg.Wait()
	must(t, s.Set([]byte("larger than a file"), bytes.Repeat(value, 300)))
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	must(t, err)
	if len(files) < 5 {
		t.Errorf("%d files for 800 KB in files of 64 KiB", len(files))
	}
	s = logStore(t, killed(t, s), inMode(mode, Options{}))
	if r := s.Recovery(); r.Keys != 801 || r.Files < 5 {
		t.Errorf("%+v, want 801 keys from several files", r)
	}
}

// TestConcurrentWritersAtAlways is the group commit with the real log, and the store as it was acknowledged.
func TestConcurrentWritersAtAlways(t *testing.T) { everyMode(t, concurrentWritersAtAlways) }

func concurrentWritersAtAlways(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{LogFileBytes: 256 << 10}))
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 50 {
				v, err := s.SetWith(fmt.Appendf(nil, "%d", w), fmt.Appendf(nil, "%d", i), SetOptions{})
				if err != nil || s.Durable() < v {
					t.Errorf("%v, version %d with durable %d", err, v, s.Durable())
				}
				if _, err := s.Get(nil, fmt.Appendf(nil, "%d", (w+1)%16)); err != nil && !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s = logStore(t, killed(t, s), inMode(mode, Options{}))
	for w := range 16 {
		wantValue(t, s, fmt.Sprint(w), "49")
	}
}

// TestCloseDuringWriters: each write is acknowledged and there afterwards, or was refused by a closed store.
func TestCloseDuringWriters(t *testing.T) { everyMode(t, closeDuringWriters) }

func closeDuringWriters(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{}))
	var acknowledged [8]int
	var writes atomic.Int64
	var wg sync.WaitGroup
	for w := range acknowledged {
		wg.Go(func() {
			for i := 1; ; i++ {
				err := s.Set(fmt.Appendf(nil, "%d", w), fmt.Appendf(nil, "%d", i))
				if err != nil {
					wantErr(t, "a write while the store is closed", err, ErrClosed)
					return
				}
				acknowledged[w] = i
				writes.Add(1)
			}
		})
	}
	waitFor(t, "some writes", func() bool { return writes.Load() > 100 })
	must(t, s.Close())
	eventually(t, "the writers", start(wg.Wait))
	s = logStore(t, dir, inMode(mode, Options{}))
	if !s.Recovery().Clean {
		t.Error("the stop was not clean")
	}
	for w, n := range acknowledged {
		wantValue(t, s, fmt.Sprint(w), fmt.Sprint(n))
	}
}

func TestLoading(t *testing.T) { everyMode(t, loading) }

func loading(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{}))
	want := fillSome(t, s)
	must(t, s.Close())
	s = logStore(t, dir, inMode(mode, Options{Loading: true}))
	_, err := s.Get(nil, []byte("n"))
	wantErr(t, "get", err, ErrLoading)
	wantErr(t, "set", s.Set([]byte("n"), nil), ErrLoading)
	wantErr(t, "flush", s.Flush(), ErrLoading)
	wantErr(t, "sync", s.Sync(t.Context()), ErrLoading)
	if s.Step(StepExpire, 1) || s.Recovery() != (Recovery{}) {
		t.Error("a store that is loading has work, or has recovered")
	}
	c := newClient(t, s)
	if out, _ := c.send(resp("GET", "n") + resp("PING")); !bytes.HasPrefix([]byte(out), []byte("-LOADING ")) ||
		!bytes.HasSuffix([]byte(out), []byte("+PONG\r\n")) {
		t.Errorf("while loading: %q", out)
	}
	var last, total uint64
	r, err := s.Recover(func(d, n uint64) { last, total = d, n })
	must(t, err)
	if r != s.Recovery() || last != total || total == 0 {
		t.Errorf("%+v with %d of %d bytes read", r, last, total)
	}
	wantAll(t, s, want)
	if again, err := s.Recover(nil); err != nil || again != r {
		t.Errorf("a second Recover: %+v, %v", again, err)
	}
}

// TestCloseWhileLoading changes nothing in the folder.
func TestCloseWhileLoading(t *testing.T) { everyMode(t, closeWhileLoading) }

func closeWhileLoading(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{}))
	want := fillSome(t, s)
	dir = killed(t, s)
	s = logStore(t, dir, inMode(mode, Options{Loading: true}))
	must(t, s.Close())
	_, err := s.Recover(nil)
	wantErr(t, "recover after close", err, ErrClosed)
	wantAll(t, logStore(t, dir, inMode(mode, Options{})), want)
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{})
	_, err := Open(Options{Dir: dir})
	wantErr(t, "a second store", err, ErrInUse)
	must(t, s.Close())
	must(t, logStore(t, dir, Options{}).Close())
}

func TestDamageIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{})
	fillSome(t, s)
	must(t, s.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	must(t, err)
	data, err := os.ReadFile(files[0])
	must(t, err)
	data[len(data)/2] ^= 1
	must(t, os.WriteFile(files[0], data, 0o600))
	_, err = Open(Options{Dir: dir})
	wantErr(t, "a flipped bit", err, ErrCorrupt)
	if err != nil && !bytes.Contains([]byte(err.Error()), []byte(filepath.Base(files[0]))) {
		t.Errorf("the error does not name the file: %v", err)
	}
}

func TestSyncWithoutALog(t *testing.T) {
	s := openStore(t, Options{})
	must(t, s.Set([]byte("k"), nil))
	wantErr(t, "sync", s.Sync(t.Context()), ErrUnsupported)
	must(t, s.WaitDurable(t.Context(), 1<<62))
	must(t, s.WaitWritten(1<<62, LevelEverysec))
	if s.LogState() != LogNone || s.Recovery() != (Recovery{}) {
		t.Errorf("state %v, recovery %+v", s.LogState(), s.Recovery())
	}
	if r, err := s.Recover(nil); err != nil || r != (Recovery{}) {
		t.Errorf("recover: %+v, %v", r, err)
	}
}

// TestBatchIsWhole: a batch is seen whole by who reads, and by who comes after a kill.
func TestBatchIsWhole(t *testing.T) { everyMode(t, batchIsWhole) }

func batchIsWhole(t *testing.T, mode Mode) {
	dir := t.TempDir()
	s := logStore(t, dir, inMode(mode, Options{Level: LevelNever}))
	var stop atomic.Bool
	writer := start(func() {
		for i := 0; !stop.Load(); i++ {
			v := fmt.Appendf(nil, "%d", i)
			ops := make([]Op, 20)
			for k := range ops {
				ops[k] = Op{Key: fmt.Appendf(nil, "k%d", k), Value: v}
			}
			noErr(t, s.Write(ops))
		}
	})
	waitFor(t, "some batches", func() bool { return s.Appended() > 2000 })
	dir = killed(t, s)
	stop.Store(true)
	eventually(t, "the writer", writer)
	s = logStore(t, dir, inMode(mode, Options{}))
	first, err := s.Get(nil, []byte("k0"))
	must(t, err)
	for k := range 20 {
		wantValue(t, s, fmt.Sprintf("k%d", k), string(first))
	}
	must(t, s.Write(nil))
}

// limitFiles lets no file of this process grow beyond the limit until the function is called, or the test ends.
func limitFiles(t testing.TB, bytes uint64) (restore func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: old.Max}))
	restore = sync.OnceFunc(func() {
		noErr(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old))
		signal.Reset(syscall.SIGXFSZ)
	})
	t.Cleanup(restore)
	return restore
}

// TestLogGoesOnWhenAFileCannotGrow: a file may not get as large as it should (here because of a limit on the size of
// files, else because the disk is nearly full); then the log goes on in the next one.
func TestLogGoesOnWhenAFileCannotGrow(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{Level: LevelNever, LogFileBytes: 64 << 20})
	restore := limitFiles(t, 3<<20)

	value := bytes.Repeat([]byte("v"), 10_000)
	eventually(t, "ten megabytes in files of three", start(func() {
		for i := range 1000 {
			if err := s.Set(fmt.Appendf(nil, "%d", i), value); err != nil {
				t.Errorf("key %d: %v", i, err)
				return
			}
		}
	}))
	must(t, s.Sync(t.Context()))
	restore()
	r := logStore(t, killed(t, s), Options{}).Recovery()
	if r.Keys != 1000 || r.Files < 4 {
		t.Errorf("%+v, want 1000 keys in at least four files", r)
	}
}

// TestChunkGates: replies say what they wait for.
func TestChunkGates(t *testing.T) { everyMode(t, chunkGates) }

func chunkGates(t *testing.T, mode Mode) {
	s := logStore(t, t.TempDir(), inMode(mode, Options{ManualSteps: true}))
	ss, err := s.NewSession(1)
	must(t, err)
	defer ss.Close()
	if ss.Level() != LevelAlways || ss.LastLSN() != 0 {
		t.Errorf("a new session: %v, %d", ss.Level(), ss.LastLSN())
	}
	ch, err := s.Acquire()
	must(t, err)
	defer ch.Release()
	run := func(in string) {
		ch.Added(copy(ch.Space(), in))
		must(t, ch.Prepare(ss, s.Now()))
		if stop := ch.Execute(ss, s.Now()); stop != StopDone {
			t.Fatalf("stop %d", stop)
		}
	}
	run(resp("PING") + resp("SET", "k", "v") + resp("GET", "k"))
	if ch.Gates() != 2 {
		t.Fatalf("%d gates, want 2", ch.Gates())
	}
	set, get := ch.Gate(0), ch.Gate(1)
	if set.LSN != ss.LastLSN() || !set.Wrote || set.Level != LevelAlways ||
		string(ch.Out()[set.From:set.To]) != "+OK\r\n" {
		t.Errorf("the gate of SET is %+v, last LSN %d", set, ss.LastLSN())
	}
	if get.LSN != set.LSN || get.Wrote || string(ch.Out()[get.From:get.To]) != "$1\r\nv\r\n" {
		t.Errorf("the gate of GET is %+v", get)
	}
	from := len(ch.Out())
	must(t, ch.Reply([]byte("+host\r\n")))
	must(t, ch.GateReply(ss, from, set.LSN, true))
	if g := ch.Gate(2); g.From != from || g.To != len(ch.Out()) || !g.Wrote || g.LSN != set.LSN {
		t.Errorf("the gate of the host's reply is %+v", g)
	}
	ch.ClearOut()
	ch.Compact()
	if ch.Gates() != 0 {
		t.Error("gates without replies")
	}
	must(t, s.WaitDurable(t.Context(), set.LSN))
	run(resp("GET", "k"))
	if ch.Gates() != 0 {
		t.Errorf("%d gates on what is durable", ch.Gates())
	}
	ch.ClearOut()
	ch.Compact()
	ss.SetLevel(LevelNever)
	run(resp("SET", "k", "w"))
	if ch.Gates() != 1 || ch.Gate(0).Level != LevelNever {
		t.Errorf("%d gates at level never", ch.Gates())
	}
	must(t, s.WaitWritten(ch.Gate(0).LSN, LevelNever))
	ch.ClearOut()
}

// TestDurableSetAllocatesNothing: a commit on the caller's own goroutine costs Go no memory.
func TestDurableSetAllocatesNothing(t *testing.T) {
	s := logStore(t, t.TempDir(), Options{ManualSteps: true})
	key, value, buf := []byte("key"), make([]byte, 100), make([]byte, 0, 128)
	n := testing.AllocsPerRun(100, func() {
		if s.Set(key, value) != nil {
			t.Error("set failed")
		}
		if _, err := s.Get(buf, key); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per set and get", n)
	}
}

// BenchmarkSetDurable is a direct write at level always; compare goroutines=1 with a loop of pwrite and fdatasync.
func BenchmarkSetDurable(b *testing.B) {
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			s := logStore(b, b.TempDir(), Options{})
			value := bytes.Repeat([]byte("v"), 64)
			b.SetParallelism(max(1, n/runtime.GOMAXPROCS(0)))
			var worker atomic.Uint32
			run := func(next func() bool) {
				key := benchKey(worker.Add(1))
				for next() {
					must(b, s.Set(key, value))
				}
			}
			b.ResetTimer()
			if n == 1 {
				i := 0
				run(func() bool { i++; return i <= b.N })
				return
			}
			b.RunParallel(func(pb *testing.PB) { run(pb.Next) })
		})
	}
}
