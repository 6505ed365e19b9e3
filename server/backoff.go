package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Slowing down the guessing of passwords
//
// Failed guesses are counted per source: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber
// gets. After a few of them, which somebody who mistypes needs, each failure makes the source's next guess wait longer,
// up to a few seconds. A right one makes up for all before it, and so does a quarter of an hour without a failure.
//
//	(1) A guess is judged only when the source's wait is over. So the answer, the right one too, tells nothing earlier,
//	    and guessing over many connections at once is no faster than over one: the guesses of a source queue.
//	(2) Who waits holds his source's turn, or queues for it, in the order of arrival. While somebody does, nobody else of
//	    that source is judged, so `next` stays as it is while a turn is held.
//	(3) A guess that gives up (its client is gone, the server stops) has changed nothing. A queue of a thousand guesses
//	    that ends leaves no debt to those who come later.
//	(4) A source is dropped only by a right guess or by time, never to make room: else a source could have its own count
//	    dropped by filling the table from other addresses. Sources that find no room share one count, `rest`. A right guess
//	    leaves that one as it is, because it may be somebody else's. So an attack from thousands of networks slows down
//	    logins from unknown addresses with a failure among them; open connections notice nothing.
//	(5) Waiting costs a goroutine, which the connection has anyway, and its buffers. guessesWaiting bounds that; a guess
//	    beyond it is refused unjudged.
type guard struct {
	first, most time.Duration // the wait after guessesFree failures; it doubles with each more, up to most

	mu      sync.Mutex // guards the fields below, and those of every source; a leaf
	sources map[netip.Addr]*source
	rest    source // of all addresses for which there is no room in sources
	waiting int    // in all
}

// source is where guesses come from.
type source struct {
	turn     chan struct{} // of capacity 1: filled by the guess that is waiting for next; sends to it queue
	failures int
	next     time.Time // before that no guess is judged
	last     time.Time // when the newest failure was
	waiting  int       // guesses that hold the turn or queue for it
}

const (
	guessesFree    = 3 // failures; the guess after them waits
	guessFirst     = 100 * time.Millisecond
	guessMost      = 5 * time.Second
	guessesForget  = 15 * time.Minute
	guessSources   = 8192
	guessesWaiting = 128
)

var (
	errWrongPassword  = errors.New("server: wrong user or password")
	errTooManyGuesses = errors.New("server: too many attempts to authenticate are waiting")
)

func newGuard() *guard {
	return &guard{first: guessFirst, most: guessMost, sources: map[netip.Addr]*source{}, rest: newSource()}
}

func newSource() source { return source{turn: make(chan struct{}, 1)} }

// sourceOf is the network that a client's guesses are counted for.
func sourceOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip
	}
	return netip.PrefixFrom(ip, 64).Masked().Addr()
}

// judge tells, after the wait that is due, whether a guess is right: nil or errWrongPassword. Every other error means
// that it was not judged: errTooManyGuesses, or ctx's own.
func (g *guard) judge(ctx context.Context, from netip.Addr, right bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.find(from)
	if s != nil && (s.waiting > 0 || time.Now().Before(s.next)) {
		if g.waiting >= guessesWaiting {
			return errTooManyGuesses
		}
		if err := g.queue(ctx, s); err != nil {
			g.tidy(from, s)
			return err
		}
		defer func() { <-s.turn }()
	}
	if right {
		g.forgive(from, s)
		return nil
	}
	g.count(from, s)
	return errWrongPassword
}

// find returns the source of an address, nil if nothing is known about it and there is room to note something.
func (g *guard) find(from netip.Addr) *source {
	s := g.sources[from]
	if s == nil && len(g.sources) >= guessSources {
		return &g.rest
	}
	return s
}

// queue waits for the source's turn, and until its wait is over. It unlocks mu meanwhile. Without an error the caller
// has the turn.
func (g *guard) queue(ctx context.Context, s *source) error {
	g.waiting++
	s.waiting++
	g.mu.Unlock()
	err := g.await(ctx, s)
	g.mu.Lock()
	g.waiting--
	s.waiting--
	return err
}

func (g *guard) await(ctx context.Context, s *source) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	g.mu.Lock()
	pause := time.NewTimer(time.Until(s.next))
	g.mu.Unlock()
	defer pause.Stop()
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		<-s.turn
		return context.Cause(ctx)
	}
}

// count notes a failure.
func (g *guard) count(from netip.Addr, s *source) {
	if s == nil {
		fresh := newSource()
		s = &fresh
		g.sources[from] = s
	}
	s.failures++
	s.last = time.Now()
	s.next = s.last.Add(g.delay(s.failures))
}

// delay is how long the guess after so many failures has to wait.
func (g *guard) delay(failures int) time.Duration {
	if failures < guessesFree {
		return 0
	}
	d := g.first
	for n := guessesFree; n < failures && d < g.most; n++ {
		d *= 2
	}
	return min(d, g.most)
}

// forgive drops a source's failures after a right guess.
func (g *guard) forgive(from netip.Addr, s *source) {
	if s == nil || s == &g.rest {
		return
	}
	s.failures, s.next = 0, time.Time{}
	g.tidy(from, s)
}

// tidy forgets a source about which there is nothing to know.
func (g *guard) tidy(from netip.Addr, s *source) {
	if s.failures == 0 && s.waiting == 0 && s != &g.rest {
		delete(g.sources, from)
	}
}

// forget drops the sources that have not failed for long.
func (g *guard) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	old := func(s *source) bool { return s.waiting == 0 && now.Sub(s.last) >= guessesForget }
	for from, s := range g.sources {
		if old(s) {
			delete(g.sources, from)
		}
	}
	if old(&g.rest) {
		g.rest.failures, g.rest.next = 0, time.Time{}
	}
}
