package server

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// Measuring requests
//
// The clock is read once when a round begins, where the store's time is needed anyway, and once after each Execute. What
// lies between is the time of the requests that have finished there, parsing included; waiting for room in the log or for
// a client that is slow to take a long reply is not, and neither is the wait for the disk, which happens behind all of
// this (replyDelays). Chunk.Account shares the time among the requests: see engine/usage.go.

// stopwatch measures what a connection does. It belongs to the connection's goroutine.
type stopwatch struct {
	mark  time.Duration // Store.Elapsed when it was read last
	spent time.Duration // what a request has taken so far that has not finished
}

// lap reads the clock and adds the time since it was read last.
func (w *stopwatch) lap(now time.Duration) {
	w.spent += now - w.mark
	w.mark = now
}

// account counts what the last Execute has finished, and the time it took.
func (c *conn) account(ch *engine.Chunk) {
	c.watch.lap(c.srv.store.Elapsed())
	n := ch.Account(c.watch.spent)
	if n == 0 {
		return // its time is part of what the next ones take
	}
	if c.srv.slow.catches(c.watch.spent) {
		c.noteSlow(ch, ch.Next()-n, n)
	}
	c.watch.spent = 0
}

// accountHost counts the request that has just been answered in Go.
func (c *conn) accountHost(ch *engine.Chunk, reply []byte) {
	c.watch.lap(c.srv.store.Elapsed())
	ch.AccountHost(replyStatus(reply), c.watch.spent)
	if c.srv.slow.catches(c.watch.spent) && !waits(ch.HostVerb()) {
		c.noteSlow(ch, ch.Next(), 1)
	}
	c.watch.spent = 0
}

// waits reports whether a request takes long because somebody else does: the disk, or the guard of the password.
func waits(v engine.HostVerb) bool {
	switch v {
	case engine.HostWaitAOF, engine.HostSync, engine.HostAuth, engine.HostHello:
		return true
	}
	return false
}

// resume goes on after something that is not counted.
func (c *conn) resume() { c.watch.mark = c.srv.store.Elapsed() }

// errorCodes are the code words of RESP's errors with the statuses that they stand for; every other word counts as one of
// ErrArgument.
var errorCodes = []struct {
	word string
	code engine.Error
}{
	{"OOM", engine.ErrMaxMemory},
	{"NOAUTH", engine.ErrAuthRequired},
	{"WRONGPASS", engine.ErrAuthFailed},
	{"LOADING", engine.ErrLoading},
	{"MISCONF", engine.ErrReadOnly},
	{"UNKNOWN", engine.ErrUnknownOutcome},
	{"NOTDURABLE", engine.ErrNotDurable},
}

// replyStatus is the status of a reply that was made in Go, 0 for none that is an error.
func replyStatus(reply []byte) uint8 {
	if len(reply) == 0 {
		return 0
	}
	if h, err := proto.ParseHeader(reply); err == nil && h.Kind == proto.KindReply {
		return h.Code
	}
	if reply[0] != '-' {
		return 0
	}
	word, _, _ := bytes.Cut(reply[1:], []byte(" "))
	for _, e := range errorCodes {
		if string(word) == e.word {
			return uint8(e.code)
		}
	}
	return uint8(engine.ErrArgument)
}

// errorWord is the code word that an error has in RESP.
func errorWord(code engine.Error) string {
	switch code {
	case engine.ErrNoMemory:
		return "OOM"
	case engine.ErrLogFull:
		return "MISCONF"
	}
	for _, e := range errorCodes {
		if e.code == code {
			return e.word
		}
	}
	return "ERR"
}

// replyDelays is how long replies that were ready have waited until they might go out: for the disk.
type replyDelays struct {
	elapsed func() time.Duration
	times   engine.Latency
	failed  atomic.Uint64 // those that became errors, because the log has failed
}

// delayed collects the delays of replies that leave together: those of one chunk have waited equally long.
type delayed struct {
	to      *replyDelays
	now, at time.Duration
	n       uint64
}

func (d *replyDelays) begin() delayed { return delayed{to: d, now: d.elapsed()} }

// add notes a reply that was ready at the time `at`.
func (d *delayed) add(at time.Duration) {
	if at != d.at {
		d.end()
		d.at = at
	}
	d.n++
}

func (d *delayed) end() {
	if d.n > 0 {
		d.to.times.Add(d.now-d.at, d.n)
		d.n = 0
	}
}
