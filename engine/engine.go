package engine

/*
#include "nitro.h"
#include <stdlib.h>
*/
import "C"

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Options configures a Store. The zero value is a store in memory without a limit, of which nothing is kept.
type Options struct {
	// Dir is the data folder; it is created if it is missing, and locked. Every write goes to the log in it, and Open
	// loads what is there. Empty: no log, nothing is kept.
	Dir string
	// Mode is what Dir was made with, or is made with if it is new: ErrFormat if it was another one. 0: that of the
	// folder, ModeMemory for a new one.
	Mode Mode
	// LogFileBytes is the size of one file of the log, 64 KiB to 1 TiB; in ModeMemory. 0: 64 MiB.
	LogFileBytes int64
	// MaxFileBytes is the size of one data file in ModeBitcask, 64 KiB to 4 GiB less 4 MiB. 0: 1 GiB. A file of a merge
	// may be as large, and a merge needs room on the disk for one.
	MaxFileBytes int64
	// CacheBytes is how much of the values that are read ModeBitcask keeps in memory: values up to 4 KiB, with 9 bytes
	// beside each, approximately those that were used last. They count for MaxMemory, but go before a write is refused.
	// Damage to their records on the disk is not noticed while they are cached. 0: none.
	CacheBytes int64
	// MapFiles reads values in data files that don't change any more through mappings of these, on amd64; elsewhere, and
	// where the system maps no more, they are read as without it. It is quicker while the files are in the page cache,
	// and slower where they are not: a record is then brought in page by page. It takes over SIGBUS in this process, to
	// tell a disk that fails as ErrIO; every other one is passed on. ModeBitcask alone.
	MapFiles bool
	// Merge says when data files are merged in ModeBitcask.
	Merge MergeOptions
	// ValueCompression is that of values in ModeBitcask: those of 64 bytes to 16 MiB are compressed before they are
	// written, if that makes them an eighth smaller. What is there already stays as it is, and is read whatever this says.
	// 0: ValueCompressionNone. ModeMemory refuses anything else.
	ValueCompression ValueCompression
	// Level says when the direct calls (Set, Get, …) return, and is the first level of new sessions. 0: LevelAlways.
	Level Level
	// SyncInterval is the longest time that what is written at LevelEverysec may stay unsynced, 10 ms or more: writers
	// wait when the disk can't keep up with it. 0: a second.
	SyncInterval time.Duration
	// WALOff leaves the log out: Dir holds snapshots alone, and a crash takes what is newer than the newest one. Nothing
	// waits for the disk then, and Level does not count. Close takes a last snapshot, unless SaveInterval is negative.
	WALOff bool
	// Compression is that of the snapshots, in ModeMemory. 0: CompressionZstd.
	Compression Compression
	// SaveInterval is the time from one automatic snapshot to the next, if anything has changed. 0: a minute with WALOff,
	// else time is no reason for one. Negative: never. In ModeBitcask no start is quicker for one; it holds on to the disk space of what
	// has been merged since.
	SaveInterval time.Duration
	// SnapshotLogBytes is how much log there may be since the newest snapshot before another one is taken: it bounds the
	// size of the folder and the time that a start takes. 0: as much as the newest snapshot has, at least 256 MiB.
	// Negative: never; then, and without SaveInterval, old files of the log go only with snapshots that are asked for. Not in
	// ModeBitcask, where no file of the log goes for a snapshot.
	SnapshotLogBytes int64
	// RetainFor and RetainBytes keep so much of the past that a restore can reach every LSN in it (see Restore): the last
	// so many hours, or bytes of log. With both, what the longer of them needs stays. 0: only what a start needs. In ModeBitcask the
	// files that merges replace stay, in the folder retained, until they were replaced so long ago, or so many bytes of newer ones are there.
	RetainFor   time.Duration
	RetainBytes int64
	// Loading makes Open return as soon as the folder is locked and looked at, so that a host can open its ports; it
	// has to call Recover then.
	Loading bool
	// OnLogFailure is called once, on a goroutine of its own, when the log has failed for good: the store is read-only
	// from then on. It must not call Close, which waits for it.
	OnLogFailure func(error)
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
	// ManualSteps leaves background work (expiry, giving memory back) to calls of Step, and that of the log to those
	// who wait for it: for tests and simulations. Without it the store runs its own goroutines until Close.
	ManualSteps bool
	// Logger gets the store's few messages. Nil: they are dropped.
	Logger *slog.Logger
}

// Store is an open store, safe for concurrent use.
type Store struct {
	c       *C.nitro_store
	opt     Options
	mode    Mode  // ModeMemory or ModeBitcask
	level   Level // of direct calls
	gate    *gate
	clock   *clock
	commit  *committer
	chunks  chunkPool
	snaps   snapshots
	merges  merges
	flushes atomic.Uint64 // calls of Flush that have done it
	closed  atomic.Bool   // set under the exclusive gate; read under the shared one or under poolMu
	poolMu  sync.Mutex    // keeps StepPool and Close apart; order: gate, then poolMu

	loading    atomic.Bool              // until Recover is done
	recovery   atomic.Pointer[Recovery] // nil until then
	recovering sync.Mutex               // held by Recover, and by Close; guards recoverErr; order: before the gate
	recoverErr error

	stop chan struct{} // closed by Close: the drivers end
	wg   sync.WaitGroup
}

// ErrClosed is returned by calls on a store that has been closed.
var ErrClosed = errors.New("nitrokv: the store is closed")

// Open returns a store: with Options.Dir what the folder holds, else an empty one. It must be closed. ErrInUse:
// another process has the folder. ErrFormat: it is of another mode or a newer format. ErrArgument: options that can't be
// had, or not in the folder's mode. ErrCorrupt, ErrIO: the error says what is wrong, where, and what to do; nothing in
// the folder has been changed.
func Open(opt Options) (*Store, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Level == 0 {
		opt.Level = LevelAlways
	}
	s := &Store{opt: opt, level: opt.Level, gate: newGate(), clock: newClock(opt.Logger), stop: make(chan struct{})}
	s.snaps.want = make(chan struct{}, 1)
	s.merges.want = make(chan struct{}, 1)
	s.merges.diskRoom = diskRoomOf
	if err := s.openFolder(); err != nil {
		return nil, err
	}
	s.chunks.limit = idleChunksPerStripe * len(s.gate.stripes)
	s.commit = newCommitter(newEngineLog(s.c, opt.WALOff), s.Now, opt.ManualSteps, opt.SyncInterval)
	if opt.Dir == "" {
		s.commit.open()
		s.startDrivers()
		return s, nil
	}
	s.loading.Store(true)
	if opt.Loading {
		return s, nil
	}
	if _, err := s.Recover(nil); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openFolder opens the engine's store, and with it the folder, which may be of a mode that doesn't suit the options.
func (s *Store) openFolder() error {
	if err := refuseSnapshot(s.opt.Dir); err != nil {
		return err
	}
	if err := s.openC(); err != nil {
		return err
	}
	s.mode = Mode(C.nitro_mode_of(s.c))
	err := s.opt.checkMode(s.mode)
	if err == nil {
		err = s.openRoot()
	}
	if err != nil {
		C.nitro_close(&s.c)
	}
	return err
}

// openC opens the engine's store.
func (s *Store) openC() error {
	var copt C.struct_nitro_options
	copt.segments = C.uint32_t(s.opt.Segments)
	copt.max_memory = C.uint64_t(s.opt.MaxMemory)
	copt.max_value = C.uint32_t(s.opt.MaxValue)
	copt.max_args = C.uint32_t(s.opt.MaxArgs)
	copt.huge_page_bytes = C.uint64_t(s.opt.HugePageBytes) // negative: a threshold that is never reached
	copt.mode = C.uint32_t(s.opt.Mode)
	copt.value_compression = C.enum_nitro_compression(s.opt.ValueCompression)
	copt.log_file_bytes = C.uint64_t(max(s.opt.LogFileBytes, s.opt.MaxFileBytes)) // one of them is 0
	copt.cache_bytes = C.uint64_t(s.opt.CacheBytes)
	if s.opt.WALOff {
		copt.wal_off = 1
	}
	if s.opt.MapFiles {
		copt.map_files = 1
	}
	if s.opt.Dir != "" {
		copt.dir = C.CString(s.opt.Dir)
		defer C.free(unsafe.Pointer(copt.dir))
	}
	// crypto/rand.Read never fails: it would crash the program first.
	_, _ = rand.Read(unsafe.Slice((*byte)(unsafe.Pointer(&copt.seed[0])), len(copt.seed)))
	_, _ = rand.Read(unsafe.Slice((*byte)(unsafe.Pointer(&copt.log_seed[0])), len(copt.log_seed)))
	var e C.struct_nitro_err
	return detailed("open", C.nitro_open(&copt, &s.c, &e), &e)
}

// openRoot opens the data folder once more, for reading: OpenSnapshot finds files in it even if it is moved.
func (s *Store) openRoot() (err error) {
	if s.opt.Dir == "" {
		return nil
	}
	if s.snaps.root, err = os.OpenRoot(s.opt.Dir); err != nil {
		return fmt.Errorf("engine: open the data folder: %w: %w", ErrIO, err)
	}
	return nil
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
	case o.Level > LevelAlways:
		return fmt.Errorf("engine: open: %v, want always, everysec or never: %w", o.Level, ErrArgument)
	case strings.IndexByte(o.Dir, 0) >= 0:
		return fmt.Errorf("engine: open: the folder's name %q holds a zero byte: %w", o.Dir, ErrArgument)
	}
	if err := o.checkSnapshots(); err != nil {
		return err
	}
	if err := o.checkFiles(); err != nil {
		return err
	}
	return o.checkMode(o.Mode)
}

// checkSnapshots refuses what can't be had: nobody should think that his data is kept when it is not.
func (o Options) checkSnapshots() error {
	switch {
	case o.Compression > CompressionNone:
		return fmt.Errorf("engine: open: %v, want zstd, lz4 or none: %w", o.Compression, ErrArgument)
	case o.RetainFor < 0:
		return fmt.Errorf("engine: open: retention of %v, want 0 (none) or more: %w", o.RetainFor, ErrArgument)
	case o.RetainBytes < 0:
		return fmt.Errorf("engine: open: retention of %d bytes, want 0 (none) or more: %w", o.RetainBytes, ErrArgument)
	case o.WALOff && (o.RetainFor > 0 || o.RetainBytes > 0):
		return fmt.Errorf("engine: open: retention is of the log, and with WALOff there is none: %w", ErrArgument)
	case o.Dir == "" && (o.WALOff || o.SaveInterval > 0 || o.SnapshotLogBytes > 0 || o.RetainFor > 0 || o.RetainBytes > 0):
		return fmt.Errorf("engine: open: snapshots, and what is said about the log, need a data folder; name one in Dir: %w",
			ErrArgument)
	}
	return nil
}

// Close ends the background work, gives up a snapshot or a merge that is under way, makes everything durable (with WALOff by a
// last snapshot), marks the folder as cleanly stopped, and releases everything. In ModeBitcask it gives files that lack one
// their hint before, for two seconds at most and not with ManualSteps, so that the next start reads hints alone. Sessions must
// be closed and chunks released before. Calls that come later fail with ErrClosed; so does a second Close. Another error says that the clean
// stop has failed: what was acknowledged is safe, and recovered at the next start. With WALOff it says that the last
// snapshot has failed, and what is lost.
func (s *Store) Close() error {
	s.gate.lock()
	if s.closed.Swap(true) {
		s.gate.unlock()
		return ErrClosed
	}
	s.gate.unlock()
	s.recovering.Lock() // a Recover that is under way ends at its next step
	defer s.recovering.Unlock()
	close(s.stop)
	s.wg.Wait()
	s.closeMerges()
	s.closeHints()
	err := errors.Join(s.closeSnapshots(), s.closeC())
	s.commit.release() // writers whose record the clean stop has made durable
	return err
}

// closeC stops the log and closes the engine's store.
func (s *Store) closeC() error {
	s.gate.drain()
	s.gate.lock()
	defer s.gate.unlock()
	s.poolMu.Lock()
	defer s.poolMu.Unlock()
	var stop func() error
	if s.opt.Dir != "" && !s.loading.Load() {
		stop = func() error { return newEngineLog(s.c, s.opt.WALOff).stop(s.Now()) }
	}
	err := s.commit.shut(stop)
	s.freeChunks()
	C.nitro_close(&s.c)
	return errors.Join(err, s.closeRoot())
}

func (s *Store) closeRoot() error {
	if s.snaps.root == nil {
		return nil
	}
	return s.snaps.root.Close()
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
