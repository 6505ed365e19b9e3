package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var attacker = netip.MustParseAddr("192.0.2.1")

// addrNumber is one of many addresses.
func addrNumber(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func (g *guard) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}

func (g *guard) known() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sources)
}

func (g *guard) failures(from netip.Addr) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.sources[from].failures
}

// guess judges one attempt and returns how long it took.
func guess(t *testing.T, g *guard, from netip.Addr, right bool) time.Duration {
	t.Helper()
	begin := time.Now()
	err := g.judge(t.Context(), from, right)
	if right && err != nil || !right && !errors.Is(err, errWrongPassword) {
		t.Errorf("a guess that is right: %v, was answered %v", right, err)
	}
	return time.Since(begin)
}

// TestGuessesGetSlower, to a limit, and only those of the address that fails.
func TestGuessesGetSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		ms := time.Millisecond
		for i, want := range []time.Duration{0, 0, 0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms} {
			if d := guess(t, g, attacker, false); d != want {
				t.Errorf("wrong guess %d waited %v, want %v", i+1, d, want)
			}
			if d := guess(t, g, addrNumber(1), true); d != 0 {
				t.Errorf("somebody else waited %v", d)
			}
		}
		if d := guess(t, g, attacker, true); d != guessMost {
			t.Errorf("the right guess after the wrong ones waited %v, want %v", d, guessMost)
		}
		if d := guess(t, g, attacker, false); d != 0 || g.failures(attacker) != 1 {
			t.Errorf("after a right guess a wrong one waited %v, %d failures", d, g.failures(attacker))
		}
	})
}

// TestRightGuessAmongWrongOnes: up to three programs with an old password, which try again at once for ever, don't keep
// out who has the right one and the time that the Go client takes for a connection. A fourth makes it those five seconds.
func TestRightGuessAmongWrongOnes(t *testing.T) {
	for stale := 1; stale <= 3; stale++ {
		synctest.Test(t, func(t *testing.T) {
			const dialTimeout = 5 * time.Second
			g := newGuard()
			ctx, cancel := context.WithCancel(t.Context())
			for range stale {
				go func() {
					for ctx.Err() == nil {
						_ = g.judge(ctx, attacker, false) // the counts below are what matters
					}
				}()
			}
			time.Sleep(time.Minute) // of the bubble's clock: the waits are as long as they get
			if n := g.failures(attacker); n < 30 {
				t.Errorf("%d failures in a minute: the test is about a busy queue", n)
			}
			late, stop := context.WithTimeout(t.Context(), dialTimeout)
			defer stop()
			if err := g.judge(late, attacker, true); err != nil {
				t.Errorf("the right guess beside %d programs with wrong ones: %v", stale, err)
			}
			cancel()
			synctest.Wait()
		})
	}
}

// TestWaitingIsOverByItself: who has waited elsewhere doesn't wait again.
func TestWaitingIsOverByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for range guessesFree {
			guess(t, g, attacker, false)
		}
		time.Sleep(guessFirst) // of the bubble's clock
		if d := guess(t, g, attacker, false); d != 0 {
			t.Errorf("it waited %v", d)
		}
	})
}

// TestParallelGuessesQueue: many connections of one address are no faster than one, in the order in which they came.
func TestParallelGuessesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for range guessesFree {
			guess(t, g, attacker, false)
		}
		begin := time.Now()
		done := make([]time.Duration, 8)
		for i := range done {
			go func() {
				guess(t, g, attacker, i == 6)
				done[i] = time.Since(begin)
			}()
			synctest.Wait() // it is in the queue
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		var want time.Duration
		for i, d := range done {
			if i < 7 { // the right one before makes up for all
				want += g.delay(guessesFree + i)
			}
			if d != want {
				t.Errorf("guess %d was answered after %v, want %v", i, d, want)
			}
		}
		if g.queued() != 0 || g.failures(attacker) != 1 {
			t.Errorf("%d wait, %d failures", g.queued(), g.failures(attacker))
		}
	})
}

// TestNobodyOvertakesTheQueue: whose wait is over while somebody of the same address still has the turn queues behind him.
func TestNobodyOvertakesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for range guessesFree {
			guess(t, g, attacker, false)
		}
		s := g.sources[attacker]
		s.turn <- struct{}{} // somebody who is slow to wake up
		s.waiting++
		time.Sleep(time.Minute)
		var judged atomic.Bool
		go func() {
			guess(t, g, attacker, true)
			judged.Store(true)
		}()
		synctest.Wait()
		if judged.Load() || g.queued() != 1 {
			t.Errorf("judged: %v, %d wait", judged.Load(), g.queued())
		}
		<-s.turn
		synctest.Wait()
		if !judged.Load() {
			t.Error("it waits on although it is its turn")
		}
	})
}

// TestGivingUpLeavesNoDebt: a crowd that leaves the queue has no effect on who comes later.
func TestGivingUpLeavesNoDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for range guessesFree {
			guess(t, g, attacker, false)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for range guessesWaiting {
			go func() {
				if err := g.judge(ctx, attacker, true); !errors.Is(err, context.Canceled) {
					t.Errorf("a guess that has given up: %v", err)
				}
			}()
		}
		synctest.Wait()
		if err := g.judge(ctx, attacker, true); !errors.Is(err, errTooManyGuesses) {
			t.Errorf("one more than may wait: %v", err)
		}
		if d := guess(t, g, addrNumber(1), true); d != 0 {
			t.Errorf("somebody who needn't wait waited %v", d)
		}
		cancel()
		synctest.Wait()
		if d := guess(t, g, attacker, false); d != guessFirst || g.queued() != 0 {
			t.Errorf("the next guess waited %v, %d are left", d, g.queued())
		}
	})
}

// TestRightGuessesLeaveNothing behind, so that they need no room.
func TestRightGuessesLeaveNothing(t *testing.T) {
	g := newGuard()
	for i := range 10 {
		guess(t, g, addrNumber(i), true)
	}
	if g.known() != 0 {
		t.Errorf("%d sources", g.known())
	}
}

// TestSourcesAreBounded, and nobody's count is dropped to make room.
func TestSourcesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for range guessesFree {
			guess(t, g, attacker, false)
		}
		for i := range 2 * guessSources {
			go func() { // those beyond the bound share one wait, and many give up
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_ = g.judge(ctx, addrNumber(i), false) // the counts below are what matters
			}()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if g.known() != guessSources || g.queued() != 0 {
			t.Errorf("%d sources, %d guesses wait", g.known(), g.queued())
		}
		if n := g.failures(attacker); n != guessesFree {
			t.Errorf("the attacker has %d failures, want %d", n, guessesFree)
		}
		newcomer := addrNumber(1 << 15) // of the same /16 as those above
		rest := g.restOf(newcomer)
		failures := rest.failures
		if failures < guessesFree {
			t.Errorf("those who found no room have %d failures together", failures)
		}
		guess(t, g, newcomer, true)
		if rest.failures != failures {
			t.Errorf("a right guess changed others' failures: %d, want %d", rest.failures, failures)
		}
		guess(t, g, newcomer, false)
		if d := guess(t, g, newcomer, true); d != g.delay(failures+1) {
			t.Errorf("a newcomer waited %v, want %v", d, g.delay(failures+1))
		}
		guess(t, g, newcomer, false)
		if d := guess(t, g, apart(g, newcomer), true); d != 0 {
			t.Errorf("who has no attackers among his neighbours waited %v", d)
		}
		time.Sleep(guessesForget)
		g.forget()
		if g.known() != 0 || rest.failures != 0 {
			t.Errorf("after %v: %d sources, %d failures of the rest", guessesForget, g.known(), rest.failures)
		}
	})
}

// apart is an address that shares no count with from, even when there is no room.
func apart(g *guard, from netip.Addr) netip.Addr {
	for i := range 100 {
		if a := netip.AddrFrom4([4]byte{172, byte(i), 0, 1}); g.restOf(a) != g.restOf(from) {
			return a
		}
	}
	panic("a hundred networks share one count")
}

// siteNumber is one of the /64s of an IPv6 /48.
func siteNumber(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 1, byte(i >> 8), byte(i)})
}

// TestOneSiteDoesNotFillTheTable: an IPv6 /48 has more /64s than there is room for. Beyond its share they have one count,
// and strangers and neighbours don't notice.
func TestOneSiteDoesNotFillTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for i := range guessSources + 1 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_ = g.judge(ctx, siteNumber(i), false) // the counts below are what matters
			cancel()
		}
		if g.known() != guessSite || len(g.sites) != 1 {
			t.Errorf("a /48 has %d sources, want %d; %d sites", g.known(), guessSite, len(g.sites))
		}
		if d := guess(t, g, siteNumber(guessSources+1), false); d == 0 {
			t.Error("a /64 of the /48 that found no room didn't wait")
		}
		for _, other := range []string{"2001:db8:2::", "2001:db9::", "192.0.2.7"} {
			if d := guess(t, g, netip.MustParseAddr(other), true); d != 0 {
				t.Errorf("%s waited %v", other, d)
			}
		}
		for i := range guessSite { // who is right makes room
			guess(t, g, siteNumber(i), true)
		}
		if g.known() != 0 || len(g.sites) != 0 {
			t.Errorf("after right guesses: %d sources, %d sites", g.known(), len(g.sites))
		}
		guess(t, g, siteNumber(0), false)
		time.Sleep(guessesForget)
		g.forget()
		if g.known() != 0 || len(g.sites) != 0 {
			t.Errorf("after %v: %d sources, %d sites", guessesForget, g.known(), len(g.sites))
		}
	})
}

// TestForgetKeepsWhoWaits and who has failed lately.
func TestForgetKeepsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		g.first, g.most = 2*guessesForget, 2*guessesForget
		for range guessesFree {
			guess(t, g, attacker, false)
		}
		go guess(t, g, attacker, false)
		time.Sleep(guessesForget)
		synctest.Wait()
		guess(t, g, addrNumber(1), false)
		g.forget()
		if g.known() != 2 || g.failures(attacker) != guessesFree {
			t.Errorf("%d sources", g.known())
		}
		time.Sleep(2 * guessesForget) // until the last guess is judged
	})
}

func TestSourceOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:1":            "192.0.2.1",
		"[::ffff:192.0.2.1]:1":   "192.0.2.1",
		"[2001:db8:1:2:3::4]:1":  "2001:db8:1:2::",
		"[2001:db8:1:2::99]:1":   "2001:db8:1:2::",
		"[2001:db8:1:3:3::4]:1":  "2001:db8:1:3::",
		"[fe80::1:2:3:4%eth0]:1": "fe80::",
	} {
		if got := sourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(in))); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v, want %s", in, got, want)
		}
	}
}

func TestFailureLog(t *testing.T) {
	var l failureLog
	begin := time.Now()
	for i, want := range []int{1, 0, 0, 3, 0, 0, 3} {
		since, say := l.add(begin.Add(time.Duration(i) * failureLogEvery * 2 / 5))
		if since != want || say != (want > 0) {
			t.Errorf("failure %d: %d, %v, want %d", i, since, say, want)
		}
	}
}
