package resp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Limits of what a server can make its client hold or do. The longest string is Redis's and NitroKV's own limit.
const (
	maxDepth = 64
	maxLine  = 64 << 10
	maxText  = 512 << 20
	maxElems = math.MaxInt32
)

// A syntaxError is about bytes that are no reply. The connection's position in the stream is lost with it.
type syntaxError struct{ text string }

func (e *syntaxError) Error() string { return e.text }

func malformed(format string, args ...any) error {
	return &syntaxError{fmt.Sprintf(format, args...)}
}

// A decoder reads values from a stream.
type decoder struct {
	br *bufio.Reader // with room for maxLine
}

func newDecoder(r io.Reader) *decoder { return &decoder{bufio.NewReaderSize(r, maxLine)} }

// value reads the next one. Only before its first byte the error can be io.EOF: there the stream ended between replies.
func (d *decoder) value() (Value, error) {
	if _, err := d.br.Peek(1); err != nil {
		return Value{}, err
	}
	v, err := d.nested(0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return v, err
}

// nested reads a value that stands so deep in others, and drops the attributes in front of it.
func (d *decoder) nested(depth int) (Value, error) {
	for {
		kind, rest, err := d.line()
		if err != nil {
			return Value{}, err
		}
		if kind != '|' {
			return d.body(kind, rest, depth)
		}
		if _, err := d.elems(kind, rest, depth); err != nil {
			return Value{}, err
		}
	}
}

// body reads what follows a value's first line.
func (d *decoder) body(kind byte, rest string, depth int) (Value, error) {
	switch kind {
	case Status, Error:
		return Value{Kind: kind, Text: rest}, nil
	case Int:
		n, err := integer(rest)
		return Value{Kind: kind, Int: n}, err
	case Bulk, '!', Verbatim:
		return d.text(kind, rest)
	case Push:
		if depth > 0 {
			return Value{}, malformed("a push inside another value")
		}
		fallthrough
	case Array, Set, Map:
		if kind == Array && rest == "-1" {
			return Value{Kind: Null}, nil
		}
		elems, err := d.elems(kind, rest, depth)
		return Value{Kind: kind, Elems: elems}, err
	}
	return scalar(kind, rest)
}

// scalar makes the values that RESP3 writes in one line.
func scalar(kind byte, rest string) (Value, error) {
	switch {
	case kind == Null && rest == "", kind == Double && isDouble(rest), kind == BigNumber && isBigNumber(rest):
		return Value{Kind: kind, Text: rest}, nil
	case kind == Bool && rest == "t":
		return Value{Kind: kind, Int: 1}, nil
	case kind == Bool && rest == "f":
		return Value{Kind: kind}, nil
	}
	return Value{}, malformed("%.60q begins no reply", string(kind)+rest)
}

// line reads up to the next CRLF and splits the first byte off.
func (d *decoder) line() (kind byte, rest string, err error) {
	b, err := d.br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return 0, "", malformed("a line of more than %d bytes, beginning %.60q", maxLine, b)
	case err != nil && !errors.Is(err, io.EOF):
		return 0, "", err
	case err != nil && len(b) == 0:
		return 0, "", io.ErrUnexpectedEOF
	case err != nil:
		return 0, "", fmt.Errorf("%w in the line %.60q", io.ErrUnexpectedEOF, b)
	case len(b) < 3 || b[len(b)-2] != '\r':
		return 0, "", malformed("the line %.60q is no reply", b)
	}
	return b[0], string(b[1 : len(b)-2]), nil
}

// text reads the bytes of a string whose announced length is in rest.
func (d *decoder) text(kind byte, rest string) (Value, error) {
	if kind == Bulk && rest == "-1" {
		return Value{Kind: Null}, nil
	}
	n, err := length(rest, maxText)
	if err != nil {
		return Value{}, err
	}
	body, err := d.bytes(n + 2)
	if err != nil {
		return Value{}, err
	}
	if body[n] != '\r' || body[n+1] != '\n' {
		return Value{}, malformed("a string of %d bytes is followed by %q, not by the end of its line", n, body[n:])
	}
	s := string(body[:n])
	if kind == '!' {
		kind = Error
	}
	if kind == Verbatim {
		if len(s) < 4 || s[3] != ':' {
			return Value{}, malformed("a verbatim string without a format: %.60q", s)
		}
		s = s[4:]
	}
	return Value{Kind: kind, Text: s}, nil
}

// bytes reads n bytes into memory that grows with what comes.
func (d *decoder) bytes(n int) ([]byte, error) {
	const step = 64 << 10
	body := make([]byte, min(n, step))
	for have := 0; ; {
		m, err := io.ReadFull(d.br, body[have:])
		if err != nil {
			return nil, fmt.Errorf("%w in a string of %d bytes", err, n-2)
		}
		if have += m; have == n {
			return body, nil
		}
		body = append(body, make([]byte, min(n-have, len(body)))...)
	}
}

// elems reads the parts of an aggregate.
func (d *decoder) elems(kind byte, rest string, depth int) ([]Value, error) {
	n, err := length(rest, maxElems)
	if err != nil {
		return nil, err
	}
	if depth == maxDepth {
		return nil, malformed("values nested more than %d deep", maxDepth)
	}
	if kind == Map || kind == '|' {
		n *= 2
	}
	elems := make([]Value, 0, min(n, 64))
	for range n {
		v, err := d.nested(depth + 1)
		if err != nil {
			return nil, err
		}
		elems = append(elems, v)
	}
	return elems, nil
}

// length reads an announced length up to limit.
func length(s string, limit int) (int, error) {
	n, err := integer(s)
	if err != nil || n < 0 || n > int64(limit) {
		return 0, malformed("the length %.40q is not a number from 0 to %d", s, limit)
	}
	return int(n), nil
}

func integer(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, malformed("%.40q is no 64-bit integer", s)
	}
	return n, nil
}

// isDouble reports whether s is a number, inf, -inf or nan. ParseFloat also takes hexadecimals and underscores.
func isDouble(s string) bool {
	switch s {
	case "inf", "-inf", "nan":
		return true
	}
	_, err := strconv.ParseFloat(s, 64)
	return (err == nil || errors.Is(err, strconv.ErrRange)) && strings.Trim(s, "+-0123456789.eE") == ""
}

func isBigNumber(s string) bool {
	digits := strings.TrimLeft(s, "+-")
	return digits != "" && len(s)-len(digits) <= 1 && strings.Trim(digits, "0123456789") == ""
}
