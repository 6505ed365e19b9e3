package transfer

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/proto"
)

const (
	readers   = 256      // reads under way
	dumpBytes = 64 << 20 // of the values that are under way; a larger one goes alone
	bufKeep   = 1 << 20  // a buffer for lines that grew beyond this is not kept
)

// Store is what a dump needs of a client.
type Store interface {
	Count(ctx context.Context) (int64, error)
	Scan(ctx context.Context, o client.ScanOptions) iter.Seq2[client.Entry, error]
	GetItem(ctx context.Context, key string) (client.Item, error)
}

// DumpTotals are what a dump came to.
type DumpTotals struct {
	Keys  int64 // entries written
	Bytes int64 // of the keys and values
	Gone  int64 // keys that had gone by the time that they were to be read
	// Damaged are keys whose values can't be read: their records are damaged, or the disk doesn't give them.
	Damaged int64
}

// A Dump writes every entry of a store. It is used once.
//
// One goroutine walks the keys with SCAN, many read the values, so that a request's way to the server and back counts
// little; each writes its line when it has it, in no order. A dump is no snapshot: it has every key that is there from
// beginning to end, each as it was at some moment in between, and a key may be there twice.
type Dump struct {
	from    Store
	timeout time.Duration // of one request
	room    *semaphore.Weighted
	total   atomic.Int64
	keys    atomic.Int64
	bytes   atomic.Int64
	gone    atomic.Int64
	damaged atomic.Int64
	tell    func(key string)
	buffers sync.Pool // of *[]byte

	mu sync.Mutex // guards w
	w  *bufio.Writer
}

// NewDump prepares a dump. timeout is how long one request may take. tell is called for each key whose value can't be read, from
// any goroutine.
func NewDump(from Store, w io.Writer, timeout time.Duration, tell func(key string)) *Dump {
	return &Dump{
		tell: tell,
		from: from, timeout: timeout, room: semaphore.NewWeighted(dumpBytes), w: bufio.NewWriterSize(w, readSize),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// Progress returns how many entries have been written, and about how many there are; total 0: it isn't known yet. It may
// be called at any time, from any goroutine.
func (d *Dump) Progress() (done, total int64) {
	done = d.keys.Load()
	return done, max(d.total.Load(), done)
}

// Run writes everything that can be read; see DumpTotals.Damaged. The totals are right in any case.
func (d *Dump) Run(ctx context.Context) (DumpTotals, error) {
	err := d.count(ctx)
	if err == nil {
		err = d.walk(ctx)
	}
	if err == nil {
		err = d.w.Flush()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return DumpTotals{Keys: d.keys.Load(), Bytes: d.bytes.Load(), Gone: d.gone.Load(), Damaged: d.damaged.Load()}, err
}

// count asks how many keys there are. A server that is loading its data is waited for here.
func (d *Dump) count(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	n, err := d.from.Count(ctx)
	d.total.Store(n)
	return err
}

// walk goes through the keys and has each written.
func (d *Dump) walk(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	var failed error
	for e, err := range d.from.Scan(ctx, client.ScanOptions{Metadata: true, Timeout: d.timeout}) {
		if failed = err; err != nil {
			break
		}
		weight := min(int64(e.Size)+overhead, dumpBytes)
		if d.room.Acquire(ctx, weight) != nil {
			break // a reader has failed, or ctx has ended: Wait or Run knows
		}
		group.Go(func() error {
			defer d.room.Release(weight)
			return d.entry(ctx, e.Key)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return failed
}

// entry writes one entry.
func (d *Dump) entry(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	item, err := d.from.GetItem(ctx, key)
	if errors.Is(err, client.ErrNotFound) {
		d.gone.Add(1)
		return nil
	}
	var ofServer *client.Error
	if errors.As(err, &ofServer) && (ofServer.Status == proto.ECORRUPT || ofServer.Status == proto.EIO) {
		d.damaged.Add(1)
		d.tell(key)
		return nil
	}
	if err != nil {
		return err
	}
	buf := d.buffers.Get().(*[]byte)
	*buf = AppendJSON((*buf)[:0], &Entry{Key: key, Value: item.Value, Expires: item.Expires})
	err = d.write(*buf)
	if cap(*buf) <= bufKeep {
		d.buffers.Put(buf)
	}
	if err == nil {
		d.keys.Add(1)
		d.bytes.Add(int64(len(key) + len(item.Value)))
	}
	return err
}

func (d *Dump) write(line []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.w.Write(line)
	return err
}
