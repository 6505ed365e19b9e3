package server

import (
	"errors"
	"io"
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

// write sends p, waiting for the client if it must, and reports whether all of it went out; else the connection
// is over.
func (c *conn) write(fd uintptr, p []byte) bool {
	for len(p) > 0 {
		n, err := syscall.Write(int(fd), p)
		switch {
		case err == nil:
			p = p[n:]
			c.bytesOut.Store(c.bytesOut.Load() + uint64(n))
		case err == syscall.EAGAIN:
			return c.writeSlowly(p)
		case err != syscall.EINTR:
			c.over = true
			return false
		}
	}
	return true
}

// slowWriteBytes is written per deadline, so that a slow client with a large reply is told from one that
// doesn't read.
const slowWriteBytes = 256 * 1024

// writeSlowly sends p to a client whose socket buffer is full, parked while there is no room.
func (c *conn) writeSlowly(p []byte) bool {
	defer c.replyBytes.Store(0)
	for len(p) > 0 {
		c.replyBytes.Store(int64(len(p)))
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.srv.opt.WriteTimeout)); err != nil {
			c.over = true
			return false
		}
		// A kill before the line above was undone by it, a later one is not.
		if c.wakes.Load()&wakeKill != 0 {
			c.over = true
			return false
		}
		n, err := c.nc.Write(p[:min(len(p), slowWriteBytes)])
		c.bytesOut.Store(c.bytesOut.Load() + uint64(n))
		if err != nil {
			c.over = true
			if errors.Is(err, os.ErrDeadlineExceeded) && c.wakes.Load()&wakeKill == 0 {
				c.srv.log.Warn("closing a client that doesn't take its replies", "client", c.id,
					"addr", c.nc.RemoteAddr().String(), "waited", c.srv.opt.WriteTimeout)
			}
			return false
		}
		p = p[n:]
	}
	return true
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
