package engine

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// The gate
//
// The engine's functions come in two kinds (nitro.h, THREADS): shared ones may run on any number of threads at
// once, exclusive ones need the store to themselves: FLUSHALL, retiring memory that a prefetch may still look
// at, close. The gate is what keeps them apart: a reader-writer lock that normal work, reads and writes of keys
// alike, holds for reading.
//
// One sync.RWMutex would do that, but its reader count is one cache line that every request of every processor
// writes; the line then travels between cores and two cores get slower than one. So the gate is striped:
//
//	(1) A shared holder holds one stripe, any one, for reading.
//	(2) An exclusive holder holds all stripes for writing, taken in ascending order, so two of them can't deadlock.
//	(3) From (1) and (2): while an exclusive holder is inside, no shared holder is, and the other way round.
//	(4) Nobody who holds a stripe asks for another one: an exclusive waiter in between would make that a deadlock.
//	(5) A stripe is given back on the stripe it was taken on, whatever processor the goroutine has moved to.
//	(6) A direct call that reads from disk leaves the gate before, and the store has to stay open all the same: so it
//	    takes `reads` of its stripe while it still holds the stripe. Only Close takes that exclusively (drain), after
//	    it has had the gate exclusively and everybody finds the store closed: so nobody waits for it, and nobody comes
//	    after it.
//
// Which stripe? The best is "that of the processor I run on", which Go doesn't tell. A sync.Pool does know,
// because its free items lie with the processor that put them back: get takes the stripe that this processor
// used last, put leaves it there. The pool holds pointers to existing stripes only, so it may lose or duplicate
// them at will (it does, at each GC): a duplicate costs a shared cache line for a while, never correctness,
// since (1) allows any stripe. There are four stripes per processor, so that duplicates rarely meet.
//
// Writers come first in a sync.RWMutex: once an exclusive holder waits, new readers queue behind it. It
// therefore gets in after at most one chunk per stripe has finished, and the wait it causes is that plus its
// own bounded work.
type gate struct {
	stripes []stripe
	next    atomic.Uint32 // the stripe to hand out when the pool has none
	pool    sync.Pool     // of *stripe
}

// stripesPerProc trades the cost of an exclusive hold (one lock each) against stripes shared by chance.
const stripesPerProc = 4

// stripe is one part of the gate, with the chunk that its processor used last: whoever takes the stripe from the pool
// finds a chunk whose memory is in this processor's cache.
type stripe struct {
	mu    sync.RWMutex
	free  atomic.Pointer[Chunk] // nil: none
	used  *tallies              // what the stripe's requests have done
	reads sync.RWMutex          // held shared by reads of the disk that began on this stripe; order: after mu
	_     [128 - 64]byte        // two cache lines: neighbours are prefetched in pairs
}

func newGate() *gate {
	g := &gate{stripes: make([]stripe, stripesPerProc*runtime.GOMAXPROCS(0))}
	for i := range g.stripes {
		g.stripes[i].used = newTallies()
	}
	g.pool.New = func() any {
		i := g.next.Add(1) - 1
		return &g.stripes[int(i)%len(g.stripes)]
	}
	return g
}

// get returns a stripe that probably no other processor uses now. It is given back with put, unlocked.
func (g *gate) get() *stripe  { return g.pool.Get().(*stripe) }
func (g *gate) put(t *stripe) { g.pool.Put(t) }

// rlock enters the gate shared; runlock(t) leaves it.
func (g *gate) rlock() *stripe {
	t := g.get()
	t.mu.RLock()
	return t
}

func (g *gate) runlock(t *stripe) {
	t.mu.RUnlock()
	g.put(t)
}

// lock enters the gate exclusively.
func (g *gate) lock() {
	for i := range g.stripes {
		g.stripes[i].mu.Lock()
	}
}

func (g *gate) unlock() {
	for i := range g.stripes {
		g.stripes[i].mu.Unlock()
	}
}

// drain returns when all reads of the disk are over that began before the store was closed.
func (g *gate) drain() {
	for i := range g.stripes {
		g.stripes[i].reads.Lock()
	}
	for i := range g.stripes {
		g.stripes[i].reads.Unlock()
	}
}
