package resp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Options says how Dial connects. The zero value is RESP3 without a password and without a time limit.
type Options struct {
	// User is whom Password belongs to. Empty: the server's default user.
	User string

	// Password is sent before anything else. Empty: nothing is.
	Password string

	// Protocol is 2 or 3; a server that doesn't know HELLO is spoken to in RESP2 whatever it is. 0: RESP3.
	Protocol int

	// Timeout is how long connecting may take, and for how long the server may be silent when a reply is due, or take
	// nothing of what is sent. 0: no limit.
	Timeout time.Duration

	// Dial makes the network connection. Nil: a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// ErrClosed is what calls on a connection after Close return.
var ErrClosed = errors.New("the connection is closed")

// A Conn is a connection to one server. See the package's comment for who may call what.
type Conn struct {
	addr    string
	nc      net.Conn
	timeout time.Duration
	in      *decoder
	reading source // what in reads from
	out     []byte // requests that Flush will write

	mu  sync.Mutex // guards err
	err error      // why the connection is of no use any more
}

// Dial connects, logs in and agrees on the protocol (handshake.go).
func Dial(ctx context.Context, addr string, opt Options) (*Conn, error) {
	if opt.Protocol != 0 && opt.Protocol != 2 && opt.Protocol != 3 {
		return nil, fmt.Errorf("protocol %d; use 2 or 3", opt.Protocol)
	}
	if opt.Dial == nil {
		opt.Dial = (&net.Dialer{Timeout: opt.Timeout}).DialContext
	}
	nc, err := opt.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	c := newConn(addr, nc, opt.Timeout)
	if err := c.handshake(ctx, opt); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func newConn(addr string, nc net.Conn, timeout time.Duration) *Conn {
	c := &Conn{addr: addr, nc: nc, timeout: timeout}
	c.reading.c = c
	c.in = newDecoder(&c.reading)
	return c
}

// SetTimeout changes Options.Timeout for the calls that follow. It must not be called beside them.
func (c *Conn) SetTimeout(d time.Duration) { c.timeout = d }

// Do sends one request and waits for its reply. Pushes that come before it are dropped.
func (c *Conn) Do(ctx context.Context, args ...string) (Value, error) {
	c.Send(args...)
	if err := c.Flush(ctx); err != nil {
		return Value{}, err
	}
	for {
		v, err := c.Receive(ctx)
		if err != nil || v.Kind != Push {
			return v, err
		}
	}
}

// Send adds a request to those that Flush will write. It does no I/O.
func (c *Conn) Send(args ...string) {
	c.out = append(c.out, Array)
	c.out = strconv.AppendInt(c.out, int64(len(args)), 10)
	for _, arg := range args {
		c.out = append(c.out, "\r\n$"...)
		c.out = strconv.AppendInt(c.out, int64(len(arg)), 10)
		c.out = append(c.out, "\r\n"...)
		c.out = append(c.out, arg...)
	}
	c.out = append(c.out, "\r\n"...)
}

// Flush writes what Send has collected. A server may stop reading while nobody takes its replies: let a pipeline be some
// thousand requests, or let another goroutine Receive.
func (c *Conn) Flush(ctx context.Context) error {
	const step = 256 << 10 // so that slow progress is not taken for silence
	defer c.sent()
	if err := c.usable(ctx); err != nil {
		return err
	}
	defer interrupt(ctx, c.nc.SetWriteDeadline)()
	for rest := c.out; len(rest) > 0; {
		err := c.nc.SetWriteDeadline(c.deadline())
		if err == nil {
			err = ctx.Err()
		}
		n := 0
		if err == nil {
			n, err = c.nc.Write(rest[:min(len(rest), step)])
		}
		if err != nil {
			return c.broken(ctx, "send to", err)
		}
		rest = rest[n:]
	}
	return nil
}

// sent makes room for the next requests; the room that a very large one took is given back.
func (c *Conn) sent() {
	if cap(c.out) > 1<<20 {
		c.out = nil
	}
	c.out = c.out[:0]
}

// Receive returns the next reply, or a push.
func (c *Conn) Receive(ctx context.Context) (Value, error) {
	if err := c.usable(ctx); err != nil {
		return Value{}, err
	}
	c.reading.ctx = ctx
	defer interrupt(ctx, c.nc.SetReadDeadline)()
	v, err := c.in.value()
	if err != nil {
		return Value{}, c.broken(ctx, "read a reply of", err)
	}
	return v, nil
}

// Close ends the connection.
func (c *Conn) Close() error {
	if c.end(ErrClosed) != nil {
		return nil
	}
	return c.nc.Close()
}

// end notes why the connection is of no use, and returns the reason that there was before.
func (c *Conn) end(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.err
	if before == nil {
		c.err = err
	}
	return before
}

// usable returns why nothing can be sent or read; a context that is over does the connection no harm.
func (c *Conn) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.addr, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(c.err, ErrClosed) {
		return fmt.Errorf("%s: %w", c.addr, c.err)
	}
	return c.err
}

// broken ends the connection and describes what happened to it.
func (c *Conn) broken(ctx context.Context, what string, err error) error {
	reason := err
	switch {
	case ctx.Err() != nil:
		reason = ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = fmt.Errorf("nothing happened for %v: %w", c.timeout, os.ErrDeadlineExceeded)
	case errors.Is(err, io.EOF):
		reason = fmt.Errorf("the server has closed the connection: %w", io.EOF)
	case errors.As(err, new(*syntaxError)):
		reason = fmt.Errorf("%w; see whether a Redis-compatible server listens there", err)
	}
	reason = fmt.Errorf("%s %s: %w", what, c.addr, reason)
	if before := c.end(reason); before != nil {
		return before
	}
	return errors.Join(reason, c.nc.Close())
}

// deadline is the end of the server's silence.
func (c *Conn) deadline() time.Time {
	if c.timeout == 0 {
		return time.Time{}
	}
	return time.Now().Add(c.timeout)
}

// interrupt ends a read or write by its deadline when ctx is over. The function that it returns must be called after the
// read or write: then the deadline is nobody else's any more.
func interrupt(ctx context.Context, setDeadline func(time.Time) error) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = setDeadline(time.Unix(1, 0)) // fails on a closed connection, which interrupts as well
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// A source is the read side of a connection. Each read has the whole timeout; a large reply may take longer.
type source struct {
	c   *Conn
	ctx context.Context // of the Receive that is under way
}

// Read looks at the context after it has moved the deadline: interrupt changes the deadline after the context is over, so
// one of the two notices.
func (s *source) Read(b []byte) (int, error) {
	if err := s.c.nc.SetReadDeadline(s.c.deadline()); err != nil {
		return 0, err
	}
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.c.nc.Read(b)
}
