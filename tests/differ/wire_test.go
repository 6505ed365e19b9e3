package differ

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// exchangeLimit is for a pipeline that takes milliseconds: reaching it means that a server hangs.
const exchangeLimit = time.Minute

// A command is what the client sends: a RESP array, or a line as a person types it.
type command struct {
	args   []string
	inline bool
}

// String shortens long arguments.
func (c command) String() string {
	var words []string
	for _, a := range c.args {
		if len(a) > 80 {
			words = append(words, fmt.Sprintf("%.40q…(%d bytes)", a, len(a)))
		} else {
			words = append(words, strconv.Quote(a))
		}
	}
	if c.inline {
		words = append(words, "(inline)")
	}
	return strings.Join(words, " ")
}

func (c command) encode(dst []byte) []byte {
	if c.inline {
		return c.encodeLine(dst)
	}
	dst = fmt.Appendf(dst, "*%d\r\n", len(c.args))
	for _, a := range c.args {
		dst = fmt.Appendf(dst, "$%d\r\n", len(a))
		dst = append(dst, a...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// encodeLine writes words plain where that is possible, else in quotes with what both servers' inline syntax escapes.
func (c command) encodeLine(dst []byte) []byte {
	for i, a := range c.args {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if isPlain(a) {
			dst = append(dst, a...)
			continue
		}
		dst = append(dst, '"')
		for _, b := range []byte(a) {
			if b == '"' || b == '\\' || b < ' ' || b > '~' {
				dst = fmt.Appendf(dst, `\x%02x`, b)
			} else {
				dst = append(dst, b)
			}
		}
		dst = append(dst, '"')
	}
	return append(dst, '\n')
}

func isPlain(word string) bool {
	return word != "" && strings.IndexFunc(word, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\'' }) < 0
}

// A conn is a connection that hands out replies as they came, without a byte changed.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func dial(network, addr string) (*conn, error) {
	nc, err := net.DialTimeout(network, addr, exchangeLimit)
	if err != nil {
		return nil, err
	}
	return &conn{nc, bufio.NewReaderSize(nc, 1<<16)}, nil
}

// exchange sends the commands in one go and returns their replies; on an error those that came before it. It reads while it
// writes, since no server keeps unlimited replies for a client that doesn't.
func (c *conn) exchange(commands []command) ([][]byte, error) {
	var request []byte
	for _, cmd := range commands {
		request = cmd.encode(request)
	}
	if err := c.SetDeadline(time.Now().Add(exchangeLimit)); err != nil {
		return nil, err
	}
	written := make(chan error, 1)
	go func() { // ends with the write, which a failed read below ends by closing the connection
		_, err := c.Write(request)
		written <- err
	}()
	replies := make([][]byte, 0, len(commands))
	for range commands {
		r, err := c.reply(nil)
		if err != nil {
			err = errors.Join(err, c.Close(), <-written)
			return replies, fmt.Errorf("reading reply %d of %d, to %v: %w", len(replies)+1, len(commands), commands[len(replies)], err)
		}
		replies = append(replies, r)
	}
	return replies, <-written
}

// reply appends the bytes of the next reply, of whatever type of RESP2 or RESP3.
func (c *conn) reply(dst []byte) ([]byte, error) {
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		return dst, fmt.Errorf("no whole line, but %.60q: %w", line, err)
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return dst, fmt.Errorf("a reply begins with %.60q, which is no line of RESP", line)
	}
	kind, text := line[0], string(line[1:len(line)-2])
	dst = append(dst, line...)
	switch kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return dst, nil
	case '$', '=', '!', '*', '~', '>', '%', '|':
	default:
		return dst, fmt.Errorf("a reply begins with %q, which is no type of RESP", kind)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return dst, fmt.Errorf("a reply's length is %q", text)
	}
	return c.rest(dst, kind, n)
}

// rest appends what follows the head of a reply of length n.
func (c *conn) rest(dst []byte, kind byte, n int) ([]byte, error) {
	switch {
	case n < 0: // a null of RESP2
		return dst, nil
	case kind == '$' || kind == '=' || kind == '!':
		at := len(dst)
		dst = append(dst, make([]byte, n+2)...)
		_, err := io.ReadFull(c.in, dst[at:])
		return dst, err
	case kind == '%':
		n *= 2
	case kind == '|': // attributes, and then the reply itself
		n = n*2 + 1
	}
	for range n {
		var err error
		if dst, err = c.reply(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}
