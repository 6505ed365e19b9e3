package server

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// read is the system call without the net package's bookkeeping: the caller is inside RawConn.Read, which holds the
// descriptor open, and the socket never blocks.
func read(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// tryWrite sends as much of p as the kernel takes without waiting.
func tryWrite(fd uintptr, p []byte) (done int, err error) {
	for done < len(p) {
		n, err := syscall.Write(int(fd), p[done:])
		switch err {
		case nil:
			done += n
		case syscall.EAGAIN:
			return done, nil
		case syscall.EINTR:
		default:
			return done, err
		}
	}
	return done, nil
}

// write sends p, waiting for the client if it must, and reports whether all of it went out; else the connection
// is over. Only who may write (pending.go) calls it.
func (c *conn) write(fd uintptr, p []byte) bool {
	if len(p) == 0 {
		return true
	}
	n, err := tryWrite(fd, p)
	c.bytesOut.Add(uint64(n))
	if err == nil && n < len(p) {
		err = c.writeAll(p[n:])
	}
	if err != nil {
		c.over = true
	}
	return err == nil
}

// slowWriteBytes is written per deadline, so that a slow client with a large reply is told from one that
// doesn't read.
const slowWriteBytes = 256 * 1024

// writeAll sends p to a client whose socket buffer is full, parked while there is no room.
func (c *conn) writeAll(p []byte) error {
	defer c.replyBytes.Store(0)
	for len(p) > 0 {
		c.replyBytes.Store(int64(len(p)))
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.srv.opt.WriteTimeout)); err != nil {
			return err
		}
		// A kill before the line above was undone by it, a later one is not.
		if c.wakes.Load()&wakeKill != 0 {
			return net.ErrClosed
		}
		n, err := c.nc.Write(p[:min(len(p), slowWriteBytes)])
		c.bytesOut.Add(uint64(n))
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) && c.wakes.Load()&wakeKill == 0 {
				c.srv.log.Warn("closing a client that doesn't take its replies", "client", c.id,
					"addr", c.nc.RemoteAddr().String(), "waited", c.srv.opt.WriteTimeout)
			}
			return err
		}
		p = p[n:]
	}
	return nil
}

// connSocket is the connection as its queue sees it; whoever uses it may write (pending.go).
type connSocket struct {
	c   *conn
	p   []byte
	n   int
	err error
	run func(fd uintptr) // kept, so that a call allocates nothing
}

func newConnSocket(c *conn) *connSocket {
	s := &connSocket{c: c}
	s.run = func(fd uintptr) { s.n, s.err = tryWrite(fd, s.p) }
	return s
}

func (s *connSocket) tryWrite(p []byte) (int, error) {
	s.p, s.n, s.err = p, 0, nil
	err := s.c.rc.Control(s.run)
	s.p = nil
	s.c.bytesOut.Add(uint64(s.n))
	if err != nil {
		return s.n, err
	}
	return s.n, s.err
}

func (s *connSocket) writeAll(p []byte) error { return s.c.writeAll(p) }

// cut is wake for a kill, but for the queue, which knows already.
func (s *connSocket) cut() {
	s.c.wakes.Or(wakeKill)
	s.c.interrupt()
	_ = s.c.nc.SetDeadline(past)
}

func (s *connSocket) charge(delta int64) {
	if err := s.c.srv.store.AddClientBytes(delta); err != nil {
		s.c.srv.log.Error("the memory of waiting replies cannot be counted", "client", s.c.id, "error", err)
	}
}

// Limits of finish.
const (
	lingerTime  = time.Second
	lingerBytes = 1 << 20
)

// finish closes the sending side and reads on for a moment. Closing at once while input is under way makes the
// kernel send a reset, which can destroy the error reply before the client has read it. Errors end the
// courtesy, nothing else.
func (c *conn) finish() {
	if c.nc.CloseWrite() != nil || c.nc.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	// A wake-up before the line above was undone by it, a later one is not.
	if c.wakes.Load()&(wakeKill|wakeShutdown) != 0 {
		return
	}
	_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
}
