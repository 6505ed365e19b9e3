package engine

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func openStore(t testing.TB, opt Options) *Store {
	t.Helper()
	s, err := Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// everyMode runs a test in every mode.
func everyMode(t *testing.T, test func(t *testing.T, mode Mode)) {
	for _, mode := range []Mode{ModeMemory, ModeBitcask} {
		t.Run(mode.String(), func(t *testing.T) { test(t, mode) })
	}
}

// inMode makes options of mode memory those of another one: with small files, and merges of all that is dead.
func inMode(mode Mode, opt Options) Options {
	if mode != ModeMemory {
		opt.Mode = mode
		opt.MaxFileBytes, opt.LogFileBytes = max(opt.LogFileBytes, 64<<10), 0
		opt.Merge.DeadPercent = 1
	}
	return opt
}

// modeStore is openStore for tests that need no folder: in a mode that does, calls wait no longer than without one.
func modeStore(t testing.TB, mode Mode, opt Options) *Store {
	t.Helper()
	if mode == ModeMemory {
		return openStore(t, opt)
	}
	opt.Level = LevelNever
	return logStore(t, t.TempDir(), inMode(mode, opt))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error %v, want %v", what, got, want)
	}
}

func wantValue(t testing.TB, s *Store, key, want string) {
	t.Helper()
	got, err := s.Get(nil, []byte(key))
	if err != nil || string(got) != want {
		t.Errorf("get %q: %q, %v, want %q", key, got, err, want)
	}
}

func TestOpenRefusesBadOptions(t *testing.T) {
	for name, opt := range map[string]Options{
		"segments no power of two": {Segments: 3},
		"segments negative":        {Segments: -1},
		"segments too many":        {Segments: 2 * SegmentsMax},
		"memory negative":          {MaxMemory: -1},
		"value too large":          {MaxValue: ValueMax + 1},
		"args negative":            {MaxArgs: -1},
		"compression unknown":      {Dir: "x", Compression: CompressionNone + 1},
		"retention negative":       {Dir: "x", RetainFor: -1},
		"retained bytes negative":  {Dir: "x", RetainBytes: -1},
		"retention without a log":  {Dir: "x", RetainFor: 1, WALOff: true},
		"no log and no folder":     {WALOff: true},
		"snapshots, no folder":     {SaveInterval: 1},
	} {
		s, err := Open(opt)
		wantErr(t, name, err, ErrArgument)
		if err == nil {
			must(t, s.Close())
		}
	}
}

func TestStoreSetGetDelete(t *testing.T) { everyMode(t, storeSetGetDelete) }

func storeSetGetDelete(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	key := []byte("k")
	_, err := s.Get(nil, key)
	wantErr(t, "get of nothing", err, ErrNotFound)
	must(t, s.Set(key, []byte("one")))
	wantValue(t, s, "k", "one")
	got, err := s.Get([]byte("prefix "), key)
	if err != nil || string(got) != "prefix one" {
		t.Errorf("get appends: %q, %v", got, err)
	}
	must(t, s.Delete(key))
	wantErr(t, "delete of nothing", s.Delete(key), ErrNotFound)
	must(t, s.Set(nil, nil))
	wantValue(t, s, "", "")
}

func TestStoreGetOfAnySize(t *testing.T) { everyMode(t, storeGetOfAnySize) }

func storeGetOfAnySize(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	for _, n := range []int{0, 1, 100, 65535, 65536, 65537, 3 << 20} {
		key, value := fmt.Appendf(nil, "size %d", n), bytes.Repeat([]byte{byte(n), 7}, n/2+1)[:n]
		must(t, s.Set(key, value))
		for _, room := range []int{0, n / 2, n, n + 1} {
			got, err := s.Get(make([]byte, 0, room), key)
			if err != nil || !bytes.Equal(got, value) {
				t.Errorf("value of %d bytes into room for %d: %d bytes, %v", n, room, len(got), err)
			}
		}
	}
}

func TestStoreConditions(t *testing.T) { everyMode(t, storeConditions) }

func storeConditions(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	key := []byte("k")
	_, err := s.SetWith(key, []byte("x"), SetOptions{IfExists: true})
	wantErr(t, "if it exists", err, ErrNotStored)
	v1, err := s.SetWith(key, []byte("1"), SetOptions{IfAbsent: true})
	must(t, err)
	_, err = s.SetWith(key, []byte("x"), SetOptions{IfAbsent: true})
	wantErr(t, "if it is absent", err, ErrNotStored)
	_, err = s.CompareAndSwap(key, []byte("x"), v1+1)
	wantErr(t, "swap with another version", err, ErrVersion)
	v2, err := s.CompareAndSwap(key, []byte("2"), v1)
	must(t, err)
	_, err = s.CompareAndSwap(key, []byte("x"), 0)
	wantErr(t, "swap for a new key", err, ErrVersion)
	_, err = s.SetWith(key, nil, SetOptions{IfAbsent: true, IfExists: true})
	wantErr(t, "both conditions", err, ErrArgument)
	got, info, err := s.GetInfo(nil, key)
	if err != nil || string(got) != "2" || info.Version != v2 || v2 <= v1 || info.Bytes != 1 {
		t.Errorf("%q %+v %v, want 2 with version %d > %d", got, info, err, v2, v1)
	}
}

func TestStoreIncr(t *testing.T) { everyMode(t, storeIncr) }

func storeIncr(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	for _, c := range []struct{ delta, want int64 }{{5, 5}, {-7, -2}, {0, -2}} {
		if got, err := s.Incr([]byte("n"), c.delta); err != nil || got != c.want {
			t.Errorf("incr by %d: %d, %v, want %d", c.delta, got, err, c.want)
		}
	}
	must(t, s.Set([]byte("n"), []byte("nine")))
	_, err := s.Incr([]byte("n"), 1)
	wantErr(t, "incr of a word", err, ErrNotNumber)
	must(t, s.Set([]byte("n"), []byte("9223372036854775807")))
	_, err = s.Incr([]byte("n"), 1)
	wantErr(t, "incr of the largest number", err, ErrOverflow)
}

func TestStoreExpiry(t *testing.T) { everyMode(t, storeExpiry) }

func storeExpiry(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	key, soon := []byte("k"), time.UnixMilli(s.Now()+3_600_000)
	_, err := s.SetWith(key, []byte("v"), SetOptions{Expire: soon})
	must(t, err)
	info, err := s.Info(key)
	if err != nil || !info.Expire.Equal(soon) {
		t.Errorf("%+v, %v, want expiry %v", info, err, soon)
	}
	_, err = s.SetWith(key, []byte("w"), SetOptions{KeepTTL: true})
	must(t, err)
	if info, err = s.Info(key); err != nil || !info.Expire.Equal(soon) {
		t.Errorf("after KeepTTL: %+v, %v", info, err)
	}
	must(t, s.Expire(key, time.Time{}))
	if info, err = s.Info(key); err != nil || !info.Expire.IsZero() {
		t.Errorf("after removing the expiry: %+v, %v", info, err)
	}
	must(t, s.Expire(key, time.UnixMilli(s.Now()-1)))
	_, err = s.Info(key)
	wantErr(t, "after an expiry in the past", err, ErrNotFound)
	wantErr(t, "expire of nothing", s.Expire(key, soon), ErrNotFound)
}

// TestStoreReclaimsExpired waits for the driver to remove keys that nobody reads.
func TestStoreReclaimsExpired(t *testing.T) { everyMode(t, storeReclaimsExpired) }

func storeReclaimsExpired(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	at := time.UnixMilli(s.Now() + 20)
	for i := range 1000 {
		_, err := s.SetWith(fmt.Appendf(nil, "k%d", i), nil, SetOptions{Expire: at})
		must(t, err)
	}
	waitFor(t, "the driver to remove expired keys", func() bool { return s.Stats().Expired == 1000 })
	if n := s.Stats().Keys; n != 0 {
		t.Errorf("%d keys left", n)
	}
}

func TestStoreScan(t *testing.T) { everyMode(t, storeScan) }

func storeScan(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	want := map[string]bool{}
	for i := range 5000 {
		key := fmt.Sprintf("key:%d", i)
		if i%500 == 0 {
			key += string(bytes.Repeat([]byte{'x'}, 40000)) // larger than the scan's buffer
		}
		must(t, s.Set([]byte(key), []byte("four")))
		want[key] = true
	}
	for e, err := range s.Scan() {
		must(t, err)
		if e.Bytes != 4 || e.Version == 0 {
			t.Fatalf("entry %.20q: %+v", e.Key, e.Info)
		}
		delete(want, string(e.Key))
	}
	if len(want) != 0 {
		t.Errorf("%d keys were not visited", len(want))
	}
	visited := 0
	for range s.Scan() {
		visited++
		break
	}
	if visited != 1 {
		t.Errorf("break after %d entries", visited)
	}
}

func TestStoreFlush(t *testing.T) { everyMode(t, storeFlush) }

func storeFlush(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	for i := range 100 {
		must(t, s.Set(fmt.Appendf(nil, "k%d", i), nil))
	}
	must(t, s.Flush())
	if n := s.Stats().Keys; n != 0 {
		t.Errorf("%d keys after a flush", n)
	}
}

func TestStoreMaxMemory(t *testing.T) {
	s := openStore(t, Options{})
	used := s.Stats().UsedBytes
	must(t, s.SetMaxMemory(int64(used)+1<<20))
	err := s.Set([]byte("big"), make([]byte, 8<<20))
	wantErr(t, "a value over the limit", err, ErrMaxMemory)
	must(t, s.SetMaxMemory(0))
	must(t, s.Set([]byte("big"), make([]byte, 8<<20)))
	wantErr(t, "a negative limit", s.SetMaxMemory(-1), ErrArgument)
}

func TestStoreClosed(t *testing.T) { everyMode(t, storeClosed) }

func storeClosed(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{})
	must(t, s.Close())
	_, err := s.Get(nil, nil)
	wantErr(t, "get", err, ErrClosed)
	wantErr(t, "set", s.Set(nil, nil), ErrClosed)
	wantErr(t, "flush", s.Flush(), ErrClosed)
	_, err = s.Acquire()
	wantErr(t, "acquire", err, ErrClosed)
	_, err = s.NewSession(1)
	wantErr(t, "session", err, ErrClosed)
	for _, err := range s.Scan() {
		wantErr(t, "scan", err, ErrClosed)
	}
	wantErr(t, "close", s.Close(), ErrClosed)
	if s.Stats() != (Stats{}) || s.Step(StepExpire, 1) {
		t.Error("a closed store has statistics or work")
	}
}

// TestStoreConcurrent counts with two goroutines per processor while others flush, scan and step.
func TestStoreConcurrent(t *testing.T) { everyMode(t, storeConcurrent) }

func storeConcurrent(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{Segments: 4})
	const perWorker = 3000
	workers := 2 * runtime.GOMAXPROCS(0)
	var wg, others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, err := range s.Scan() {
				if err != nil {
					t.Error(err)
				}
			}
			s.Step(StepRetire, 1)
			s.Stats()
		}
	})
	for w := range workers {
		wg.Go(func() {
			own := fmt.Appendf(nil, "own %d", w)
			for i := range perWorker {
				if _, err := s.Incr([]byte("hot"), 1); err != nil {
					t.Error(err)
				}
				if n, err := s.Incr(own, 1); err != nil || n != int64(i+1) {
					t.Errorf("own counter is %d, %v, want %d", n, err, i+1)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	others.Wait()
	wantValue(t, s, "hot", fmt.Sprint(workers*perWorker))
}

// TestStoreAllocatesNothing: keys and values never enter the Go heap.
func TestStoreAllocatesNothing(t *testing.T) { everyMode(t, storeAllocatesNothing) }

func storeAllocatesNothing(t *testing.T, mode Mode) {
	s := modeStore(t, mode, Options{ManualSteps: true})
	key, value, buf := []byte("key"), make([]byte, 100), make([]byte, 0, 128)
	n := testing.AllocsPerRun(1000, func() {
		if s.Set(key, value) != nil {
			t.Error("set failed")
		}
		if _, err := s.Get(buf, key); err != nil {
			t.Error(err)
		}
		if s.Delete(key) != nil || s.Delete(key) != ErrNotFound {
			t.Error("delete failed")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per set, get and two deletes", n)
	}
}

// waitFor waits for a condition that somebody else brings about.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	tooLong := time.After(20 * time.Second)
	for !done() {
		select {
		case <-look.C:
		case <-tooLong:
			t.Fatalf("waited too long for %s", what)
		}
	}
}
