package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Merges
//
// In ModeBitcask the files of the log are the data. What is overwritten, deleted or expired lies dead in them until a merge
// writes what is still wanted into a new file and removes the old ones; docs/design/0006 says how. The engine does that in
// bounded steps, and after each of them says what the next one needs: nothing, the gate, the folder, or a log that is
// durable up to some LSN. Here is who makes these calls:
//
//	(1) One goroutine at a time makes steps: the driver (mergedrive.go), or with Options.ManualSteps whoever calls Merge
//	    or MergeStep. `turn` is held meanwhile, and guards what the engine has said it needs next.
//	(2) A merge that is under way is nobody's: who has the turn goes on with it, by his own options from then on. The
//	    driver gives the turn to who has asked, between two steps.
//	(3) Who asks joins `asked`, and the files are rolled afterwards: so what was dead when he asked is gone when he
//	    returns. All who ask while one is served share the one after it.
//	(4) A call that `asked` or the driver holds is ended exactly once, with Close or the failure of the log at the latest.
//	(5) A merge that fails changes nothing: all data is as it was, and writes go on.
type merges struct {
	want  chan struct{}             // a kick: somebody has asked
	files atomic.Pointer[DataFiles] // nil until the store is loaded
	busy  atomic.Bool               // the engine is in the middle of something, or a call is served

	diskRoom func(dir string) (diskRoom, error)
	room     atomic.Pointer[diskRoom] // as of a second ago; nil: not known
	scarce   atomic.Bool              // it is little, see MergeOptions.DiskLeftPercent

	turn sync.Mutex                  // held to make steps; order: before the gate and the committer's locks
	list sync.Mutex                  // held while the folder's files must stay those that there are; order: the turn of merges or of snapshots → list → filling
	next C.struct_nitro_merge_result // what the next step needs; guarded by turn
	rate rate                        // guarded by turn

	mu    sync.Mutex // guards the fields below; a leaf
	asked *mergeCall
	ended error // why no call is taken any more
}

// mergeCall is a merge that somebody has asked for.
type mergeCall struct {
	done chan struct{} // closed at its end; err is valid then
	err  error
}

// MergeOptions say when data files are merged, and how fast. With the zero value files are merged when half of them is
// dead, at any time of the day.
type MergeOptions struct {
	// DeadPercent is the share of a file that must be dead, 1 to 100. 0: 50.
	DeadPercent int
	// DeadBytes also merges files that hold so many dead bytes. 0: that is no reason.
	DeadBytes int64
	// DeadAge also merges files that hold anything dead and are so old, that which is written to, too. 0: that is no
	// reason.
	DeadAge time.Duration
	// DiskLeftPercent also merges files that hold anything dead while the file system of the data folder has less than so
	// many percent left, or less than two data files, whichever is more. That writes much for little, but a full disk
	// refuses writes. 0: 5. MergeDiskLeftOff: that is no reason.
	DiskLeftPercent int
	// Window is the part of the day in which merges may begin; one that is under way goes on. The zero value: always.
	Window MergeWindow
	// BytesPerSecond bounds what merges read and write together. 0: they only leave requests their share of the
	// processors.
	BytesPerSecond int64
	// Off leaves merges to Store.Merge.
	Off bool
}

// MergeWindow is a part of the day by the local clock, from and to a time since midnight; From after To spans midnight.
// If both are the same, it is always open.
type MergeWindow struct{ From, To time.Duration }

// open reports whether the moment lies in the window.
func (w MergeWindow) open(now time.Time) bool {
	hour, minute, second := now.Clock()
	at := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if w.From <= w.To {
		return w.From == w.To || w.From <= at && at < w.To
	}
	return at >= w.From || at < w.To
}

const day = 24 * time.Hour

func (o *MergeOptions) check() error {
	switch {
	case o.DeadPercent < 0 || o.DeadPercent > 100:
		return fmt.Errorf("engine: open: merges of files that are dead to %d percent, want 1 to 100: %w", o.DeadPercent,
			ErrArgument)
	case o.DeadBytes < 0:
		return fmt.Errorf("engine: open: merges of files with %d dead bytes, want 0 (no reason) or more: %w", o.DeadBytes,
			ErrArgument)
	case o.DeadAge < 0:
		return fmt.Errorf("engine: open: merges of files that are %v old, want 0 (no reason) or more: %w", o.DeadAge,
			ErrArgument)
	case o.DiskLeftPercent < MergeDiskLeftOff || o.DiskLeftPercent > 100:
		return fmt.Errorf("engine: open: merges of all that is dead with %d percent of the disk left, want 0 to 100, or "+
			"MergeDiskLeftOff: %w", o.DiskLeftPercent, ErrArgument)
	case o.BytesPerSecond < 0:
		return fmt.Errorf("engine: open: merges at %d bytes a second, want 0 (no limit) or more: %w", o.BytesPerSecond,
			ErrArgument)
	case min(o.Window.From, o.Window.To) < 0 || max(o.Window.From, o.Window.To) > day:
		return fmt.Errorf("engine: open: merges from %v to %v after midnight, want times of one day: %w", o.Window.From,
			o.Window.To, ErrArgument)
	}
	return nil
}

// mergeDeadPercent is Options.Merge.DeadPercent 0.
const mergeDeadPercent = 50

// automatic is what the engine is told when nobody has asked.
func (o *MergeOptions) automatic(now time.Time) C.struct_nitro_merge_options {
	c := C.struct_nitro_merge_options{
		dead_percent: mergeDeadPercent, dead_bytes: C.uint64_t(o.DeadBytes),
		dead_age_ms: C.int64_t((o.DeadAge + time.Millisecond - 1).Milliseconds()), // none stays none, a little is not none
	}
	if o.DeadPercent != 0 {
		c.dead_percent = C.uint32_t(o.DeadPercent)
	}
	if !o.Off && o.Window.open(now) {
		c.allow = 1
	}
	return c
}

// automaticMerges is the same at this moment.
func (s *Store) automaticMerges(now time.Time) C.struct_nitro_merge_options {
	o := s.opt.Merge.automatic(now)
	if s.merges.scarce.Load() && !s.keepsReplaced() {
		const part = 16 // of a file: a few dead bytes are not worth one, and there would be no end of it
		few := C.uint64_t(s.fileBytes() / part)
		if o.dead_bytes == 0 || o.dead_bytes > few {
			o.dead_bytes = few
		}
	}
	return o
}

// Merge gives back the room of everything that is dead now: it rolls the log over to a new file, merges all files of which
// a percent or more is dead, whatever Options.Merge says about when, and returns when that is done. Those who call
// while one is under way share the one after it. The context's error: its end came first, and the merge goes on.
// ErrUnsupported: the store is not in ModeBitcask. ErrLogFull, ErrIO, ErrNoMemory, ErrCorrupt: the error says what to do;
// all data is as it was. ErrReadOnly, ErrNotDurable: the log has failed.
func (s *Store) Merge(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	call, err := s.askMerge()
	if err != nil {
		return err
	}
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// askMerge asks for a merge that begins from now on.
func (s *Store) askMerge() (*mergeCall, error) {
	switch {
	case s.closed.Load():
		return nil, ErrClosed
	case s.mode != ModeBitcask:
		return nil, fmt.Errorf("engine: merge: the store is in mode %v, only mode bitcask has files to merge: %w", s.mode,
			ErrUnsupported)
	case s.loading.Load():
		return nil, ErrLoading
	}
	call, err := s.merges.ask()
	switch {
	case err != nil:
		return nil, err
	case s.opt.ManualSteps:
		s.serveMerge()
	default:
		kick(s.merges.want)
	}
	return call, nil
}

func (m *merges) ask() (*mergeCall, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended != nil {
		return nil, m.ended
	}
	if m.asked == nil {
		m.asked = &mergeCall{done: make(chan struct{})}
	}
	return m.asked, nil
}

// wanted reports whether somebody waits for the turn.
func (m *merges) wanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked != nil
}

// take hands out the call that is waiting, or nil; who asks later gets the next one.
func (m *merges) take() *mergeCall {
	m.mu.Lock()
	defer m.mu.Unlock()
	call := m.asked
	m.asked = nil
	return call
}

// shut ends the call that is waiting, and takes no more.
func (m *merges) shut(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended == nil {
		m.ended = why
	}
	if m.asked != nil {
		m.asked.err = why
		close(m.asked.done)
		m.asked = nil
	}
}

// MergeStep does one bounded piece of the work on data files, as Options.Merge says, and reports whether there is more to
// do now. A store opened without ManualSteps does this by itself. The errors are those of Merge; the next call begins
// anew.
func (s *Store) MergeStep() (more bool, err error) {
	m := &s.merges
	m.turn.Lock()
	defer m.turn.Unlock()
	switch {
	case s.closed.Load():
		return false, ErrClosed
	case s.loading.Load():
		return false, ErrLoading
	}
	if m.next.need == C.NITRO_MERGE_FOLDER || m.next.need == C.NITRO_MERGE_IDLE {
		s.lookAtDisk()
	}
	o := s.automaticMerges(time.Now())
	if err := s.mergeStep(&o); err != nil {
		return false, err
	}
	return m.next.need != C.NITRO_MERGE_IDLE, nil
}

// DataFiles tells about the files of a store in ModeBitcask.
type DataFiles struct {
	Files, MergedFiles         uint64 // all; of these those that merges have written
	Bytes                      uint64 // of records in them, and what lies between
	LiveBytes                  uint64 // of records that a key refers to
	PutBytes                   uint64 // of records that a key refers to, or has referred to
	GoneBytes                  uint64 // of deletes and flushes
	Hints                      uint64 // files that have a hint file, so that a start need not read them
	DamagedFiles, DamagedReads uint64 // files with a damaged record, and how often one was met

	// Since the store was opened.
	Merges            uint64
	MergeReadBytes    uint64
	MergeWrittenBytes uint64
	MergeDroppedBytes uint64 // of records that merges have left out
	HintsLoaded       uint64 // at the start: hint files that were used,
	HintsRebuilt      uint64 // and those that were missing, stale or damaged

	// The cache (Options.CacheBytes): what it has now, with 9 bytes beside each value, and since the store was opened.
	CacheBytes, CacheValues uint64
	CacheHits, CacheMisses  uint64 // reads of a key that was there whose value was cached, or was not
	CacheEvictions          uint64 // values that went to make room

	// Of the file system that they lie on, for this process; 0: not known. DiskScarce: so little is left that anything dead
	// is a reason to merge (MergeOptions.DiskLeftPercent).
	DiskLeft, DiskSize uint64
	DiskScarce         bool

	Merging bool // files are being merged, or get their hint files
}

// DataFiles tells about the data files, as of a second ago at most, or with Options.ManualSteps as of the last Merge. It
// is zero in other modes than ModeBitcask, and until the store is loaded.
func (s *Store) DataFiles() DataFiles {
	f := s.merges.files.Load()
	if f == nil {
		return DataFiles{}
	}
	files := *f
	files.Merging = s.merges.busy.Load()
	if r := s.merges.room.Load(); r != nil {
		files.DiskLeft, files.DiskSize = r.left, r.size
	}
	files.DiskScarce = s.merges.scarce.Load()
	return files
}

// readDataFiles asks the engine about its files; within inFolder.
func (s *Store) readDataFiles() *DataFiles {
	var c C.struct_nitro_data_files
	C.nitro_data_files_of(s.c, &c)
	return &DataFiles{
		Files: uint64(c.files), MergedFiles: uint64(c.merged_files), Bytes: uint64(c.bytes),
		LiveBytes: uint64(c.live_bytes), PutBytes: uint64(c.put_bytes), GoneBytes: uint64(c.gone_bytes), Hints: uint64(c.hints),
		DamagedFiles: uint64(c.damaged_files), DamagedReads: uint64(c.damaged_reads),
		Merges: uint64(c.merges), MergeReadBytes: uint64(c.merge_read_bytes),
		MergeWrittenBytes: uint64(c.merge_written_bytes), MergeDroppedBytes: uint64(c.merge_dropped_bytes),
		HintsLoaded: uint64(c.hints_loaded), HintsRebuilt: uint64(c.hints_rebuilt),
		CacheBytes: uint64(c.cache_bytes), CacheValues: uint64(c.cache_values),
		CacheHits: uint64(c.cache_hits), CacheMisses: uint64(c.cache_misses), CacheEvictions: uint64(c.cache_evictions),
	}
}
