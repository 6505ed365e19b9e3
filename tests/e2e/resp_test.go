package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// A respConn is a connection that speaks RESP2 and leaves to the test when requests are sent and replies are read,
// which no client library does.
type respConn struct {
	net.Conn
	in *bufio.Reader
}

// respError is an error reply.
type respError string

func (e respError) Error() string { return string(e) }

// openResp connects; the level is that of all requests on the connection, empty for the server's own.
func openResp(addr, level string) (*respConn, error) {
	conn, err := net.DialTimeout("tcp", addr, callLimit)
	if err != nil {
		return nil, err
	}
	c := &respConn{Conn: conn, in: bufio.NewReader(conn)}
	if err := c.greet(level); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *respConn) greet(level string) error {
	if err := c.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	if level == "" {
		return nil
	}
	_, err := c.do("CLIENT", "DURABILITY", level)
	return err
}

// dialResp is openResp for the length of a test.
func dialResp(t *testing.T, p *process, level string) *respConn {
	t.Helper()
	c, err := openResp(p.addr, level)
	if err != nil {
		t.Fatalf("connecting with level %q: %v", level, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send writes one request and doesn't wait.
func (c *respConn) send(args ...string) error {
	_, err := c.Write(appendRequest(nil, args...))
	return err
}

func appendRequest(dst []byte, args ...string) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n", len(args))
	for _, a := range args {
		dst = fmt.Appendf(dst, "$%d\r\n%s\r\n", len(a), a)
	}
	return dst
}

// do sends a request and reads its reply. An error reply is a respError, a missing value nil.
func (c *respConn) do(args ...string) (any, error) {
	if err := c.send(args...); err != nil {
		return nil, err
	}
	return c.reply()
}

// reply reads one reply: a string, an int64, nil, or []any.
func (c *respConn) reply() (any, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("a reply is no line of RESP: %q", line)
	}
	text := line[1 : len(line)-2]
	if line[0] == '+' {
		return text, nil
	}
	if line[0] == '-' {
		return nil, respError(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("a reply begins with %q", line)
	}
	switch line[0] {
	case ':':
		return n, nil
	case '$':
		return c.bulk(n)
	case '*':
		return c.array(n)
	}
	return nil, fmt.Errorf("a reply begins with %q", line)
}

func (c *respConn) bulk(n int64) (any, error) {
	if n < 0 {
		return nil, nil
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(c.in, b); err != nil {
		return nil, err
	}
	return string(b[:n]), nil
}

// array reads the elements; an error among them ends the reading, since no command of this server nests one.
func (c *respConn) array(n int64) (any, error) {
	list := make([]any, 0, max(n, 0))
	for range n {
		v, err := c.reply()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// must is do for requests that can't fail in the test.
func (c *respConn) must(t *testing.T, args ...string) any {
	t.Helper()
	v, err := c.do(args...)
	if err != nil {
		t.Fatalf("%.60q: %v", args, err)
	}
	return v
}

// idle reports whether no reply has arrived. It looks, and doesn't wait.
func (c *respConn) idle() (bool, error) {
	if c.in.Buffered() > 0 {
		return false, nil
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return false, err
	}
	_, err := c.in.Peek(1)
	if again := c.SetReadDeadline(time.Now().Add(callLimit)); again != nil {
		return false, again
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true, nil
	}
	return false, err
}
