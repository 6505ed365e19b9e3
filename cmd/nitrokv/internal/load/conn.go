package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// op is what a request does.
type op uint8

const (
	opGet op = iota
	opSet
	opModify // a GET, and a SET of what it returned with a part changed
	opCount
)

// A slot is a request that waits for its reply. Its place in conn.slots is its id.
type slot struct {
	due  int64 // open loop: when it should have been sent
	key  uint64
	want uint32 // verifying: the version that a GET must return, 0 for any
	op   op
	half bool // the GET of an opModify
	done bool // answered, or never used
}

// reads says that the reply is a value.
func (s *slot) reads() bool { return s.op == opGet || s.half }

// A conn is one connection: a nonblocking socket, its buffers, and a ring of requests under way.
type conn struct {
	number int // among all clients
	at     int // among those of its loop
	fd     int

	in         []byte // in[start:end] is unparsed input
	start, end int
	need       int // bytes that the next reply has at least

	out     []byte
	sent    int  // out[:sent] has been written
	polling bool // epoll watches for room to write, too

	slots      []slot // a power of two
	head, tail uint64 // requests head to tail-1 are under way; some may be done already
	waiting    int    // of those, not done

	batchAt  int64 // closed loop: when the pipeline was sent
	activeAt int64 // last time that something was sent while idle, or read
	next     int64 // how many requests of this phase this connection has made
	arrived  int64 // open loop: how many are due

	parts map[uint16][]byte // bodies of replies of which more frames follow
}

// inputSize is the smallest input buffer; a pipeline of small replies fits.
const inputSize = 16 << 10

// dial connects and takes the socket away from Go's own poller.
func dial(ctx context.Context, c *Config, number int) (*conn, error) {
	d := net.Dialer{Timeout: c.Timeout}
	nc, err := d.DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return nil, err
	}
	if err := authenticate(ctx, nc, c); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	fd, err := duplicate(nc.(*net.TCPConn))
	if err := errors.Join(err, nc.Close()); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Addr, err)
	}
	slots := 1
	for slots < c.Pipeline {
		slots *= 2
	}
	if c.writeOp() == opModify {
		slots *= 2 // in the binary protocol every GET but the first may have been answered and its SET sent
	}
	cn := &conn{number: number, fd: fd, slots: make([]slot, slots), in: make([]byte, inputSize)}
	for i := range cn.slots {
		cn.slots[i].done = true
	}
	return cn, nil
}

// duplicate returns a descriptor of the same socket; it stays nonblocking when the first one is closed.
func duplicate(nc *net.TCPConn) (int, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// room makes space for the rest of the next reply and at least half a buffer.
func (c *conn) room() []byte {
	if c.start == c.end {
		c.start, c.end = 0, 0
	}
	if want := max(c.need, inputSize/2); len(c.in)-c.start < want || c.end == len(c.in) {
		in := c.in
		if len(in) < want || c.end-c.start == len(in) {
			in = make([]byte, max(want, 2*len(in)))
		}
		c.end = copy(in, c.in[c.start:c.end])
		c.start, c.in = 0, in
	}
	return c.in[c.end:]
}

// read reads once; 0 bytes without an error means that there is nothing to read now.
func (c *conn) read() (int, error) {
	buf := c.room()
	n, errno := rawIO(unix.SYS_READ, c.fd, buf)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, errClosed
	}
	c.end += n
	return n, nil
}

var errClosed = errors.New("closed by the server")

// write sends what is left of out and reports how much went; the rest waits until the socket has room.
func (c *conn) write() (int, error) {
	total := 0
	for c.sent < len(c.out) {
		n, errno := rawIO(unix.SYS_WRITE, c.fd, c.out[c.sent:])
		switch {
		case errno == unix.EAGAIN:
			return total, nil
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return total, errno
		}
		c.sent += n
		total += n
	}
	c.out, c.sent = c.out[:0], 0
	return total, nil
}

// rawIO reads or writes without telling Go's scheduler: the socket is nonblocking, so the call doesn't wait, and the
// hand-over to another thread and back would be a large part of a small request's cost.
func rawIO(call uintptr, fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// push takes the next slot of the ring. The caller makes sure that there is one.
func (c *conn) push() (id uint16, s *slot) {
	at := c.tail & uint64(len(c.slots)-1)
	c.tail++
	c.waiting++
	return uint16(at), &c.slots[at]
}

// answered returns the slot that a reply belongs to, or nil if nothing waits for it.
func (c *conn) answered(ordered bool, id uint16) *slot {
	at := int(id)
	if ordered {
		at = int(c.head & uint64(len(c.slots)-1))
	}
	if at >= len(c.slots) || c.slots[at].done {
		return nil
	}
	s := &c.slots[at]
	s.done = true
	c.waiting--
	for c.head != c.tail && c.slots[c.head&uint64(len(c.slots)-1)].done {
		c.head++
	}
	return s
}

// join returns the body of a reply whose frames came one by one; the last one is r.
func (c *conn) join(r reply) reply {
	if before, ok := c.parts[r.id]; ok {
		delete(c.parts, r.id)
		if r.kind == kindStored || r.kind == kindValue {
			r.body = append(before, r.body...)
			r.kind = kindValue
		}
	}
	return r
}

// part keeps a frame until the rest of its reply has come.
func (c *conn) part(r reply) error {
	if c.parts == nil {
		c.parts = make(map[uint16][]byte)
	}
	if len(c.parts[r.id])+len(r.body) > 512<<20 {
		return errors.New("a reply is larger than any value may be")
	}
	c.parts[r.id] = append(c.parts[r.id], r.body...)
	return nil
}

func (c *conn) close() error { return unix.Close(c.fd) }
