package engine

import (
	"context"
	"fmt"
	"sync"
)

// Waiter is told when an LSN is durable, or never will be.
type Waiter interface {
	// Durable is called once, when the LSN given to Notify is durable or the log has failed: Store.Durable tells
	// which. It must not block.
	Durable()
}

type waiter struct {
	lsn uint64
	w   Waiter
}

// releaseBatch is how many waiters a releaser takes at a time, before another one helps.
const releaseBatch = 32

// Notify calls w.Durable when lsn is durable or the log has failed, and asks for a sync. It calls from a releaser's
// goroutine, or, when there is nothing to wait for, at once: the caller must hold no lock that w.Durable takes.
func (s *Store) Notify(lsn uint64, w Waiter) {
	if !s.commit.enqueue(lsn, w) {
		w.Durable()
	}
}

// enqueue returns false when there is nothing to wait for.
func (c *committer) enqueue(lsn uint64, w Waiter) bool {
	if c.manual {
		c.turn.Lock()
		c.commit(lsn)
		c.turn.Unlock()
	}
	c.mu.Lock()
	if c.decided(lsn) {
		c.mu.Unlock()
		return false
	}
	c.waiting = append(c.waiting, waiter{lsn, w})
	c.mu.Unlock()
	kick(c.wantSync)
	return true
}

// awaited reports whether somebody waits for an LSN that is not durable.
func (c *committer) awaited() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) > 0
}

// settle moves the waiters whose LSN is decided from waiting to ready.
func (c *committer) settle() {
	c.mu.Lock()
	keep := c.waiting[:0]
	for _, w := range c.waiting {
		if c.decided(w.lsn) {
			c.ready = append(c.ready, w.w)
		} else {
			keep = append(keep, w)
		}
	}
	clear(c.waiting[len(keep):]) // what has been released must not be held
	c.waiting = keep
	some := len(c.ready) > 0
	c.mu.Unlock()
	if some {
		kick(c.wantRelease)
	}
}

// release tells the waiters that are ready, a batch at a time. Several goroutines may be in it.
func (c *committer) release() {
	var batch [releaseBatch]Waiter
	for {
		n, more := c.takeReady(batch[:])
		if more {
			kick(c.wantRelease)
		}
		if n == 0 {
			return
		}
		for i, w := range batch[:n] {
			w.Durable()
			batch[i] = nil
		}
	}
}

func (c *committer) takeReady(batch []Waiter) (n int, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n = copy(batch, c.ready[c.readyAt:])
	clear(c.ready[c.readyAt : c.readyAt+n])
	c.readyAt += n
	if c.readyAt == len(c.ready) {
		c.ready, c.readyAt = c.ready[:0], 0
		return n, false
	}
	return n, true
}

// parked is a goroutine that waits.
type parked struct{ ch chan struct{} }

func (p *parked) Durable() { p.ch <- struct{}{} }

// parkedPool holds parked whose channel is empty and which nobody will tell anything.
var parkedPool = sync.Pool{New: func() any { return &parked{ch: make(chan struct{}, 1)} }}

// WaitDurable returns when lsn is durable; it does the work itself when nobody is at it. ErrNotDurable: the log has
// failed before. The context's error: its end came first, and lsn may become durable later.
func (s *Store) WaitDurable(ctx context.Context, lsn uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.waitDecided(lsn, ctx.Done()) {
		return ctx.Err()
	}
	return s.commit.outcome(lsn)
}

// waitDecided returns true when lsn is durable or the log has failed, and false when quit is closed before.
func (s *Store) waitDecided(lsn uint64, quit <-chan struct{}) bool {
	if s.TryCommit(lsn) {
		return true
	}
	p := parkedPool.Get().(*parked)
	if !s.commit.enqueue(lsn, p) {
		parkedPool.Put(p)
		return true
	}
	select {
	case <-p.ch:
		parkedPool.Put(p)
		return true
	case <-quit: // p stays in the queue and may be told any time: it can't be used again
		return false
	}
}

func (s *Store) waitDurable(lsn uint64) error { return s.WaitDurable(context.Background(), lsn) }

// Sync returns when everything that has been written so far is durable, whatever the levels of those writes.
// ErrUnsupported: the store has no log. ErrLoading: it isn't loaded yet. ErrNotDurable: the log has failed.
func (s *Store) Sync(ctx context.Context) error {
	switch {
	case s.closed.Load():
		return ErrClosed
	case s.loading.Load():
		return ErrLoading
	case s.opt.WALOff:
		return fmt.Errorf("engine: sync: the store writes no log (--wal off); take a snapshot to make it durable: %w",
			ErrUnsupported)
	case s.LogState() == LogNone:
		return fmt.Errorf("engine: sync: the store has no log, nothing of it can be made durable: %w", ErrUnsupported)
	}
	return s.WaitDurable(ctx, s.Appended())
}
