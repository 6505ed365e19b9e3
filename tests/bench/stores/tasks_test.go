package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets the test's binary be its own child, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childWord {
		exit(runChild(os.Args[2], os.Stdout))
	}
	os.Exit(m.Run())
}

// smallJob is a job with a folder of its own.
func smallJob(t *testing.T, name, store string) job {
	t.Helper()
	return job{Task: name, Store: store, Dir: t.TempDir(), Keys: 2500, ValueBytes: 100, Goroutines: 3, Seed: 1,
		FileBytes: 1 << 20, Rate: 20_000}
}

func TestEveryContenderWritesAndReadsBack(t *testing.T) {
	for _, c := range writing() {
		for _, sync := range []bool{false, true} {
			j := smallJob(t, taskSet, c.name)
			j.Sync = sync
			if sync {
				j.Duration = 50 * time.Millisecond
			}
			got, err := runSet(j)
			if err != nil || got[perSecond] <= 0 || got[perSecondClosed] > got[perSecond] {
				t.Errorf("%s, sync %v: %v, %v", c.name, sync, got, err)
			}
		}
	}
}

func TestEveryContenderIsFilledReadAndOpened(t *testing.T) {
	for _, c := range reading() {
		j := smallJob(t, taskFill, c.name)
		j.Duration = 20 * time.Millisecond
		if _, err := runFill(j); err != nil {
			t.Fatalf("fill %s: %v", c.name, err)
		}
		if got, err := runGet(j); err != nil || got[perSecond] <= 0 {
			t.Errorf("get %s: %v, %v", c.name, got, err)
		}
		if got, err := runOpen(j); err != nil || got[openSeconds] <= 0 {
			t.Errorf("open %s: %v, %v", c.name, got, err)
		}
	}
}

func TestMissingKeyIsAnErrorOfEveryContender(t *testing.T) {
	for _, c := range contenders() {
		j := smallJob(t, taskFill, c.name)
		err := j.with(func(s store) error {
			if _, err := s.get(nil, []byte("nobody")); err == nil {
				t.Errorf("%s has a key that nobody wrote", c.name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestChildReportsMetricsAndErrors(t *testing.T) {
	j := smallJob(t, taskSet, ours().name)
	if got, err := j.start(t.Context()); err != nil || got[perSecond] <= 0 {
		t.Errorf("a child's metrics: %v, %v", got, err)
	}
	j.Store = "nobody's"
	if _, err := j.start(t.Context()); err == nil || !strings.Contains(err.Error(), "no store is called") {
		t.Errorf("a child that fails: %v", err)
	}
}

func TestMemoryIsMeasured(t *testing.T) {
	got, err := runMemory(smallJob(t, taskMemory, ours().name))
	if err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
}

// fakeStore is a map. It forgets a key, and merges for a moment.
type fakeStore struct {
	mu     sync.Mutex
	values map[string][]byte
	forget string
	broken error // of merge
}

func newFake() *fakeStore { return &fakeStore{values: map[string][]byte{}} }

func (f *fakeStore) set(key, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if string(key) != f.forget {
		f.values[string(key)] = bytes.Clone(value)
	}
	return nil
}

func (f *fakeStore) get(dst, key []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	value, ok := f.values[string(key)]
	if !ok {
		return dst, errors.New("not there")
	}
	return append(dst[:0], value...), nil
}

func (f *fakeStore) load(pairs []pair) error {
	for _, p := range pairs {
		if err := f.set(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeStore) close() error { return nil }

func (f *fakeStore) merge(ctx context.Context) error {
	if f.broken != nil {
		return f.broken
	}
	time.Sleep(20 * time.Millisecond) // as long as a merge takes
	return ctx.Err()
}

func TestForgottenKeyIsNoticed(t *testing.T) {
	w := newWorkload(100)
	w.shuffle(500)
	for _, forget := range []string{"", "key:000000000123"} {
		s, workers := newFake(), crew(w, 3, 1)
		s.forget = forget
		if _, err := setAll(s, workers, job{Keys: 500}); err != nil {
			t.Fatal(err)
		}
		if done(workers) != 500 {
			t.Errorf("%d keys written, want 500", done(workers))
		}
		if err := compareAll(s, workers); (err != nil) != (forget != "") {
			t.Errorf("forgetting %q: %v", forget, err)
		}
	}
}

func TestLatenciesAreTakenIdleAndDuringMerges(t *testing.T) {
	w, s := newWorkload(100), newFake()
	j := job{Keys: 100, Goroutines: 2, Rate: 20_000, Duration: 200 * time.Millisecond}
	if err := fill(s, w, j.Keys, j.Goroutines); err != nil {
		t.Fatal(err)
	}
	got, err := j.idleAndMerging(s, s, w)
	if err != nil || len(got) != 6 || got[mergeRuns] < 1 {
		t.Errorf("%v, %v", got, err)
	}
	s.broken = errors.New("the disk is full")
	if _, err := j.idleAndMerging(s, s, w); !errors.Is(err, s.broken) {
		t.Errorf("a merge that fails: %v", err)
	}
}

func TestP99NeedsEnoughSamples(t *testing.T) {
	took := make([]time.Duration, latenciesMin)
	for i := range took {
		took[len(took)-1-i] = time.Duration(i) * time.Microsecond
	}
	if got, err := p99(took); err != nil || got != 990 {
		t.Errorf("p99 of 0 to 999 µs is %v, %v", got, err)
	}
	if _, err := p99(took[1:]); err == nil {
		t.Error("a p99 of too few samples")
	}
}
