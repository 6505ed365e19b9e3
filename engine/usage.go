package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Counting requests
//
// The engine notes in the chunk which requests it has finished: a short list of (command, status, how many). The host
// measures how long that took, and Account adds both to counters that lie with the chunk's stripe of the gate, which one
// processor uses at a time as a rule: so nobody waits for anybody's cache line, and a request without pipelining costs
// two additions. Usage sums the stripes.
//
// The requests of a chunk run together, and reading the clock between them would cost as much as they do. So the time of
// a chunk is shared equally among its requests.

// Outcome is what became of a request: the class of its status.
type Outcome uint8

// The outcomes.
const (
	OutcomeOK         Outcome = 0x0 // done
	OutcomeMiss       Outcome = 0x1 // a normal negative answer: no such key, a condition that doesn't hold
	OutcomeClient     Outcome = 0x2 // the client's fault
	OutcomeIdentity   Outcome = 0x3 // the client has not proved who it is
	OutcomeNotApplied Outcome = 0x4 // surely not done: no memory, no room, loading, read-only
	OutcomeElsewhere  Outcome = 0x5
	OutcomeUnknown    Outcome = 0x6 // perhaps done
	OutcomeFailed     Outcome = 0x7 // the engine's fault, or the disk's
	Outcomes                  = 8
)

// OutcomeOf is the class of a status: of an Error, or of 0 for none.
func OutcomeOf(status uint8) Outcome { return Outcome(status >> 4 & (Outcomes - 1)) }

// CommandUsage is what the requests of one command have done.
type CommandUsage struct {
	Name     string // as in Commands; "unknown" for what is none
	Outcomes [Outcomes]uint64
	Latency  Histogram // of execution: without waiting for the disk and for the client
}

// Usage is what all requests of sessions have done. Direct calls (Get, Set, …) are not counted.
type Usage struct {
	Commands []CommandUsage   // those that were used, in the order of Commands
	Errors   map[Error]uint64 // replies that were errors
}

// tallies are the counters of one stripe, by command; those of a command exist from its first request on.
type tallies struct {
	commands []atomic.Pointer[tally] // 0: none, i: the command i-1 of the engine's table
	errors   [1 << 7]atomic.Uint64   // by status
}

// tally is the counters of one command. Requests that have gone well are counted by their times alone.
type tally struct {
	outcomes [Outcomes]atomic.Uint64 // but OutcomeOK
	times    Latency                 // of all; raised before outcomes, and read after them
}

func newTallies() *tallies {
	var n C.size_t
	C.nitro_commands(&n)
	return &tallies{commands: make([]atomic.Pointer[tally], int(n)+1)}
}

// of returns a command's counters.
func (t *tallies) of(command int) *tally {
	slot := &t.commands[command]
	if found := slot.Load(); found != nil {
		return found
	}
	slot.CompareAndSwap(nil, new(tally))
	return slot.Load()
}

// add counts n requests, of `each` time.
func (t *tallies) add(command int, status uint8, n uint64, each time.Duration) {
	of := t.of(command)
	of.times.Add(each, n)
	if o := OutcomeOf(status); o != OutcomeOK {
		of.outcomes[o].Add(n)
	}
	if status >= uint8(OutcomeClient)<<4 {
		t.errors[status&0x7F].Add(n)
	}
}

// Account counts the requests that have finished since it was called last (with Prepare they begin anew), and took d
// together. It returns how many these are; if there are none, d is not counted.
func (c *Chunk) Account(d time.Duration) (finished int) {
	list := c.c.tallies[:c.c.tally_count]
	for i := range list {
		finished += int(list[i].count)
	}
	each := d
	if finished > 1 {
		each = d / time.Duration(finished)
	}
	for i := range list {
		t := &list[i]
		c.stripe.used.add(int(t.command), uint8(t.status), uint64(t.count), each)
	}
	c.c.tally_count = 0
	return finished
}

// AccountHost counts the request that the host has run, after it was answered with status and before Skip.
func (c *Chunk) AccountHost(status uint8, d time.Duration) {
	c.stripe.used.add(int(c.c.host_command), status, 1, d)
}

// Next is the index of the next request to run: all before it have finished.
func (c *Chunk) Next() int { return int(c.c.next) }

// Request is the bytes that prepared request i came in; of a binary request in several frames the header of the last one.
// The words of an inline command stand there without their quotes.
func (c *Chunk) Request(i int) []byte {
	var n C.size_t
	p := C.nitro_chunk_request(c.c, C.uint32_t(i), &n)
	return unsafe.Slice((*byte)(p), int(n))
}

// Usage sums the counters.
func (s *Store) Usage() Usage {
	u := Usage{Errors: map[Error]uint64{}}
	names := append([]Command{{Name: "unknown"}}, Commands()...)
	for i := range names {
		used := CommandUsage{Name: names[i].Name}
		for t := range s.gate.stripes {
			if of := s.gate.stripes[t].used.commands[i].Load(); of != nil {
				of.addTo(&used)
			}
		}
		if used.Latency.Count() > 0 {
			u.Commands = append(u.Commands, used)
		}
	}
	for t := range s.gate.stripes {
		for status := range s.gate.stripes[t].used.errors {
			if n := s.gate.stripes[t].used.errors[status].Load(); n > 0 {
				u.Errors[Error(status)] += n
			}
		}
	}
	return u
}

func (t *tally) addTo(u *CommandUsage) {
	var bad uint64
	for i := range t.outcomes {
		n := t.outcomes[i].Load()
		u.Outcomes[i] += n
		bad += n
	}
	times := t.times.Histogram()
	u.Outcomes[OutcomeOK] += times.Count() - bad
	u.Latency.add(&times)
}
