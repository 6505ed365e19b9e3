package engine

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestGateKeepsExclusiveApart runs shared and exclusive holders against each other; each looks for the others.
func TestGateKeepsExclusiveApart(t *testing.T) {
	g := newGate()
	var shared, exclusive, exclusiveTurns atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20000 {
				s := g.rlock()
				shared.Add(1)
				if exclusive.Load() != 0 {
					t.Error("a shared holder met an exclusive one")
				}
				shared.Add(-1)
				g.runlock(s)
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 2000 {
				g.lock()
				if exclusive.Add(1) != 1 || shared.Load() != 0 {
					t.Error("an exclusive holder was not alone")
				}
				exclusiveTurns.Add(1)
				exclusive.Add(-1)
				g.unlock()
			}
		})
	}
	wg.Wait()
	if exclusiveTurns.Load() != 4000 {
		t.Errorf("%d exclusive turns, want 4000", exclusiveTurns.Load())
	}
}

func TestGateAllocatesNothing(t *testing.T) {
	g := newGate()
	if n := testing.AllocsPerRun(1000, func() { g.runlock(g.rlock()) }); n != 0 {
		t.Errorf("%v allocations per shared hold", n)
	}
}

// BenchmarkGate is what the gate costs a request; compare -cpu 1,2.
func BenchmarkGate(b *testing.B) {
	g := newGate()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			g.runlock(g.rlock())
		}
	})
}
