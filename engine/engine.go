package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Options configures a Store. The zero value is a store in memory without a limit.
type Options struct {
	// Segments is the number of separately locked parts, a power of two up to SegmentsMax. 0: SegmentsDefault.
	Segments int
	// MaxMemory limits the memory that the engine counts, in bytes; beyond it, writes that grow the store fail with
	// ErrMaxMemory. 0: no limit.
	MaxMemory int64
	// MaxValue is the largest value in bytes, up to ValueMax. 0: ValueMax.
	MaxValue int64
	// MaxArgs is the largest number of arguments of one RESP request. 0: 1,048,576.
	MaxArgs int
	// HugePageBytes asks for huge pages once so much memory is mapped. 0: from 256 MiB on; negative: never.
	HugePageBytes int64
	// ManualSteps leaves background work (expiry, giving memory back) to calls of Step: for tests and simulations.
	// Without it the store runs its own goroutines until Close.
	ManualSteps bool
	// Logger gets the store's few messages. Nil: they are dropped.
	Logger *slog.Logger
}

// Store is an open store, safe for concurrent use.
type Store struct {
	c      *C.nitro_store
	gate   *gate
	clock  *clock
	chunks chunkPool
	closed atomic.Bool // set under the exclusive gate; read under the shared one or under poolMu
	poolMu sync.Mutex  // keeps StepPool and Close apart; order: gate, then poolMu

	stop chan struct{} // closed by Close: the drivers end
	wg   sync.WaitGroup
}

// ErrClosed is returned by calls on a store that has been closed.
var ErrClosed = errors.New("nitrokv: the store is closed")

// Open returns an empty store. It must be closed.
func Open(opt Options) (*Store, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	var copt C.struct_nitro_options
	copt.segments = C.uint32_t(opt.Segments)
	copt.max_memory = C.uint64_t(opt.MaxMemory)
	copt.max_value = C.uint32_t(opt.MaxValue)
	copt.max_args = C.uint32_t(opt.MaxArgs)
	copt.huge_page_bytes = C.uint64_t(opt.HugePageBytes) // negative: a threshold that is never reached
	// crypto/rand.Read never fails: it would crash the program first.
	_, _ = rand.Read(unsafe.Slice((*byte)(unsafe.Pointer(&copt.seed[0])), len(copt.seed)))

	var cerr C.struct_nitro_err
	s := &Store{gate: newGate(), clock: newClock(opt.Logger), stop: make(chan struct{})}
	if code := C.nitro_open(&copt, &s.c, &cerr); code != C.NITRO_OK {
		return nil, fmt.Errorf("engine: open: %s: %w", C.GoString(&cerr.msg[0]), Error(code))
	}
	s.chunks.limit = idleChunksPerStripe * len(s.gate.stripes)
	if !opt.ManualSteps {
		s.startDrivers()
	}
	return s, nil
}

// check refuses what would be cut off by the conversion to C; the engine checks the rest.
func (o Options) check() error {
	switch {
	case o.Segments < 0 || o.Segments > SegmentsMax:
		return fmt.Errorf("engine: open: %d segments, want a power of two, 1 to %d: %w",
			o.Segments, SegmentsMax, ErrArgument)
	case o.MaxMemory < 0:
		return fmt.Errorf("engine: open: max memory of %d bytes, want 0 (none) or more: %w", o.MaxMemory, ErrArgument)
	case o.MaxValue < 0 || o.MaxValue > ValueMax:
		return fmt.Errorf("engine: open: max value of %d bytes, want 1 to %d: %w", o.MaxValue, ValueMax, ErrArgument)
	case o.MaxArgs < 0 || int64(o.MaxArgs) > 1<<31:
		return fmt.Errorf("engine: open: %d arguments at most, want 1 to %d: %w", o.MaxArgs, 1<<31, ErrArgument)
	}
	return nil
}

// Close ends the background work and releases everything. Sessions must be closed and chunks released before.
// Calls that come later fail with ErrClosed; so does a second Close.
func (s *Store) Close() error {
	s.gate.lock()
	if s.closed.Swap(true) {
		s.gate.unlock()
		return ErrClosed
	}
	s.gate.unlock()
	close(s.stop)
	s.wg.Wait()
	s.gate.lock()
	defer s.gate.unlock()
	s.poolMu.Lock()
	defer s.poolMu.Unlock()
	s.freeChunks()
	C.nitro_close(&s.c)
	return nil
}

// Now is the store's time in Unix milliseconds: never backwards, and steered slowly towards the system's clock.
func (s *Store) Now() int64 { return s.clock.now() }

// SetMaxMemory changes Options.MaxMemory: bytes, 0 for no limit.
func (s *Store) SetMaxMemory(bytes int64) error {
	if bytes < 0 {
		return fmt.Errorf("engine: max memory of %d bytes, want 0 (none) or more: %w", bytes, ErrArgument)
	}
	t, err := s.enter()
	if err != nil {
		return err
	}
	defer s.gate.runlock(t)
	C.nitro_set_max_memory(s.c, C.uint64_t(bytes))
	return nil
}

// AddClientBytes tells the engine about memory that the host holds for clients, so that MaxMemory covers it; delta is
// negative when it is freed.
func (s *Store) AddClientBytes(delta int64) error {
	t, err := s.enter()
	if err != nil {
		return err
	}
	defer s.gate.runlock(t)
	C.nitro_add_client_bytes(s.c, C.int64_t(delta))
	return nil
}

// enter takes the gate shared, or returns ErrClosed.
func (s *Store) enter() (*stripe, error) {
	t := s.gate.rlock()
	if s.closed.Load() {
		s.gate.runlock(t)
		return nil, ErrClosed
	}
	return t, nil
}
