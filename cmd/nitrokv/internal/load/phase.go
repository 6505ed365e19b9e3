package load

import (
	"math"
	"time"
)

// A phase is one stretch of a run in which all loops do the same. It doesn't change while loops run it; times are
// nanoseconds on the run's clock.
type phase struct {
	name       string
	sequential bool    // every connection walks its keys once, in a closed loop
	readShare  float64 // of the requests
	rate       float64 // requests per second of all connections; 0: closed loop
	requests   int64   // of all connections; 0: until the end
	length     time.Duration
	drops      bool // its latencies are not reported
	start, end int64
}

// forever is the end of a phase that is ended by its number of requests.
const forever = math.MaxInt64

// grace is how long after the end of an open loop requests that were due before are still sent. After it the server
// has clearly not kept up.
const grace = time.Second

// phaseLoad is the name of the phase that sets every key.
const phaseLoad = "load"

// phases lists what a run does.
func (c *Config) phases() []*phase {
	var list []*phase
	if c.Load || c.Verify {
		list = append(list, &phase{name: phaseLoad, sequential: true, requests: c.Keys, drops: true})
	}
	if c.Warmup > 0 {
		list = append(list, &phase{name: "warm-up", readShare: c.ReadRatio, rate: c.Rate, length: c.Warmup, drops: true})
	}
	list = append(list, &phase{name: "measure", readShare: c.ReadRatio, rate: c.Rate, requests: c.Requests, length: c.Duration})
	if c.Verify {
		list = append(list, &phase{name: "verify", sequential: true, readShare: 1, requests: c.Keys, drops: true})
	}
	return list
}

// begin fixes the phase's times.
func (p *phase) begin(now int64) {
	p.start, p.end = now, forever
	if p.length > 0 {
		p.end = now + int64(p.length)
	}
}

// due returns when request i of an open loop is to be sent.
func (p *phase) due(i int64) int64 { return p.start + int64(float64(i)/p.rate*1e9) }

// A plan is one loop's share of a phase.
type plan struct {
	*phase
	left     int64 // random closed loop: requests that may still be made
	arrivals int64 // open loop: how many requests have become due
	readBits uint64
}

// newPlan gives loop `thread` of `threads` its share.
func newPlan(p *phase, thread, threads int) plan {
	pl := plan{phase: p, left: forever}
	if p.requests > 0 && !p.sequential && p.rate == 0 {
		t, n := int64(thread), int64(threads)
		share := func(i int64) int64 { return p.requests/n*i + p.requests%n*i/n }
		pl.left = share(t+1) - share(t)
	}
	// A random number below 2^32 is a GET if it is below readBits.
	pl.readBits = uint64(p.readShare * (1 << 32))
	return pl
}
