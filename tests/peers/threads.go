package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// The threads measurement drives the engine in this process as the server does for a connection (take a chunk, put input
// in, prepare, execute, drop the replies, give the chunk back), only without sockets: what is left is what
// the engine and its locks allow. One goroutine is compared with two.

// A workload is what every goroutine sends.
type workload struct {
	name     string
	pipeline int
	hot      bool // every request is a SET of one key, instead of 1:1 GET and SET on all
}

var workloads = []workload{
	{"p1", 1, false}, {"p16", 16, false}, {"p64", 64, false},
	{"hot_p1", 1, true}, {"hot_p16", 16, true}, {"hot_p64", 64, true},
}

// requestsPerWorker is how many different requests a goroutine cycles through: enough that the processor's caches don't
// hold the entries they touch.
const requestsPerWorker = 1 << 18

// runThreads is the subcommand: it prints requests per second of each workload with one and with two goroutines.
func runThreads(args []string, stdout io.Writer) error {
	fs := newFlagSet("peers threads")
	keys := fs.Int("keys", 1_000_000, "number of keys")
	duration := fs.Duration("duration", time.Second, "of each measurement")
	if err := fs.Parse(args); err != nil {
		return refusef("%v", err)
	}
	store, err := engine.Open(engine.Options{})
	if err != nil {
		return err
	}
	err = measureThreads(store, *keys, *duration, stdout)
	return errors.Join(err, store.Close())
}

func measureThreads(store *engine.Store, keys int, duration time.Duration, stdout io.Writer) error {
	value := randomBytes(rand.New(rand.NewPCG(1, 1)), 64)
	for i := range keys {
		if err := store.Set(appendKey(nil, i), value); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	for _, w := range workloads {
		for workers := 1; workers <= 2; workers++ {
			rate, err := w.measure(store, workers, keys, duration)
			if err != nil {
				return fmt.Errorf("%s with %d goroutines: %w", w.name, workers, err)
			}
			if _, err := fmt.Fprintf(stdout, "%s_%d %.0f\n", w.name, workers, rate); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure returns the requests per second that the workers do together.
func (w workload) measure(store *engine.Store, workers, keys int, duration time.Duration) (float64, error) {
	var (
		stop     atomic.Bool
		wg       sync.WaitGroup
		counts   = make([]int, workers)
		failures = make([]error, workers)
		crew     = make([]*worker, workers)
	)
	for i := range crew {
		var err error
		if crew[i], err = newWorker(store, w, keys, uint64(i)); err != nil {
			return 0, err
		}
		defer crew[i].session.Close()
	}
	began := time.Now()
	for i, c := range crew {
		wg.Go(func() { counts[i], failures[i] = c.run(&stop) })
	}
	timer := time.AfterFunc(duration, func() { stop.Store(true) })
	defer timer.Stop()
	wg.Wait()
	seconds := time.Since(began).Seconds()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return float64(sum) / seconds, errors.Join(failures...)
}

// A worker is one goroutine's connection without a socket.
type worker struct {
	store   *engine.Store
	session *engine.Session
	batches [][]byte // each a pipeline of RESP requests
	replies []int    // bytes that each batch's replies must have
	size    int      // requests of a batch
}

func newWorker(store *engine.Store, w workload, keys int, id uint64) (*worker, error) {
	session, err := store.NewSession(id + 1)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(id, uint64(w.pipeline)))
	value := randomBytes(rng, 64)
	getReply := len(respWire.getReply(nil, nil, value))
	k := &worker{store: store, session: session, size: w.pipeline}
	for range requestsPerWorker / w.pipeline {
		var batch []byte
		replies := 0
		for range w.pipeline {
			get := rng.IntN(2) == 0 && !w.hot
			key := appendKey(nil, rng.IntN(keys))
			if w.hot {
				key = appendKey(key[:0], 0)
			}
			if get {
				batch = respWire.appendGet(batch, key)
				replies += getReply
			} else {
				batch = respWire.appendSet(batch, key, value)
				replies += len(respWire.setReply)
			}
		}
		k.batches = append(k.batches, batch)
		k.replies = append(k.replies, replies)
	}
	return k, nil
}

// run sends batch after batch until stop; it returns the number of requests answered.
func (k *worker) run(stop *atomic.Bool) (int, error) {
	done := 0
	for i := 0; !stop.Load(); i = (i + 1) % len(k.batches) {
		got, err := k.batch(k.batches[i])
		if err != nil {
			return done, err
		}
		if got != k.replies[i] {
			return done, fmt.Errorf("%d reply bytes instead of %d", got, k.replies[i])
		}
		done += k.size
	}
	return done, nil
}

// batch runs one pipeline and returns the number of its reply bytes.
func (k *worker) batch(requests []byte) (replies int, err error) {
	c, err := k.store.Acquire()
	if err != nil {
		return 0, err
	}
	defer c.Release()
	c.Added(copy(c.Space(), requests))
	now := k.store.Now()
	for {
		if err := c.Prepare(k.session, now); err != nil {
			return 0, err
		}
		for {
			stop := c.Execute(k.session, now)
			replies += len(c.Out())
			c.ClearOut()
			if stop == engine.StopDone {
				break
			}
			if stop != engine.StopOut && stop != engine.StopBusy {
				return 0, fmt.Errorf("execute stopped with %d", stop)
			}
		}
		if !c.More() {
			return replies, nil
		}
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}
