package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"sync"
	"time"
)

// Recovery is what was found in the data folder when the store was opened.
type Recovery struct {
	Files, Bytes       uint64 // of log that were read
	SnapshotLSN        uint64 // of the snapshot that was loaded before it; 0: there was none
	SnapshotKeys       uint64 // in it
	SnapshotBytes      uint64 // of its file
	DurableLSN         uint64 // everything up to here was durable, and is there
	LastLSN            uint64 // what is served: the end of the valid tail
	TailRecords        uint64 // after DurableLSN: valid, and durable by now
	CutBytes           uint64 // of a tail that was never durable and is not valid: dropped
	CutFile, CutOffset uint64 // where it began
	Clean              bool   // the last stop was clean
	Created            bool   // the folder held no store
	Keys               uint64 // in the store afterwards
	Took               time.Duration
}

// recoverPartsMax is the most parts that the engine loads or replays side by side.
const recoverPartsMax = 64

// progressEvery is how often Recover tells its progress.
const progressEvery = 100 * time.Millisecond

// Recover loads the store from its folder, on all processors, and opens the log for writing; it is called once, after
// Open with Options.Loading. Until it has returned, requests and direct calls fail with ErrLoading. progress, which
// may be nil, is called about ten times a second with the bytes of snapshot and log read so far, on the calling goroutine.
// ErrCorrupt, ErrIO, ErrNoMemory, ErrLogFull: the error says what is wrong, where, and what to do; the store can only
// be closed. A store without a folder has nothing to recover.
func (s *Store) Recover(progress func(done, total uint64)) (Recovery, error) {
	s.recovering.Lock()
	defer s.recovering.Unlock()
	switch {
	case s.closed.Load():
		return Recovery{}, ErrClosed
	case s.recoverErr != nil:
		return Recovery{}, s.recoverErr
	case !s.loading.Load():
		return s.Recovery(), nil
	}
	start := time.Now()
	r, err := s.load(progress)
	if err != nil {
		s.recoverErr = err
		return Recovery{}, err
	}
	s.commit.open()
	s.openSnapshots(&r)
	s.loading.Store(false)
	r.Keys = s.Stats().Keys
	r.Took = time.Since(start)
	s.recovery.Store(&r)
	s.startDrivers()
	return r, nil
}

// Recovery is what Recover, or Open, has found; before that, and without a folder, it is zero.
func (s *Store) Recovery() Recovery {
	if r := s.recovery.Load(); r != nil {
		return *r
	}
	return Recovery{}
}

// load runs the steps of the engine's recovery. A Close that comes meanwhile is obeyed between them.
func (s *Store) load(progress func(done, total uint64)) (Recovery, error) {
	var e C.struct_nitro_err
	var found C.struct_nitro_recovery
	if err := detailed("recovery", C.nitro_recover_scan(s.c, C.int64_t(s.Now()), &found, &e), &e); err != nil {
		return Recovery{}, err
	}
	for _, part := range []func(part, parts C.uint32_t) error{s.loadPart, s.replayPart} {
		if s.closed.Load() {
			return Recovery{}, ErrClosed
		}
		if err := s.inParts(part, progress); err != nil {
			return Recovery{}, err
		}
	}
	if s.closed.Load() {
		return Recovery{}, ErrClosed
	}
	var newest C.int64_t
	if err := detailed("recovery", C.nitro_recover_finish(s.c, C.int64_t(s.Now()), &newest, &e), &e); err != nil {
		return Recovery{}, err
	}
	s.clock.raise(int64(newest))
	return Recovery{
		Files: uint64(found.files), Bytes: uint64(found.bytes),
		SnapshotLSN: uint64(found.snapshot_lsn), SnapshotKeys: uint64(found.snapshot_keys),
		SnapshotBytes: uint64(found.snapshot_bytes),
		DurableLSN:    uint64(found.durable_lsn), LastLSN: uint64(found.last_lsn),
		TailRecords: uint64(found.tail_records), CutBytes: uint64(found.cut_bytes),
		CutFile: uint64(found.cut_file), CutOffset: uint64(found.cut_offset),
		Clean: found.clean != 0, Created: found.created != 0,
	}, nil
}

// loadPart loads a part of the snapshot.
func (s *Store) loadPart(part, parts C.uint32_t) error {
	var e C.struct_nitro_err
	return detailed("recovery", C.nitro_recover_load(s.c, part, parts, &e), &e)
}

// replayPart replays the log for a part of the segments.
func (s *Store) replayPart(part, parts C.uint32_t) error {
	var e C.struct_nitro_err
	return detailed("recovery", C.nitro_recover_replay(s.c, part, parts, &e), &e)
}

// inParts runs a part on each processor, and tells the progress meanwhile.
func (s *Store) inParts(run func(part, parts C.uint32_t) error, progress func(done, total uint64)) error {
	parts := min(runtime.GOMAXPROCS(0), runtime.NumCPU(), recoverPartsMax) // more would spin on each other
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { errs[p] = run(C.uint32_t(p), C.uint32_t(parts)) })
	}
	if progress != nil {
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		s.tellProgress(progress, done)
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *Store) tellProgress(progress func(done, total uint64), finished <-chan struct{}) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-finished:
			over = true
		case <-tick.C:
		}
		var done, total C.uint64_t
		C.nitro_recover_progress(s.c, &done, &total)
		progress(uint64(done), uint64(total))
	}
}
