package server

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Slowing down the guessing of passwords
//
// Failed guesses are counted per source: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber
// gets. After a few of them, which somebody who mistypes needs, each failure makes the source's next guess wait longer,
// up to a second. A right one makes up for all before it, and so does a quarter of an hour without a failure.
//
// Why no longer: those who share an address with a program that has an old password queue behind its guesses. One such
// program costs them two seconds, four cost them five. And a second is enough: it leaves 86,400 guesses a day.
//
//	(1) A guess is judged only when the source's wait is over. So the answer, the right one too, tells nothing earlier,
//	    and guessing over many connections at once is no faster than over one: the guesses of a source queue.
//	(2) Who waits holds his source's turn, or queues for it, in the order of arrival. While somebody does, nobody else of
//	    that source is judged, so `next` stays as it is while a turn is held.
//	(3) A guess that gives up (its client is gone, which the sweeper sees within two rounds, or the server stops) has
//	    changed nothing. A queue of a thousand guesses that ends leaves no debt to those who come later. Nothing else ends
//	    a wait, also not the limit on locked connections: the queue is finite, so the right guess in it comes to its turn.
//	(4) A source is dropped only by a right guess or by time, never to make room: else a source could have its own count
//	    dropped by filling the table from other addresses. There is room for guessSources, of which one IPv6 /48 may have
//	    guessSite, since it alone has 65,536 sources. One that finds no room shares a count in `rest` with its
//	    neighbours: an IPv4 /16 or an IPv6 /32, and those that a hash with a secret seed puts beside them. A right guess
//	    leaves that count as it is, because it may be somebody else's. So a single /48 makes unknown addresses of its own
//	    /32 wait, and only those for which there is no room. An attack that fills the table (8,192 IPv4 addresses, or
//	    128 /48s) makes unknown addresses wait that share a count with attackers; behind a queue that the attackers keep
//	    full they can come too late, or find (5). Known sources, and open connections, notice nothing.
//	(5) Waiting costs a goroutine, which the connection has anyway, and its buffers. guessesWaiting bounds that over all
//	    sources, so also how many locked connections live longer than lockedTime; a guess that would have to wait beyond
//	    it is refused unjudged.
type guard struct {
	first, most time.Duration // the wait after guessesFree failures; it doubles with each more, up to most
	seed        maphash.Seed  // of restOf

	mu      sync.Mutex // guards the fields below, and those of every source; a leaf
	sources map[netip.Addr]*source
	sites   map[netip.Addr]int // how many of sources an IPv6 /48 has; none is 0
	rest    [guessRest]source  // of the addresses for which there is no room in sources
	waiting int                // in all
}

// source is where guesses come from.
type source struct {
	turn     chan struct{} // of capacity 1: filled by the guess that is waiting for next; sends to it queue
	failures int
	next     time.Time // before that no guess is judged
	last     time.Time // when the newest failure was
	waiting  int       // guesses that hold the turn or queue for it
	shared   bool      // one of rest
}

const (
	guessesFree    = 3 // failures; the guess after them waits
	guessFirst     = 100 * time.Millisecond
	guessMost      = time.Second
	guessesForget  = 15 * time.Minute
	guessSources   = 8192
	guessSite      = 64
	guessRest      = 256
	guessesWaiting = 128
)

var (
	errWrongPassword  = errors.New("server: wrong user or password")
	errTooManyGuesses = errors.New("server: too many attempts to authenticate are waiting")
)

func newGuard() *guard {
	g := &guard{first: guessFirst, most: guessMost, seed: maphash.MakeSeed(), sources: map[netip.Addr]*source{},
		sites: map[netip.Addr]int{}}
	for i := range g.rest {
		g.rest[i] = newSource()
		g.rest[i].shared = true
	}
	return g
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
	return network(ip, 64)
}

func network(ip netip.Addr, bits int) netip.Addr { return netip.PrefixFrom(ip, bits).Masked().Addr() }

// restOf is the shared source of an address.
func (g *guard) restOf(from netip.Addr) *source {
	bits := 16
	if from.Is6() {
		bits = 32
	}
	return &g.rest[maphash.Comparable(g.seed, network(from, bits))%guessRest]
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
	if s == nil && !g.room(from) {
		return g.restOf(from)
	}
	return s
}

func (g *guard) room(from netip.Addr) bool {
	return len(g.sources) < guessSources && (!from.Is6() || g.sites[network(from, 48)] < guessSite)
}

// add notes a source, for which there must be room.
func (g *guard) add(from netip.Addr) *source {
	s := newSource()
	g.sources[from] = &s
	if from.Is6() {
		g.sites[network(from, 48)]++
	}
	return &s
}

// drop forgets what add has noted.
func (g *guard) drop(from netip.Addr) {
	delete(g.sources, from)
	if !from.Is6() {
		return
	}
	site := network(from, 48)
	if g.sites[site]--; g.sites[site] == 0 {
		delete(g.sites, site)
	}
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
		s = g.add(from)
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
	if s == nil || s.shared {
		return
	}
	s.failures, s.next = 0, time.Time{}
	g.tidy(from, s)
}

// tidy forgets a source about which there is nothing to know.
func (g *guard) tidy(from netip.Addr, s *source) {
	if s.failures == 0 && s.waiting == 0 && !s.shared {
		g.drop(from)
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
			g.drop(from)
		}
	}
	for i := range g.rest {
		if s := &g.rest[i]; old(s) {
			s.failures, s.next = 0, time.Time{}
		}
	}
}
