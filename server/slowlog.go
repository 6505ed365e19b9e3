package server

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// slowlog keeps the requests that took long, the newest ones. What counts is the time that a request runs, as in Redis:
// not what it waits for the disk or for its client. Requests that came in one chunk of a pipeline are timed together, so
// an entry may be about several: it shows the first of them, and says how many they are.
type slowlog struct {
	limit atomic.Int64 // nanoseconds; what takes as long is kept

	mu      sync.Mutex  // guards the fields below; a leaf
	entries []slowEntry // a ring once it is full
	next    int         // where the next one goes, once it is full
	max     int
	lastID  int64 // of the next entry
}

// slowEntry is a request that took long.
type slowEntry struct {
	id         int64
	at         int64 // Unix seconds
	took       time.Duration
	args       []string
	addr, name string // of the client
}

// Limits of Options and CONFIG SET.
const (
	slowlogLenMax = 100_000 // an entry may have 5 KB
	slowlogNever  = math.MaxInt64
)

func (l *slowlog) init(opt Options) {
	l.setLimit(opt.SlowlogMicros)
	l.max = max(opt.SlowlogLen, 0)
}

// setLimit takes microseconds: 0 for every request, -1 for none; and what Options has for the first.
func (l *slowlog) setLimit(micros int64) {
	switch {
	case micros == SlowlogAll:
		l.limit.Store(0)
	case micros < 0 || micros > slowlogNever/int64(time.Microsecond):
		l.limit.Store(slowlogNever)
	default:
		l.limit.Store(micros * int64(time.Microsecond))
	}
}

// micros is the limit as CONFIG shows it.
func (l *slowlog) micros() int64 {
	if limit := l.limit.Load(); limit != slowlogNever {
		return limit / int64(time.Microsecond)
	}
	return -1
}

// catches reports whether something that took that long is kept.
func (l *slowlog) catches(took time.Duration) bool { return int64(took) >= l.limit.Load() }

// noteSlow keeps request `first` of the chunk, which has taken c.watch.spent together with the n-1 behind it.
func (c *conn) noteSlow(ch *engine.Chunk, first, n int) {
	args := slowArgs(ch.Request(first), c.ss.Protocol())
	if n > 1 {
		args = append(args, fmt.Sprintf("... (%d requests in one chunk)", n))
	}
	c.srv.slow.add(slowEntry{at: c.srv.store.Now() / 1000, took: c.watch.spent, args: args,
		addr: c.nc.RemoteAddr().String(), name: c.about().name})
}

func (l *slowlog) add(e slowEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.id = l.lastID
	l.lastID++
	switch {
	case l.max == 0:
	case len(l.entries) < l.max:
		l.entries = append(l.entries, e)
	default:
		l.entries[l.next] = e
		l.next = (l.next + 1) % l.max
	}
}

// newest returns up to n entries, the newest first; all if n is negative.
func (l *slowlog) newest(n int) []slowEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if have := len(l.entries); n < 0 || n > have {
		n = have
	}
	out := make([]slowEntry, 0, n)
	for i := range n {
		out = append(out, l.entries[(l.next+len(l.entries)-1-i)%len(l.entries)])
	}
	return out
}

func (l *slowlog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// total is how many have been kept so far, those that are gone included.
func (l *slowlog) total() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(l.lastID)
}

// cap is how many are kept at most.
func (l *slowlog) cap() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.max
}

func (l *slowlog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next = nil, 0
}

// setCap changes how many are kept; the oldest ones that are too many go.
func (l *slowlog) setCap(most int) {
	keep := l.newest(most)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries, l.next, l.max = nil, 0, most
	for i := range keep {
		l.entries = append(l.entries, keep[len(keep)-1-i])
	}
}

// slowlogCommands is SLOWLOG.
var slowlogCommands = &container{name: "slowlog", subs: []subcommand{
	{"get", -2, "[count]", "Returns the newest entries, 10 unless a count is given; -1 for all: id, time, microseconds, arguments, client, its name.", (*request).slowlogGet},
	{"len", 2, "", "Returns how many entries there are.", func(r *request) { r.int(int64(r.c.srv.slow.len())) }},
	{"reset", 2, "", "Drops all entries.", func(r *request) { r.c.srv.slow.reset(); r.ok() }},
}}

func (r *request) slowlogGet() {
	count := int64(10)
	switch {
	case len(r.args) > 3:
		r.wrongArity("slowlog|get")
		return
	case len(r.args) == 3:
		var ok bool
		if count, ok = parseIntBelow(r.args[2], -1, math.MaxInt64); !ok {
			r.fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	entries := r.c.srv.slow.newest(int(count))
	r.array(len(entries))
	for _, e := range entries {
		r.array(6)
		r.int(e.id)
		r.int(e.at)
		r.int(e.took.Microseconds())
		r.array(len(e.args))
		for _, a := range e.args {
			r.bulk(a)
		}
		r.bulk(e.addr)
		r.bulk(e.name)
	}
}

// The settings of CONFIG.

func checkSlowlogMicros(_ *Server, v string) string {
	if _, ok := parseIntBelow(v, -1, math.MaxInt64); !ok {
		return "argument must be between -1 and 9223372036854775807 inclusive"
	}
	return ""
}

func setSlowlogMicros(s *Server, v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return err
	}
	s.slow.setLimit(n)
	return nil
}

func checkSlowlogLen(_ *Server, v string) string {
	if _, ok := parseIntBelow(v, 0, slowlogLenMax); !ok {
		return fmt.Sprintf("argument must be between 0 and %d inclusive", slowlogLenMax)
	}
	return ""
}

func setSlowlogLen(s *Server, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil {
		return err
	}
	s.slow.setCap(n)
	return nil
}
