package server

import (
	"sync"
	"time"
)

// diskUse is what the data folder takes on the disk, as of the last look at all of its files. Looks take a hundredth of the time at most,
// however many files there are and however often somebody asks: INFO, which some clients send whenever they connect, or /metrics.
type diskUse struct {
	mu    sync.Mutex
	bytes uint64
	err   error
	until time.Time // when it is looked again
}

const diskUseShare = 100

// of returns what look has returned not long ago.
func (d *diskUse) of(look func() (uint64, error)) (uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if began := time.Now(); began.After(d.until) {
		d.bytes, d.err = look()
		took := time.Since(began)
		d.until = began.Add(diskUseShare * took)
	}
	return d.bytes, d.err
}

// diskBytes is Store.DiskBytes, as of not long ago.
func (s *Server) diskBytes() (uint64, error) { return s.total.disk.of(s.store.DiskBytes) }
