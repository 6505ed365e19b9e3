package transfer

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/nitrokv/nitrokv/client"
)

const (
	writers   = 1024     // writes under way; more than enough for a server that syncs to disk a few hundred times a second
	queueSize = 4        // entries that wait for a writer
	roomBytes = 64 << 20 // of entries that wait or are under way; a larger one goes alone
	overhead  = 256      // bytes of memory that an entry takes beside its own
)

// Target is what a load needs of a client.
type Target interface {
	Set(ctx context.Context, key string, value []byte, options ...client.SetOption) error
}

// Options of a Load.
type Options struct {
	// Timeout is how long one write may take.
	Timeout time.Duration

	// KeepGoing passes over entries with something wrong. Problem, which may be nil, is told of each, one at a time.
	KeepGoing bool
	Problem   func(*EntryError)
}

// Totals are what a load came to.
type Totals struct {
	Loaded  int64 // entries
	Bytes   int64 // of their keys and values
	Expired int64 // their time was over; they were sent all the same, see Load
	Refused int64 // left out: something was wrong with them

	// Through is the last line up to which every entry has been loaded or left out; 0 if the source has no lines.
	Through int64
}

// A Load carries entries from a source to a target. It is used once.
//
// An entry whose time is over is sent like any other, and removes its key: left out, it would let an older value of the
// key stay for ever. It also leaves the server's clock to decide; this one's only says how to count the entry.
type Load struct {
	src    Source
	target Target
	opt    Options
	room   *semaphore.Weighted
	seed   maphash.Seed
	queues []chan Entry

	through int64 // the last line that was left out or handed to a writer; it belongs to Run's goroutine

	loaded, bytes, expired atomic.Int64

	broken atomic.Bool             // fatal is set: what is queued is not sent any more
	stop   context.CancelCauseFunc // ends the reading

	mu        sync.Mutex // guards the fields below
	refused   int64
	fatal     error // what ends the load; of several failures the one with the smallest line
	fatalLine int64
	missing   int64 // the smallest line that was neither loaded nor left out; 0: none
}

// NewLoad prepares a load. A nil target means that nothing is sent: the load only checks that the source can be read.
func NewLoad(src Source, target Target, o Options) *Load {
	return &Load{src: src, target: target, opt: o, room: semaphore.NewWeighted(roomBytes), seed: maphash.MakeSeed()}
}

// Loaded returns how many entries have been loaded so far. It may be called at any time, from any goroutine.
func (l *Load) Loaded() int64 { return l.loaded.Load() }

// Run loads everything. When ctx ends, the reading does, and Run returns the context's cause once the writes under way
// have been answered. The totals are right in any case.
func (l *Load) Run(ctx context.Context) (Totals, error) {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	l.stop = stop
	l.queues = make([]chan Entry, writers)
	var wg sync.WaitGroup
	for i := range l.queues {
		l.queues[i] = make(chan Entry, queueSize)
		wg.Go(func() { l.write(context.WithoutCancel(ctx), l.queues[i]) })
	}
	err := l.read(reading)
	for _, q := range l.queues {
		close(q)
	}
	wg.Wait()
	return l.outcome(ctx, err)
}

// read hands every entry to its writer, until the source ends or there is a reason to stop.
func (l *Load) read(ctx context.Context) error {
	for e, err := range l.src.Entries(ctx) {
		var wrong *EntryError
		switch {
		case errors.As(err, &wrong):
			err = l.refuse(wrong)
		case err == nil:
			err = l.send(ctx, e)
		}
		if err != nil {
			return err
		}
		l.through = e.Line
	}
	return nil
}

// refuse counts an entry that can't be loaded, if the load goes on all the same.
func (l *Load) refuse(wrong *EntryError) error {
	if !l.opt.KeepGoing {
		return wrong
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
	if l.opt.Problem != nil {
		l.opt.Problem(wrong)
	}
	return nil
}

// send queues an entry. All entries with one key go to one writer, so they take effect in their order.
func (l *Load) send(ctx context.Context, e Entry) error {
	if l.target == nil {
		l.count(&e, e.expired(time.Now()))
		return nil
	}
	if err := l.room.Acquire(ctx, e.weight()); err != nil {
		return context.Cause(ctx)
	}
	select {
	case l.queues[l.writer(e.Key, len(l.queues))] <- e:
		return nil
	case <-ctx.Done():
		l.room.Release(e.weight())
		return context.Cause(ctx)
	}
}

// writer returns which of n writers a key belongs to.
func (l *Load) writer(key string, n int) uint64 { return maphash.String(l.seed, key) % uint64(n) }

// weight is the room that an entry takes.
func (e *Entry) weight() int64 { return min(int64(len(e.Key)+len(e.Value)+overhead), roomBytes) }

// write sends the entries of a queue one by one. It is one of many that do.
func (l *Load) write(ctx context.Context, queue <-chan Entry) {
	for e := range queue {
		expired := e.expired(time.Now())
		if l.broken.Load() {
			l.miss(&e)
		} else if err := l.set(ctx, &e); err != nil {
			l.failed(&e, err)
		} else {
			l.count(&e, expired)
		}
		l.room.Release(e.weight())
	}
}

func (l *Load) count(e *Entry, expired bool) {
	if expired {
		l.expired.Add(1)
		return
	}
	l.loaded.Add(1)
	l.bytes.Add(int64(len(e.Key) + len(e.Value)))
}

// set makes one write.
func (l *Load) set(ctx context.Context, e *Entry) error {
	ctx, cancel := context.WithTimeout(ctx, l.opt.Timeout)
	defer cancel()
	if e.Expires.IsZero() {
		return l.target.Set(ctx, e.Key, e.Value)
	}
	return l.target.Set(ctx, e.Key, e.Value, client.WithExpiry(e.Expires))
}

// failed deals with a write that did not succeed: it is the entry's fault, or the end of the load.
func (l *Load) failed(e *Entry, err error) {
	wrong := &EntryError{l.src.Place(e), err}
	if OfEntry(wrong) && l.refuse(wrong) == nil {
		return
	}
	l.mu.Lock()
	if l.fatal == nil || e.Line < l.fatalLine {
		l.fatal, l.fatalLine = wrong, e.Line
	}
	l.mu.Unlock()
	l.broken.Store(true)
	l.stop(errStopped)
	l.miss(e)
}

// OfEntry reports whether something is wrong with the entry itself, rather than with the server that it was sent to: others
// may go through. A server that is out of memory counts, for it may have room for smaller entries.
func OfEntry(err *EntryError) bool {
	var ofServer *client.Error
	return !errors.As(err, &ofServer) || errors.Is(err, client.ErrTooLarge) || errors.Is(err, client.ErrInvalid) || errors.Is(err, client.ErrOutOfMemory)
}

var errStopped = errors.New("a write has failed")

// miss notes that an entry was not loaded.
func (l *Load) miss(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.missing == 0 || e.Line < l.missing {
		l.missing = e.Line
	}
}

// outcome is called when everything has ended. err is why the reading did.
func (l *Load) outcome(ctx context.Context, err error) (Totals, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := Totals{Loaded: l.loaded.Load(), Bytes: l.bytes.Load(), Expired: l.expired.Load(), Refused: l.refused, Through: l.through}
	if l.missing > 0 {
		t.Through = min(t.Through, l.missing-1)
	}
	switch {
	case l.fatal != nil:
		return t, l.fatal
	case ctx.Err() != nil:
		return t, context.Cause(ctx)
	}
	return t, err
}
