package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The metrics of runMerge; times in µs.
const (
	idleGet   = "GET p99 idle"
	idleSet   = "SET p99 idle"
	mergeGet  = "GET p99 during merges"
	mergeSet  = "SET p99 during merges"
	mergeRuns = "merges"
	mergeTime = "s of merges"
)

const (
	latenciesMin = 1000 // operations that a p99 is taken of: then ten are slower
	mergesMax    = 100  // of one measurement
)

// runMerge measures paced GETs and SETs of a store half of whose records are dead, first idle, then during merges.
func runMerge(j job) (got metrics, err error) {
	w := newWorkload(j.ValueBytes)
	w.shuffle(j.Keys)
	err = j.with(func(s store) error {
		m, ok := s.(merger)
		if !ok {
			return fmt.Errorf("%s has no merge", j.Store)
		}
		for range 2 {
			if err := fill(s, w, j.Keys, j.Goroutines); err != nil {
				return err
			}
		}
		got, err = j.idleAndMerging(s, m, w)
		return err
	})
	return got, err
}

// idleAndMerging measures both phases. The second one lasts until merges have run as long as the first did.
func (j job) idleAndMerging(s store, m merger, w *workload) (metrics, error) {
	idle, err := j.paced(s, w, func() bool { return true }, func(elapsed time.Duration) bool { return elapsed < j.Duration })
	if err != nil {
		return nil, err
	}
	loop := j.startMerges(m, func() error { return fill(s, w, j.Keys/2, j.Goroutines) })
	busy, err := j.paced(s, w, loop.merging.Load, func(time.Duration) bool { return !loop.over.Load() })
	if err = errors.Join(err, loop.wait()); err != nil {
		return nil, err
	}
	got := metrics{mergeRuns: float64(loop.runs), mergeTime: loop.took.Seconds()}
	for _, p := range []struct {
		name string
		took []time.Duration
	}{{idleGet, idle.gets}, {idleSet, idle.sets}, {mergeGet, busy.gets}, {mergeSet, busy.sets}} {
		if got[p.name], err = p99(p.took); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return got, nil
}

// merges is a goroutine that makes records dead and merges, in turns.
type merges struct {
	merging atomic.Bool
	over    atomic.Bool
	ended   sync.WaitGroup

	runs int // this and the rest are set before it ends
	took time.Duration
	err  error
}

// startMerges begins; spoil makes records dead. It ends when merges have taken long enough, or were many.
func (j job) startMerges(m merger, spoil func() error) *merges {
	l := &merges{}
	l.ended.Go(func() {
		defer l.over.Store(true)
		for l.took < j.Duration && l.runs < mergesMax && l.err == nil {
			l.err = l.turn(m, spoil, j.Duration-l.took)
		}
	})
	return l
}

// turn is one merge; only while it runs, operations count. It is waited for as long as time is left: the SETs make new records
// dead, so that a store which merges these too may have no end.
func (l *merges) turn(m merger, spoil func() error, left time.Duration) error {
	if err := spoil(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	began := time.Now()
	l.merging.Store(true)
	err := m.merge(ctx)
	l.merging.Store(false)
	l.took += time.Since(began)
	l.runs++
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// wait waits for the last merge.
func (l *merges) wait() error {
	l.ended.Wait()
	if l.err != nil {
		return fmt.Errorf("merge: %w", l.err)
	}
	return nil
}

// latencies are those of one phase.
type latencies struct{ gets, sets []time.Duration }

// paced has one goroutine read and one write, and keeps the latencies of what began while counts said so. more says
// after how long it ends.
func (j job) paced(s store, w *workload, counts func() bool, more func(time.Duration) bool) (latencies, error) {
	var out latencies
	var errs [2]error
	workers := crew(w, 2, j.Seed)
	var wg sync.WaitGroup
	wg.Go(func() {
		out.gets, errs[0] = j.pace(counts, more, func() error {
			return workers[0].getRandom(s, j.Keys, workers[0].operations+1, &deadline{})
		})
	})
	wg.Go(func() {
		out.sets, errs[1] = j.pace(counts, more, func() error { return workers[1].set(s, workers[1].random.IntN(j.Keys)) })
	})
	wg.Wait()
	return out, errors.Join(errs[:]...)
}

// pace does an operation at a fixed rate. Its time counts from when it was due if the one before was still running then, else
// from when this goroutine woke.
func (j job) pace(counts func() bool, more func(time.Duration) bool, do func() error) ([]time.Duration, error) {
	interval := time.Second / time.Duration(j.Rate)
	took := make([]time.Duration, 0, int(j.Duration/interval)+1)
	began := time.Now()
	for due := began; more(due.Sub(began)); due = due.Add(interval) {
		from := due
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
			from = time.Now()
		}
		counted := counts()
		if err := do(); err != nil {
			return nil, err
		}
		if counted {
			took = append(took, time.Since(from))
		}
	}
	return took, nil
}

// p99 is in µs.
func p99(took []time.Duration) (float64, error) {
	if len(took) < latenciesMin {
		return 0, fmt.Errorf("%d operations are too few for a p99, want %d: a longer -duration or a higher -rate gives more",
			len(took), latenciesMin)
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100]) / float64(time.Microsecond), nil
}
