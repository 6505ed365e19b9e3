package convert

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// A batch is written when it has so many bytes or keys; a larger value goes alone.
const (
	batchBytes = 1 << 20
	batchKeys  = 1024
)

// progressEvery is how many keys pass between two calls of Job.Progress.
const progressEvery = 256

// A Job converts one folder. It is used once.
type Job struct {
	From string      // a folder with a store of any mode that no process uses
	To   string      // the folder to make; an absolute name, free or that of an empty folder
	Mode engine.Mode // of To

	// Progress, which may be nil, is called now and then with what is done (reading the origin, …), how far that is, and how
	// far it goes, in bytes or keys.
	Progress func(stage string, done, total uint64)
}

// Totals are what a job came to.
type Totals struct {
	From    engine.Mode // of the origin
	Keys    uint64      // in the new folder
	Bytes   uint64      // of the keys and values that were read
	Expired uint64      // keys that were read, and have expired since
	Hash    string      // of the contents that were read
}

// The stages of a job, for Job.Progress.
const (
	stageRead    = "loading the origin"
	stageCopy    = "converting"
	stageReopen  = "loading the copy"
	stageCompare = "comparing"
)

// Run converts. After an error, the context's included, everything that it has made is gone; an origin that a process uses,
// or that can't be opened, is as it was.
func (j *Job) Run(ctx context.Context) (Totals, error) {
	if err := mustHoldStore(j.From); err != nil {
		return Totals{}, err
	}
	to, err := newFolder(j.To)
	if err != nil {
		return Totals{}, err
	}
	totals, err := j.make(ctx, to.store())
	if err == nil {
		err = to.keep()
	}
	return totals, errors.Join(err, to.remove())
}

// mustHoldStore refuses a folder that opening would make a store of.
func mustHoldStore(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "MANIFEST"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store in %s; name a folder that a server has been started with", dir)
	}
	return err
}

// make copies, and compares.
func (j *Job) make(ctx context.Context, dir string) (Totals, error) {
	var t Totals
	origin := newSum(time.Now().UnixMilli())
	if err := j.copy(ctx, dir, origin, &t); err != nil {
		return t, err
	}
	copied := newSum(origin.began)
	now, err := j.sumUp(ctx, dir, copied)
	if err != nil {
		return t, fmt.Errorf("read the new folder back: %w", err)
	}
	if t.Expired, err = compare(origin, copied, now); err != nil {
		return t, fmt.Errorf("%w; nothing is known to cause this but a fault of the machine, or of NitroKV: please report it", err)
	}
	read := origin.total()
	t.Keys, t.Hash = copied.total().keys, fmt.Sprintf("%016x%016x", read.a, read.b)
	return t, nil
}

// copy fills a new store, and stops it cleanly: everything is on disk then.
func (j *Job) copy(ctx context.Context, dir string, read *sum, t *Totals) (err error) {
	from, err := j.open(ctx, stageRead, engine.Options{Dir: j.From, ManualSteps: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	t.From = from.Mode()
	to, err := engine.Open(engine.Options{
		Dir: dir, Mode: j.Mode, Level: engine.LevelNever, SnapshotLogBytes: -1, Merge: engine.MergeOptions{Off: true},
	})
	if err != nil {
		return fmt.Errorf("make the new folder: %w", err)
	}
	b := batch{to: to}
	err = j.walk(ctx, stageCopy, from, func(item *engine.Item) error {
		read.add(item.Key, item.Value, item.Expire)
		t.Bytes += uint64(len(item.Key) + len(item.Value))
		return b.add(item)
	})
	if err == nil {
		err = b.write()
	}
	if stop := to.Close(); stop != nil && err == nil {
		err = fmt.Errorf("make the new folder durable: %w", stop)
	}
	return err
}

// sumUp opens the new folder as a server will, and returns the time at the end, by the store or the system, whatever is later.
func (j *Job) sumUp(ctx context.Context, dir string, to *sum) (now int64, err error) {
	s, err := j.open(ctx, stageReopen, engine.Options{Dir: dir, Mode: j.Mode, ManualSteps: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = j.walk(ctx, stageCompare, s, func(item *engine.Item) error {
		to.add(item.Key, item.Value, item.Expire)
		return nil
	})
	return max(s.Now(), time.Now().UnixMilli()), err
}

// open opens a store and loads it. The end of the context closes it meanwhile.
func (j *Job) open(ctx context.Context, stage string, opt engine.Options) (*engine.Store, error) {
	opt.Loading = true
	s, err := engine.Open(opt)
	if err != nil {
		return nil, err
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- s.Close() })
	_, err = s.Recover(func(done, total uint64) { j.tell(stage, done, total) })
	if !stop() {
		<-closed // what it says of a store that is given up is not news
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// walk hands every key to a function, until that fails or the context ends.
func (j *Job) walk(ctx context.Context, stage string, s *engine.Store, each func(*engine.Item) error) error {
	done, total := uint64(0), s.Stats().Keys
	j.tell(stage, done, total)
	for item, err := range s.Items() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := each(&item); err != nil {
			return err
		}
		if done++; done%progressEvery == 0 {
			j.tell(stage, done, total)
		}
	}
	return nil
}

func (j *Job) tell(stage string, done, total uint64) {
	if j.Progress != nil {
		j.Progress(stage, done, total)
	}
}

// A batch gathers keys for one write. None comes twice, so nobody minds where batches end.
type batch struct {
	to  *engine.Store
	ops []engine.Op
	mem []byte // what they refer to; earlier ones may refer to what was here before it grew
}

// add takes a key, whose bytes are the caller's afterwards.
func (b *batch) add(item *engine.Item) error {
	op := engine.Op{Key: item.Key, Value: item.Value, Expire: item.Expire}
	if len(item.Value) >= batchBytes {
		return b.put([]engine.Op{op})
	}
	op.Key, op.Value = b.keep(item.Key), b.keep(item.Value)
	b.ops = append(b.ops, op)
	if len(b.ops) < batchKeys && len(b.mem) < batchBytes {
		return nil
	}
	return b.write()
}

func (b *batch) keep(p []byte) []byte {
	at := len(b.mem)
	b.mem = append(b.mem, p...)
	return b.mem[at:]
}

// write writes what has been gathered.
func (b *batch) write() error {
	err := b.put(b.ops)
	clear(b.ops)
	b.ops, b.mem = b.ops[:0], b.mem[:0]
	return err
}

func (b *batch) put(ops []engine.Op) error {
	if err := b.to.Write(ops); err != nil {
		return fmt.Errorf("write %d keys to the new folder: %w", len(ops), err)
	}
	return nil
}
