package differ

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests in this file ask whether the comparison would notice a wrong server. They put one between the test and nitrokv.

// A liar is a connection on which some commands or some replies are changed.
type liar struct {
	speaker
	change  func(command) command        // on the way to the server; nil: nothing
	pretend func(command, []byte) []byte // on the way back; nil: nothing
}

func (l liar) exchange(commands []command) ([][]byte, error) {
	sent := commands
	if l.change != nil {
		sent = nil
		for _, c := range commands {
			sent = append(sent, l.change(c))
		}
	}
	replies, err := l.speaker.exchange(sent)
	for i := range replies {
		if l.pretend != nil {
			replies[i] = l.pretend(commands[i], replies[i])
		}
	}
	return replies, err
}

// lie makes a liar about the successful replies to one verb.
func lie(verb string, pretend func([]byte) []byte) liar {
	return liar{pretend: func(c command, reply []byte) []byte {
		if isOneOf(c.args[0], verb) && reply[0] != '-' {
			return pretend(bytes.Clone(reply))
		}
		return reply
	}}
}

// add changes an integer reply that is at least n by n.
func add(n int64) func([]byte) []byte {
	return func(reply []byte) []byte {
		v, err := strconv.ParseInt(strings.TrimSpace(string(reply[1:])), 10, 64)
		if reply[0] != ':' || err != nil || v < max(n, -n) {
			return reply
		}
		return fmt.Appendf(nil, ":%d\r\n", v+n)
	}
}

// withoutLast takes the last element from an array.
func withoutLast(reply []byte) []byte {
	r := parse(reply)
	if len(r.elems) == 0 {
		return reply
	}
	less := fmt.Appendf(nil, "*%d\r\n", len(r.elems)-1)
	for _, e := range r.elems[:len(r.elems)-1] {
		less = fmt.Appendf(less, "$%d\r\n%s\r\n", len(e.text), e.text)
	}
	return less
}

// always pretends that a reply is another one.
func always(text string) func([]byte) []byte {
	return func([]byte) []byte { return []byte(text) }
}

// instead changes a text in a reply.
func instead(text, by string) func([]byte) []byte {
	return func(reply []byte) []byte { return bytes.Replace(reply, []byte(text), []byte(by), 1) }
}

// flipped changes one bit of a string, or of the last string of an array.
func flipped(reply []byte) []byte {
	r := parse(reply)
	if n := len(r.elems); n > 0 {
		r = r.elems[n-1]
	}
	if r.kind == '$' && !r.null && r.text != "" {
		reply[len(reply)-3] ^= 1
	}
	return reply
}

// Whatever reply is changed in any way that a client could notice is found, and blamed on the right verb.
func TestWrongRepliesAreNoticed(t *testing.T) {
	redis, nitro := startRedis(t), startNitro(t)
	for _, c := range []struct {
		name, verb string
		liar
	}{
		{"a length too long by one", "STRLEN", lie("STRLEN", add(1))},
		{"a count too small by one", "EXISTS", lie("EXISTS", add(-1))},
		{"one bit of a value", "GET", lie("GET", flipped)},
		{"one bit of an element", "MGET", lie("MGET", flipped)},
		{"a null in the words of RESP3", "GETDEL", lie("GETDEL", instead("$-1\r\n", "_\r\n"))},
		{"OK without doing anything", "SET", lie("SET", always("+OK\r\n"))},
		{"a key that KEYS leaves out", "KEYS", lie("KEYS", withoutLast)},
		{"no random key", "RANDOMKEY", lie("RANDOMKEY", always("$-1\r\n"))},
		{"a SCAN without a cursor", "SCAN", lie("SCAN", always("*0\r\n"))},
		{"half an hour less to live", "PTTL", lie("PTTL", add(-1_800_000))},
		{"a moment that is off by one", "PEXPIRETIME", lie("PEXPIRETIME", add(1))},
		{"another type", "TYPE", lie("TYPE", always("+list\r\n"))},
		{"another encoding", "OBJECT", lie("OBJECT", instead("embstr", "EMBSTR"))},
		{"other words of an error", "INCRBYFLOAT", liar{pretend: func(_ command, r []byte) []byte {
			return instead("-ERR value is not a valid float", "-ERR value isn't a valid float")(r)
		}}},
		{"an unknown verb that is known", "HELLO", liar{pretend: func(c command, r []byte) []byte {
			if isOneOf(c.args[0], "HELLO") {
				return []byte("-ERR unknown command 'HELLO', with args beginning with: \r\n")
			}
			return r
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.liar.speaker = nitro.dial(t)
			contest := newContest(t, pair{redis.dial(t), c.liar}, newGenerator(1, "2"))
			found := contest.run(t, 3*betweenContents)
			if len(found) == 0 {
				t.Fatalf("%d commands, and it was not noticed", contest.at)
			}
			if !slices.ContainsFunc(found, func(f *finding) bool { return isOneOf(f.args[0], c.verb) }) {
				t.Errorf("something else was found: %v", found[0])
			}
		})
	}
}

// What only changes the contents is found by later commands, and the report is down to the two commands that matter.
func TestForgottenEffectsAreNoticed(t *testing.T) {
	redis, nitro := startRedis(t), startNitro(t)
	forgetful := liar{speaker: nitro.dial(t), change: func(c command) command {
		if isOneOf(c.args[0], "GETEX") && len(c.args) > 2 && isOneOf(c.args[2], "PXAT") {
			return command{args: []string{"GET", c.args[1]}}
		}
		return c
	}}
	c := newContest(t, pair{redis.dial(t), forgetful}, newGenerator(1, "2"))
	found := c.run(t, 10*betweenContents)
	if len(found) == 0 {
		t.Fatalf("%d commands, and it was not noticed", c.at)
	}
	for _, f := range found {
		last := len(f.short) - 1
		if last < 0 || last > 2 || !isOneOf(f.short[max(0, last-1)].args[0], "GETEX") && !isOneOf(f.args[0], "GETEX") {
			t.Errorf("the report isn't down to a write, GETEX and what shows it: %v", f)
		}
	}
}
