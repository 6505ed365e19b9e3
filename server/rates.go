package server

import (
	"sync"
	"time"
)

// rates are what INFO tells as "instantaneous": the traffic between the sweeper's two newest looks, which are a second
// apart. Requests only raise counters that there are anyway.
type rates struct {
	mu        sync.Mutex // guards the fields below; a leaf
	old, last sample
}

// sample is the counters at a time.
type sample struct {
	at                          time.Time
	requests, bytesIn, bytesOut uint64
}

// noteTraffic takes a sample.
func (s *Server) noteTraffic(now time.Time) {
	requests, in, out := s.traffic()
	s.rates.note(sample{at: now, requests: requests, bytesIn: in, bytesOut: out})
}

func (r *rates) note(now sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old, r.last = r.last, now
}

// perSecond is the rates of requests and of bytes; zero until there are two samples.
func (r *rates) perSecond() (requests, bytesIn, bytesOut float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.last.at.Sub(r.old.at).Seconds()
	if r.old.at.IsZero() || t <= 0 {
		return 0, 0, 0
	}
	per := func(old, last uint64) float64 { return float64(last-old) / t }
	return per(r.old.requests, r.last.requests), per(r.old.bytesIn, r.last.bytesIn), per(r.old.bytesOut, r.last.bytesOut)
}
