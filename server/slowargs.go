package server

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// What the slow log shows of a request: its arguments, taken from the bytes in which it came, cut as in Redis. Passwords
// are never among them.

// Limits of an entry, as in Redis.
const (
	slowArgsMax     = 32
	slowArgBytesMax = 128
)

const redacted = "(redacted)"

// slowArgs describes a request.
func slowArgs(raw []byte, p engine.Protocol) []string {
	var args []string
	var total int
	if p == engine.ProtocolBinary {
		args, total = frameArgs(raw)
	} else {
		args, total = textArgs(raw)
	}
	redact(args)
	return shorten(args, total)
}

// textArgs are the first arguments of a text request, and how many it has.
func textArgs(raw []byte) (args []string, total int) {
	if len(raw) == 0 || raw[0] != '*' {
		words := bytes.Fields(raw)
		for _, w := range words[:min(len(words), slowArgsMax)] {
			args = append(args, shown(w))
		}
		return args, len(words)
	}
	head, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	total, err := strconv.Atoi(string(head[1:]))
	for err == nil && len(args) < min(total, slowArgsMax) {
		var n int
		head, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(head) == 0 || head[0] != '$' {
			break
		}
		if n, err = strconv.Atoi(string(head[1:])); err != nil || n < 0 || n > len(rest)-2 {
			break
		}
		args = append(args, shown(rest[:n]))
		rest = rest[n+2:]
	}
	return args, max(total, len(args))
}

// frameArgs are what a binary request says: its opcode, keys and values.
func frameArgs(raw []byte) (args []string, total int) {
	h, err := proto.ParseHeader(raw)
	if err != nil {
		return nil, 0
	}
	args = []string{h.Op().String()}
	m, err := proto.NewReader(bytes.NewReader(raw), proto.KindRequest, proto.Limits{}).Next()
	if err != nil {
		return append(args, "(in several frames)"), 2
	}
	q, err := proto.ParseRequest(&m)
	if err != nil || q.Op == proto.OpAuth || q.Op == proto.OpHello {
		return append(args, fmt.Sprintf("(%d bytes)", len(m.Body))), 2
	}
	for _, part := range [][]byte{q.Key, q.To, q.Value} {
		if part != nil {
			args = append(args, shown(part))
		}
	}
	total = len(args)
	add := func(parts ...[]byte) {
		total += len(parts)
		for _, part := range parts {
			if len(args) < slowArgsMax {
				args = append(args, shown(part))
			}
		}
	}
	switch q.Op {
	case proto.OpMGet, proto.OpMDelete, proto.OpMExists:
		for k := range q.Keys() {
			add(k)
		}
	case proto.OpMSet, proto.OpMSetX:
		for k, v := range q.Pairs() {
			add(k, v)
		}
	case proto.OpScan:
		add([]byte(strconv.FormatUint(q.Scan.Cursor, 10)), []byte(q.Scan.Pattern))
	}
	return args, total
}

// redact hides what may be a password.
func redact(args []string) {
	if len(args) < 2 {
		return
	}
	from := len(args)
	switch verb := strings.ToLower(args[0]); {
	case verb == "auth":
		from = 1
	case verb == "hello":
		for i := 1; i < len(args); i++ {
			if isWord(args[i], "AUTH") {
				from = i + 1
				break
			}
		}
	case verb == "config" && isWord(args[1], "SET"):
		for i := 2; i+1 < len(args); i += 2 {
			if isWord(args[i], "requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass") {
				from = i + 1 // and all behind it: an inline command's password may have fallen into several words
				break
			}
		}
	}
	for i := from; i < len(args); i++ {
		args[i] = redacted
	}
}

// shown is an argument as an entry has it: it is cut before it is copied, because it may be as large as a value can be.
func shown(arg []byte) string {
	if len(arg) <= slowArgBytesMax {
		return string(arg)
	}
	return fmt.Sprintf("%s... (%d more bytes)", arg[:slowArgBytesMax], len(arg)-slowArgBytesMax)
}

// shorten cuts the list, and says how much is missing.
func shorten(args []string, total int) []string {
	if total > slowArgsMax {
		args = args[:min(len(args), slowArgsMax-1)]
	}
	if missing := total - len(args); missing > 0 {
		args = append(args, fmt.Sprintf("... (%d more arguments)", missing))
	}
	return args
}
