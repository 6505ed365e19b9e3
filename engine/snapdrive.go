package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"time"
)

// When a snapshot is taken that nobody has asked for.
const (
	snapshotTick    = time.Second      // how often it is looked at
	saveIntervalOff = 60 * time.Second // Options.SaveInterval 0 without a log
	snapshotLogMin  = 256 << 20        // Options.SnapshotLogBytes 0: at least so much
	retainEvery     = time.Minute      // old files of the log go with each snapshot, or so often when time has passed
)

// saveInterval is the time from one automatic snapshot to the next; 0: time is no reason for one.
func (o *Options) saveInterval() time.Duration {
	if o.SaveInterval == 0 && o.WALOff {
		return saveIntervalOff
	}
	return max(o.SaveInterval, 0)
}

// snapshotLogBytes is how much log there may be since a snapshot of that size before the next one is taken; 0: the log
// is no reason for one.
func (o *Options) snapshotLogBytes(snapshot uint64) uint64 {
	if o.SnapshotLogBytes == 0 && !o.WALOff {
		return max(snapshotLogMin, snapshot)
	}
	return uint64(max(o.SnapshotLogBytes, 0))
}

// snapshotAutoOff says why no snapshot is taken unasked; empty: they are.
func (s *Store) snapshotAutoOff() string {
	switch {
	case s.opt.Dir == "":
		return "there is no data folder"
	case s.opt.ManualSteps:
		return "the store is used with manual steps"
	case s.mode == ModeBitcask && s.opt.saveInterval() == 0:
		return "mode bitcask starts without one, and no interval is set"
	case s.opt.saveInterval() == 0 && s.opt.snapshotLogBytes(0) == 0:
		return "they are switched off"
	case s.LogState() == LogFailed:
		return "the log has failed"
	}
	return ""
}

// openSnapshots begins the account of the snapshots, when the store has been loaded.
func (s *Store) openSnapshots(r *Recovery) {
	if err := s.lookAtFolder(); err != nil {
		s.opt.Logger.Warn("the data folder can't be looked through; it is tried again every second", "error", err)
	}
	newest := s.Folder().Newest
	n := &s.snaps
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = time.Now()
	n.state.Newest, n.state.LastSave = newest, newest.Time
	n.mark = s.countChanges()
	n.behind = r.LastLSN > newest.LSN
}

// driveSnapshots is the taker: it takes the snapshots that are asked for, and those that are due.
func (s *Store) driveSnapshots() {
	tick := time.NewTicker(snapshotTick)
	defer tick.Stop()
	retained := s.retainNow(time.Time{})
	blind := false // the folder could not be read at the last look
	for {
		select {
		case <-s.stop:
			return
		case <-s.snaps.want:
			s.serveSnapshot(false)
		case <-tick.C:
			blind = s.mode != ModeBitcask && s.lookForSnapshots(blind) // else the driver of merges looks
			if s.snapshotDue() {
				s.serveSnapshot(true)
			}
			if s.opt.RetainFor > 0 || s.opt.RetainBytes > 0 {
				retained = s.retainNow(retained)
			}
		}
	}
}

// lookForSnapshots renews what Folder returns, and tells of a failure once; it returns whether it has failed.
func (s *Store) lookForSnapshots(blind bool) bool {
	err := s.lookAtFolder()
	if err != nil && !blind && s.LogState() != LogFailed {
		s.opt.Logger.Warn("the data folder can't be looked through; no snapshot is taken for the log's size", "error", err)
	}
	return err != nil
}

// retainNow drops what is not needed any more, if the last time was long ago; it returns when that was.
func (s *Store) retainNow(last time.Time) time.Time {
	if time.Since(last) < retainEvery || s.LogState() == LogFailed {
		return last
	}
	s.dropOld()
	return time.Now()
}

// dropOld is retain for those who can do nothing about its failure: nothing that is needed is lost by it.
func (s *Store) dropOld() {
	if err := s.retain(); err != nil && !errors.Is(err, ErrClosed) {
		s.opt.Logger.Warn("old files of the log could not be removed; they stay until it is tried again, with the next "+
			"snapshot at the latest", "error", err)
	}
}

// snapshotDue reports whether it is time for a snapshot that nobody has asked for.
func (s *Store) snapshotDue() bool {
	return s.snapshotAutoOff() == "" && s.snapshotDueAt(time.Now())
}

func (s *Store) snapshotDueAt(now time.Time) bool {
	changes := s.countChanges()
	n := &s.snaps
	n.mu.Lock()
	defer n.mu.Unlock()
	if changes == n.mark && !n.behind || now.Before(n.retry) {
		return false
	}
	if every := s.opt.saveInterval(); every > 0 && now.Sub(n.last) >= every {
		return true
	}
	limit := s.opt.snapshotLogBytes(n.state.Newest.Bytes)
	return s.mode != ModeBitcask && limit > 0 && s.Folder().LogSince >= limit
}

// serveSnapshot takes the snapshot that is asked for. If none is, but one is due, it takes that.
func (s *Store) serveSnapshot(due bool) {
	n := &s.snaps
	n.turn.Lock()
	defer n.turn.Unlock()
	if call := n.begin(due); call != nil {
		s.runSnapshot(call, s.stop)
	}
}

// runSnapshot takes a snapshot for a call. Those who wait for it find old files gone and the folder looked at. The
// caller holds turn.
func (s *Store) runSnapshot(call *snapshotCall, quit <-chan struct{}) {
	began := time.Now()
	mark := s.countChanges()
	call.info, call.err = s.takeSnapshot(quit)
	if call.err == nil {
		s.dropOld()
		// What can't be read now is met, and told, by the driver's next look.
		_ = s.lookAtFolder()
	}
	s.snaps.end(call, mark)
	s.reportSnapshot(call, time.Since(began))
}

func (s *Store) reportSnapshot(call *snapshotCall, took time.Duration) {
	switch log := s.opt.Logger; {
	case call.err == nil:
		log.Info("snapshot taken", "lsn", call.info.LSN, "keys", call.info.Keys, "bytes", call.info.Bytes,
			"took", took.Round(time.Millisecond).String())
	case errors.Is(call.err, ErrClosed):
		log.Info("a snapshot was given up: the store is being closed")
	default:
		log.Warn("no snapshot could be taken; the older one and the log are as they were, and writes go on. Look at the "+
			"error, the disk and its free space", "error", call.err)
	}
}

// closeSnapshots ends what Close finds of the snapshots: the driver is gone, and a caller who takes one himself gives
// up. Without a log it takes the last one, with everything that the others don't have.
func (s *Store) closeSnapshots() error {
	n := &s.snaps
	n.turn.Lock()
	defer n.turn.Unlock()
	n.shut()
	if !s.opt.WALOff || s.loading.Load() || s.opt.saveInterval() == 0 || !s.unsaved() {
		return nil
	}
	call := n.begin(true)
	s.runSnapshot(call, nil)
	if call.err != nil {
		return fmt.Errorf("engine: close: changes since the last snapshot, at LSN %d, are lost, as there is no log: %w",
			s.SnapshotState().Newest.LSN, call.err)
	}
	return nil
}

// unsaved reports whether the store has changes that no snapshot has.
func (s *Store) unsaved() bool {
	changes := s.countChanges()
	s.snaps.mu.Lock()
	defer s.snaps.mu.Unlock()
	return changes != s.snaps.mark || s.snaps.behind
}

// countChanges is changes for those who don't hold the gate, and know that the store is not closed under them.
func (s *Store) countChanges() uint64 {
	t := s.gate.rlock()
	defer s.gate.runlock(t)
	return s.changes()
}

// changes counts what has been done to the store since it was opened. The caller holds the gate.
func (s *Store) changes() uint64 {
	var c C.struct_nitro_stats
	C.nitro_stats(s.c, &c)
	return uint64(c.writes) + uint64(c.deletes) + s.flushes.Load()
}
