package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// reply builds the answer to one RESP request that runs in Go. The shapes that RESP2 lacks become what Redis
// sends there: a map an array of alternating names and values, a set an array, a verbatim string a plain one.
type reply struct {
	b     []byte
	resp3 bool
}

func (r *reply) head(kind byte, n int) {
	r.b = append(strconv.AppendInt(append(r.b, kind), int64(n), 10), '\r', '\n')
}

func (r *reply) array(n int) { r.head('*', n) }

// dict begins a map of n pairs.
func (r *reply) dict(n int) {
	if r.resp3 {
		r.head('%', n)
	} else {
		r.head('*', 2*n)
	}
}

func (r *reply) set(n int) {
	if r.resp3 {
		r.head('~', n)
	} else {
		r.head('*', n)
	}
}

func (r *reply) int(n int64) { r.head(':', int(n)) }

func (r *reply) bulk(s string) {
	r.head('$', len(s))
	r.b = append(append(r.b, s...), '\r', '\n')
}

// verbatim is text for people, for example of INFO.
func (r *reply) verbatim(s string) {
	if !r.resp3 {
		r.bulk(s)
		return
	}
	r.head('=', len(s)+4)
	r.b = append(append(append(r.b, "txt:"...), s...), '\r', '\n')
}

// status is a short word without line breaks.
func (r *reply) status(s string) { r.b = append(append(append(r.b, '+'), s...), '\r', '\n') }

func (r *reply) ok() { r.status("OK") }

func (r *reply) null() {
	if r.resp3 {
		r.b = append(r.b, "_\r\n"...)
	} else {
		r.b = append(r.b, "$-1\r\n"...)
	}
}

// fail answers an error, with its code word in front ("ERR …"). It takes the place of anything begun before.
func (r *reply) fail(format string, args ...any) {
	r.b = append(r.b[:0], '-')
	r.b = appendOneLine(r.b, fmt.Sprintf(format, args...))
	r.b = append(r.b, '\r', '\n')
}

// appendOneLine appends s without line breaks, which would end the error early: arguments of clients are quoted
// in errors.
func appendOneLine(dst []byte, s string) []byte {
	for i := range len(s) {
		if s[i] == '\r' || s[i] == '\n' {
			dst = append(dst, ' ')
		} else {
			dst = append(dst, s[i])
		}
	}
	return dst
}

// quoteMax is how much of an argument errors repeat, as in Redis; a zero byte ends it there, too.
const quoteMax = 128

func quoted(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s[:min(len(s), quoteMax)]
}

func (r *reply) wrongArity(command string) {
	r.fail("ERR wrong number of arguments for '%s' command", command)
}

func (r *reply) unknownSubcommand(command, sub string) {
	r.fail("ERR unknown subcommand '%s'. Try %s HELP.", quoted(sub), command)
}

func (r *reply) syntaxError() { r.fail("ERR syntax error") }

// help answers the HELP subcommand in Redis's layout.
func (r *reply) help(command string, lines []string) {
	r.array(len(lines) + 3)
	r.status(command + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		r.status(l)
	}
	r.status("HELP")
	r.status("    Print this help.")
}

// outOfMemory is the reply of a connection that is closed because there is no memory to read its request.
func outOfMemory(p engine.Protocol, err error) []byte {
	const text = "the server is out of memory, the request was not read"
	if p != engine.ProtocolBinary {
		return []byte("-OOM " + text + "\r\n")
	}
	status := proto.ENOMEM
	if errors.Is(err, engine.ErrMaxMemory) {
		status = proto.EMAXMEMORY
	}
	return proto.AppendErrorReply(nil, proto.Meta{}, status, text)
}
