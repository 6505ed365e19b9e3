package load

import (
	"sync"
	"sync/atomic"
)

// insertions number the keys that workload D inserts and know which of them can be read. All loops share them: what one
// inserts, the others read.
type insertions struct {
	next   atomic.Int64 // the number of the next key
	stored atomic.Int64 // every key below this has been stored

	mu    sync.Mutex     // guards early
	early map[int64]bool // keys from stored on that have been answered; the one at stored is not among them
}

// newInsertions starts behind the keys that are there already.
func newInsertions(keys int64) *insertions {
	i := &insertions{early: make(map[int64]bool)}
	i.next.Store(keys)
	i.stored.Store(keys)
	return i
}

// insert returns the number for a new key.
func (i *insertions) insert() uint64 { return uint64(i.next.Add(1) - 1) }

// answered notes that a key was stored, or refused: then it reads as a miss, which is counted, while waiting for it
// would keep all later keys from being read.
func (i *insertions) answered(key uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.early[int64(key)] = true
	stored := i.stored.Load()
	for i.early[stored] {
		delete(i.early, stored)
		stored++
	}
	i.stored.Store(stored)
}

// latest draws keys such that the newest are the most popular: the i-th newest has a probability proportional to
// 1/i^theta, among all that are there. It belongs to one loop.
type latest struct {
	zipf zipf
	in   *insertions
}

func (l *latest) pick(r *rng) uint64 {
	stored := uint64(l.in.stored.Load())
	l.zipf.grow(stored)
	return stored - 1 - l.zipf.rank(r)
}
