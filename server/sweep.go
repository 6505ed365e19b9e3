package server

import (
	"syscall"
	"time"
	"unsafe"
)

// The sweeper
//
// Once a second one goroutine looks at all connections, for things that would be dearer if each connection did them
// itself. It also notes the counters from which INFO computes rates (rates.go), and forgets who has not guessed
// passwords for long (backoff.go). And it logs when a data file turns out to be damaged (datafiles.go).
//
// # Locked connections
//
// A connection that has not proved who it is (auth.go) notes since when. When that is too long ago it is cut: it may be
// parked in a read, or in a write that its client doesn't take.
//
// While a guess waits its turn behind failed ones (backoff.go) the note is away. Its connection reads nothing meanwhile,
// so it would not see that its client has gone; the sweeper asks the kernel for it, and ends the wait. At most
// guessesWaiting connections wait like that.
//
// # Idle connections
//
// A connection notes the time of its last input, and the sweeper wakes those for which that is too long ago. No
// timer is set or moved per request.
//
// # Missed ends of streams
//
// Go's poller is edge-triggered: the kernel tells once that something has come, and the goroutine must read
// until EAGAIN before it may wait again. That last read is a system call which nearly always learns nothing, so
// after skipAfter rounds readable leaves it out when a read returned less than it had room for. What can that
// miss?
//
//	(1) Data, no. A read returns short when the socket's queue was empty at that moment (the kernel holds the socket's
//	    lock meanwhile). Data that comes later is a new edge, which wakes the goroutine or makes its next wait return.
//	(2) The end of the stream, yes. If the peer's FIN came before the read, together with the data or just after, the
//	    poller got one edge for both; the read returned the data, and nothing will ever be told again.
//	(3) An error (a reset) that came before the read: likewise.
//
// Nobody is harmed at once: such a peer sends nothing more. But the connection would stay for ever, so the
// sweeper asks the kernel about every connection that has been parked without EAGAIN for a second, by a recv
// that only looks: if it says anything but EAGAIN, the connection is woken and reads. Once is enough: what
// comes after the look is a new edge.
//
// Cost: one call per connection that has fallen silent, none for busy ones and none for those that stay idle.

const sweepEvery = time.Second

// sweep is the sweeper, every so often.
func (s *Server) sweep() {
	tick := time.NewTicker(s.sweepEvery)
	defer tick.Stop()
	var suspects []*conn
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		suspects = s.sweepOnce(suspects[:0])
		clear(suspects[:cap(suspects)]) // closed connections are not held
		s.auth.guard.forget()
		s.noteTraffic(time.Now())
		s.noteDamage()
	}
}

// sweepOnce collects under the lock, and makes the system calls after it. It returns the slice for the next time.
func (s *Server) sweepOnce(suspects []*conn) []*conn {
	idle := s.live.idleTimeout().Milliseconds()
	now := s.store.Now()
	var late, guessing []*conn
	s.mu.Lock()
	for c := s.clients.first; c != nil; c = c.next {
		if at := c.lockedAt.Load(); at != 0 && now-at >= lockedTime.Milliseconds() {
			late = append(late, c)
		}
		if c.guessing.Load() {
			guessing = append(guessing, c)
		}
		if idle > 0 && now-c.active.Load() >= idle {
			c.wake(wakeIdle)
		}
		mark := c.skipped.Load()
		if mark != 0 && mark == c.swept {
			suspects = append(suspects, c)
		}
		c.swept = mark
	}
	s.mu.Unlock()
	for _, c := range late {
		c.cutLocked()
	}
	for _, c := range guessing {
		c.lookGuessing()
	}
	for _, c := range suspects {
		c.look()
	}
	return suspects
}

// look finds out whether the connection has missed something.
func (c *conn) look() {
	// The mark goes first: a connection that parks again from here on sets a new one.
	c.skipped.CompareAndSwap(c.swept, 0)
	missed := false
	err := c.rc.Control(func(fd uintptr) { missed = peek(fd) != syscall.EAGAIN })
	if err == nil && missed {
		c.wake(wakeRead)
	}
}

// peek is recv(fd, 1 byte, MSG_PEEK|MSG_DONTWAIT): 0 for data or the end of the stream, else the error.
func peek(fd uintptr) syscall.Errno {
	var b [1]byte
	_, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno
}
