package resp

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Lost reports whether the connection is of no use, also when only the kernel knows so far: a server that has gone away
// leaves an end of stream to be read. Between two requests this tells a request that was never carried out from one whose
// outcome is unknown. Bytes that nobody has asked for may be a push and stay to be received; anything else is a farewell,
// which must not be taken for the next reply.
func (c *Conn) Lost() bool {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	socket, ok := c.nc.(syscall.Conn)
	if err != nil || !ok {
		return err != nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	var b [1]byte
	n, peeked := 0, error(nil)
	err = raw.Control(func(fd uintptr) {
		n, _, peeked = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return true
	case peeked == unix.EAGAIN, peeked == unix.EINTR:
		return false
	}
	return peeked != nil || n == 0 || b[0] != Push
}
