package main

import (
	"fmt"
	"time"
)

// The metrics of these tasks.
const (
	perSecond       = "ops/s"
	perSecondClosed = "ops/s, closing counted"
	openSeconds     = "s to open"
)

const (
	fillBatch = 1000
	openProof = 1000 // keys that are read after an open, to see that it was one
)

// runSet writes each key once, or as many as the duration allows; then it closes the store, opens it again and compares
// every value that was written.
func runSet(j job) (metrics, error) {
	w := newWorkload(j.ValueBytes)
	w.shuffle(j.Keys)
	workers := crew(w, j.Goroutines, j.Seed)
	s, err := j.open()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	took, err := setAll(s, workers, j)
	if err != nil {
		_ = s.close() // the first error says more
		return nil, err
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	closed := time.Since(began)
	count := float64(done(workers))
	if err := j.with(func(s store) error { return compareAll(s, workers) }); err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	return metrics{perSecond: count / took.Seconds(), perSecondClosed: count / closed.Seconds()}, nil
}

// setAll has worker i of n write positions i, i+n, i+2n, …
func setAll(s store, workers []*worker, j job) (time.Duration, error) {
	var d deadline
	defer d.after(j.Duration)()
	return together(workers, func(w *worker) error {
		for at := w.index; at < j.Keys && !d.over.Load(); at += len(workers) {
			if err := w.set(s, w.at(at)); err != nil {
				return fmt.Errorf("set: %w", err)
			}
			w.operations++
		}
		return nil
	})
}

// compareAll reads everything that setAll has written.
func compareAll(s store, workers []*worker) error {
	_, err := together(workers, func(w *worker) error {
		for i := range w.operations {
			number := w.at(w.index + i*len(workers))
			if err := w.get(s, number); err != nil {
				return fmt.Errorf("key %d: %w", number, err)
			}
			if err := w.check(number, w.valueBuf); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// runFill makes a folder for other jobs.
func runFill(j job) (metrics, error) {
	w := newWorkload(j.ValueBytes)
	w.shuffle(j.Keys)
	return metrics{}, j.with(func(s store) error {
		if err := fill(s, w, j.Keys, j.Goroutines); err != nil {
			return err
		}
		if b, ok := s.(settler); ok {
			return b.settle()
		}
		return nil
	})
}

// fill writes all keys, each worker batch after batch.
func fill(s store, w *workload, keys, goroutines int) error {
	workers := crew(w, goroutines, 0)
	_, err := together(workers, func(w *worker) error {
		pairs := make([]pair, 0, fillBatch)
		for from := w.index * fillBatch; from < keys; from += len(workers) * fillBatch {
			pairs = w.pairs(pairs, from, min(from+fillBatch, keys))
			if err := s.load(pairs); err != nil {
				return fmt.Errorf("fill: %w", err)
			}
		}
		return nil
	})
	return err
}

// pairs makes a batch; none of its bytes are used again, because a store may keep them until a later commit.
func (w *worker) pairs(out []pair, from, to int) []pair {
	out = out[:0]
	for at := from; at < to; at++ {
		number := w.at(at)
		out = append(out, pair{w.key(nil, number), w.value(nil, number)})
	}
	return out
}

// runGet reads every key once, and then measures random reads of what is in the page cache.
func runGet(j job) (got metrics, err error) {
	w := newWorkload(j.ValueBytes)
	workers := crew(w, j.Goroutines, j.Seed)
	err = j.with(func(s store) error {
		if err := warm(s, workers, j.Keys); err != nil {
			return err
		}
		var d deadline
		defer d.after(j.Duration)()
		took, err := together(workers, func(w *worker) error { return w.getRandom(s, j.Keys, 0, &d) })
		got = metrics{perSecond: float64(done(workers)) / took.Seconds()}
		return err
	})
	return got, err
}

func warm(s store, workers []*worker, keys int) error {
	_, err := together(workers, func(w *worker) error {
		for number := w.index; number < keys; number += len(workers) {
			if err := w.get(s, number); err != nil {
				return fmt.Errorf("key %d: %w", number, err)
			}
			if err := w.check(number, w.valueBuf); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// runOpen measures how long it takes until a store has opened and answers.
func runOpen(j job) (metrics, error) {
	workers := crew(newWorkload(j.ValueBytes), 1, j.Seed)
	began := time.Now()
	var took time.Duration
	err := j.with(func(s store) error {
		if err := workers[0].getRandom(s, j.Keys, 1, &deadline{}); err != nil {
			return err
		}
		took = time.Since(began)
		return workers[0].getRandom(s, j.Keys, openProof, &deadline{})
	})
	return metrics{openSeconds: took.Seconds()}, err
}
