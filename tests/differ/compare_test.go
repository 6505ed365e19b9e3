package differ

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTolerance is how far two replies about the same moment may be apart, because the servers were asked, or were told to
// let a key expire, at different moments. The generator keeps expiries much further apart than that.
const clockTolerance = time.Minute

// A comparison says whether two replies that are no errors are the same. Errors must always be equal.
type comparison func(redis, nitro []byte) bool

// comparisons are those of the verbs whose replies can't be compared byte for byte.
var comparisons = map[string]comparison{
	"KEYS":        sameElements,
	"RANDOMKEY":   sameKind, // that it is one of the keys is looked at when the contents are compared
	"SCAN":        sameKind, // cursors are each server's own; whole walks are compared there too
	"TTL":         sameMoment(unit{}),
	"PTTL":        sameMoment(unit{milliseconds: true}),
	"EXPIRETIME":  sameMoment(unit{absolute: true}),
	"PEXPIRETIME": sameMoment(unit{milliseconds: true, absolute: true}),
}

// same compares two replies to a command.
func same(c command, redis, nitro []byte) bool {
	if bytes.Equal(redis, nitro) {
		return true
	}
	if redis[0] == '-' || nitro[0] == '-' {
		return false
	}
	compare := comparisons[strings.ToUpper(c.args[0])]
	return compare != nil && compare(redis, nitro)
}

// sameKind holds for two integers, two strings, two arrays of the same length, but not for a null and something.
func sameKind(redis, nitro []byte) bool {
	a, b := parse(redis), parse(nitro)
	return a.kind == b.kind && a.null == b.null && len(a.elems) == len(b.elems)
}

// sameElements holds for arrays of the same strings in any order.
func sameElements(redis, nitro []byte) bool {
	a, b := parse(redis), parse(nitro)
	return a.kind == b.kind && slices.Equal(a.sorted(), b.sorted())
}

// sameMoment is for times and durations. Times must be equal if they are among those that the generator gives as such.
func sameMoment(u unit) comparison {
	second := int64(time.Second / time.Millisecond)
	if !u.milliseconds {
		second = 1
	}
	return func(redis, nitro []byte) bool {
		a, b := parse(redis), parse(nitro)
		x, errX := strconv.ParseInt(a.text, 10, 64)
		y, errY := strconv.ParseInt(b.text, 10, 64)
		if a.kind != ':' || b.kind != ':' || errX != nil || errY != nil || x < 0 || y < 0 {
			return false
		}
		if given := x / second; u.absolute && given >= firstAbsolute && given < lastAbsolute {
			return false
		}
		tolerance := int64(clockTolerance/time.Second) * second
		return x-y <= tolerance && y-x <= tolerance
	}
}

// sameGreeting compares two descriptions of a server, but for its version and the number of the connection.
func sameGreeting(redis, nitro []byte) bool {
	a, b := parse(redis), parse(nitro)
	if a.kind != b.kind || len(a.elems) != len(b.elems) {
		return false
	}
	for i := 0; i+1 < len(a.elems); i += 2 {
		name := a.elems[i].text
		if name != b.elems[i].text || a.elems[i+1].kind != b.elems[i+1].kind {
			return false
		}
		if name != "version" && name != "id" && a.elems[i+1].String() != b.elems[i+1].String() {
			return false
		}
	}
	return true
}

// A reply is a reply taken to pieces.
type reply struct {
	kind  byte
	text  string
	elems []reply
	null  bool
}

func (r reply) String() string { return fmt.Sprintf("%c%q%v%v", r.kind, r.text, r.elems, r.null) }

func (r reply) sorted() []string {
	var all []string
	for _, e := range r.elems {
		all = append(all, e.String())
	}
	slices.Sort(all)
	return all
}

// parse takes the bytes of one whole reply to pieces.
func parse(raw []byte) reply {
	r, _ := parseNext(raw)
	return r
}

// parseNext returns the reply and what follows it. The bytes are known to be well-formed: conn.reply has found their end.
func parseNext(raw []byte) (reply, []byte) {
	line, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	r := reply{kind: line[0], text: string(line[1:])}
	switch r.kind {
	case '$', '=', '!', '*', '~', '>', '%', '|':
	default:
		r.null = r.kind == '_'
		return r, rest
	}
	n, err := strconv.Atoi(r.text)
	if err != nil || n < 0 {
		r.null = true
		return r, rest
	}
	if r.kind == '$' || r.kind == '=' || r.kind == '!' {
		r.text = string(rest[:n])
		return r, rest[n+2:]
	}
	if r.kind == '%' || r.kind == '|' {
		n *= 2
	}
	for range n {
		var e reply
		e, rest = parseNext(rest)
		r.elems = append(r.elems, e)
	}
	return r, rest
}
