package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	backoffMin = 5 * time.Millisecond
	backoffMax = time.Second
)

// slot is the place of one connection, which it makes when needed and replaces when broken.
type slot struct {
	pool    *pool
	current atomic.Pointer[conn] // the latest; may be broken

	mu       sync.Mutex // guards the fields below
	attempt  *attempt   // under way, shared by all who wait for it
	failures int        // in a row
}

// attempt is one try to connect. conn and err may be read once done is closed.
type attempt struct {
	done chan struct{}
	conn *conn
	err  error
}

// get returns a working connection, and makes one if there is none.
func (s *slot) get(ctx context.Context) (*conn, error) {
	if cn := s.current.Load(); cn != nil && cn.alive() {
		return cn, nil
	}
	a, err := s.join()
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.conn, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the attempt that is under way, or starts one. The attempt has its own time limit rather
// than a caller's context, because several callers may wait for it.
func (s *slot) join() (*attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempt != nil {
		return s.attempt, nil
	}
	a := &attempt{done: make(chan struct{})}
	if cn := s.current.Load(); cn != nil && cn.alive() { // made since the caller looked
		a.conn = cn
		close(a.done)
		return a, nil
	}
	if !s.pool.goroutine(func() { s.connect(a) }) {
		return nil, ErrClosed
	}
	s.attempt = a
	return a, nil
}

// connect carries an attempt out, after the pause that earlier failures demand, and then serves the
// connection until it ends.
func (s *slot) connect(a *attempt) {
	s.mu.Lock()
	pause := backoff(s.failures)
	s.mu.Unlock()
	cn, err := s.dialAfter(pause)
	s.mu.Lock()
	s.attempt = nil
	if err != nil {
		s.failures++
		a.err = err
	} else {
		s.failures = 0
		a.conn = cn
		s.current.Store(cn)
	}
	s.mu.Unlock()
	close(a.done)
	if cn != nil {
		stop := context.AfterFunc(s.pool.ctx, func() { cn.close(ErrClosed) })
		cn.run()
		stop()
	}
}

// backoff is the pause after a number of failures in a row: doubling, with a random half, so that many
// clients don't return to a restarted server at the same moment.
func backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	d := min(backoffMin<<min(failures-1, 16), backoffMax)
	return d/2 + rand.N(d/2+1)
}

func (s *slot) dialAfter(pause time.Duration) (*conn, error) {
	p := s.pool
	if err := sleep(p.ctx, pause); err != nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.opt.DialTimeout)
	defer cancel()
	nc, err := p.opt.Dial(ctx, "tcp", p.addr)
	if err != nil {
		if p.ctx.Err() != nil {
			return nil, ErrClosed
		}
		return nil, &lostError{addr: p.addr, cause: err}
	}
	cn, err := greet(ctx, p.addr, nc, &p.opt)
	if err != nil {
		return nil, errors.Join(&lostError{addr: p.addr, cause: err}, nc.Close())
	}
	return cn, nil
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
