package main

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A worker is one goroutine of a measurement, with buffers of its own.
type worker struct {
	*workload
	index      int // of all workers
	keyBuf     []byte
	valueBuf   []byte
	random     *rand.Rand
	operations int
}

// crew makes the workers before the clock starts.
func crew(w *workload, workers int, seed uint64) []*worker {
	out := make([]*worker, workers)
	for i := range out {
		out[i] = &worker{workload: w, index: i, keyBuf: make([]byte, 0, keyBytes), valueBuf: make([]byte, 0, w.valueBytes),
			random: rand.New(rand.NewPCG(seed, uint64(i)))}
	}
	return out
}

// together runs all workers at once and returns how long that took.
func together(workers []*worker, do func(*worker) error) (time.Duration, error) {
	errs := make([]error, len(workers))
	var wg sync.WaitGroup
	began := time.Now()
	for i, w := range workers {
		wg.Go(func() { errs[i] = do(w) })
	}
	wg.Wait()
	return time.Since(began), errors.Join(errs...)
}

// done counts the operations of all workers.
func done(workers []*worker) int {
	n := 0
	for _, w := range workers {
		n += w.operations
	}
	return n
}

// A deadline is a flag that is cheaper to look at than the clock.
type deadline struct{ over atomic.Bool }

// after sets the flag when the duration has passed; 0 is never. stop gives the timer back.
func (d *deadline) after(duration time.Duration) (stop func()) {
	if duration == 0 {
		return func() {}
	}
	t := time.AfterFunc(duration, func() { d.over.Store(true) })
	return func() { t.Stop() }
}

// set writes the key of a number.
func (w *worker) set(s store, number int) error {
	w.keyBuf, w.valueBuf = w.key(w.keyBuf, number), w.value(w.valueBuf, number)
	return s.set(w.keyBuf, w.valueBuf)
}

// get reads the key of a number; the result lies in valueBuf.
func (w *worker) get(s store, number int) (err error) {
	w.keyBuf = w.key(w.keyBuf, number)
	w.valueBuf, err = s.get(w.valueBuf, w.keyBuf)
	return err
}

// getRandom reads keys below `keys` at random until the deadline, `most` at the most (0: any number).
func (w *worker) getRandom(s store, keys, most int, d *deadline) error {
	for !d.over.Load() && (most == 0 || w.operations < most) {
		number := w.random.IntN(keys)
		if err := w.get(s, number); err != nil {
			return err
		}
		if err := w.checkStamp(number, w.valueBuf); err != nil {
			return err
		}
		w.operations++
	}
	return nil
}
