package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// When the driver of the merges works.
const (
	mergeTick     = time.Second      // how often it looks what there is to do
	mergePauseMin = 10 * time.Second // after a failure, longer each time
	mergePauseMax = 10 * time.Minute
	// after a failure for want of room, or while little is left: that is when merges are needed
	mergePauseFull = 5 * time.Second
)

// mergeDriver is the goroutine that seals files, gives them hints, and merges them.
type mergeDriver struct {
	s       *Store
	blind   bool  // the folder could not be read at the last look
	failing Error // what has been told about the last failure; 0: the last time went well
	pause   time.Duration
	retry   time.Time // nothing is done unasked before this
}

// driveMerges is the driver: it serves those who ask, and does what is due, until Close or until the log has failed.
func (s *Store) driveMerges() {
	d := mergeDriver{s: s}
	tick := time.NewTicker(mergeTick)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.commit.failed:
			s.merges.shut(s.commit.readOnly())
			return
		case <-s.merges.want:
			s.serveMerge()
		case <-tick.C:
			d.look()
			d.work()
		}
	}
}

// look renews what Folder and DataFiles return.
func (d *mergeDriver) look() {
	err := d.s.lookAtFolder()
	if err != nil && !d.blind && d.s.LogState() != LogFailed {
		d.s.opt.Logger.Warn("the data folder can't be looked through; it is tried again every second", "error", err)
	}
	d.blind = err != nil
	d.s.lookAtDisk()
}

// work does what is due, unless it has failed just now or somebody asks for a merge.
func (d *mergeDriver) work() {
	if time.Now().Before(d.retry) {
		return
	}
	m := &d.s.merges
	m.turn.Lock()
	err := d.s.runMerges(func() *C.struct_nitro_merge_options {
		if m.wanted() {
			return nil
		}
		o := d.s.automaticMerges(time.Now())
		return &o
	})
	m.turn.Unlock()
	d.report(err)
}

// report tells of a failure once for each kind, and lets some time pass. None of them harms the data.
func (d *mergeDriver) report(err error) {
	if err == nil {
		d.failing, d.pause, d.retry = 0, 0, time.Time{}
		return
	}
	if errors.Is(err, ErrClosed) || d.s.LogState() == LogFailed {
		return // the end of the driver, too
	}
	kind := ErrInternal
	errors.As(err, &kind)
	if kind != d.failing {
		d.s.opt.Logger.Warn("data files could not be merged; all data is as it was, and writes go on. Look at the error, the "+
			"disk and its free space", "error", err)
	}
	d.failing = kind
	d.pause = min(max(2*d.pause, mergePauseMin), mergePauseMax)
	if kind == ErrLogFull || d.s.merges.scarce.Load() {
		d.pause = mergePauseFull
	}
	d.retry = time.Now().Add(d.pause)
}

// serveMerge does what somebody has asked for.
func (s *Store) serveMerge() {
	m := &s.merges
	m.turn.Lock()
	defer m.turn.Unlock()
	call := m.take()
	if call == nil {
		return
	}
	m.busy.Store(true)
	began := time.Now()
	call.err = s.mergeAll()
	m.busy.Store(m.next.need != C.NITRO_MERGE_IDLE)
	// Those who have waited find the account of it; what can't be read now is met, and told, by the driver's next look.
	_ = s.lookAtFolder()
	if call.err == nil {
		f := s.DataFiles()
		s.opt.Logger.Info("data files merged", "files", f.Files, "bytes", f.Bytes, "live_bytes", f.LiveBytes,
			"took", time.Since(began).Round(time.Millisecond).String())
	}
	close(call.done)
}

// closeMerges ends what Close finds of the merges: a caller who makes one himself gives it up. What is under way in the
// engine ends with it.
func (s *Store) closeMerges() {
	s.merges.turn.Lock()
	defer s.merges.turn.Unlock()
	s.merges.shut(ErrClosed)
}

// mergeAll merges everything that is dead now. What dies meanwhile is left for the next time, so that this ends also while
// others write. The caller holds turn.
func (s *Store) mergeAll() error {
	everything := C.struct_nitro_merge_options{allow: 1, dead_percent: 100, dead_bytes: 1}
	full := s.commit.inFolder(func() error {
		var e C.struct_nitro_err
		return detailed("merge", C.nitro_merge_roll(s.c, &everything.upto, &e), &e)
	})
	if full != nil && !errors.Is(full, ErrLogFull) { // what is sealed already can be merged without room for another file
		return full
	}
	// Only a file that is durable to its end is sealed and can be merged.
	if err := s.mergeDurable(s.Appended()); err != nil {
		return err
	}
	// A file that turns out to be damaged is left alone from then on, and the others are merged.
	var damaged error
	for range s.DataFiles().Files + 1 {
		err := s.runMerges(func() *C.struct_nitro_merge_options { return &everything })
		if !errors.Is(err, ErrCorrupt) {
			return cmp.Or(err, damaged, full)
		}
		damaged = err
	}
	return damaged
}

// runMerges makes steps, with the options of each moment, until nothing is left to do or the options are nil. It takes
// a share of the processors only that leaves requests theirs, and of the disk what Options.Merge says. The caller
// holds turn.
func (s *Store) runMerges(options func() *C.struct_nitro_merge_options) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := newPacer()
	m := &s.merges
	looked := time.Now()
	lag := s.mergesLag()
	for o := options(); o != nil; o = options() {
		if err := s.mergeStep(o); err != nil {
			s.tidyMerge()
			return err
		}
		if m.next.need == C.NITRO_MERGE_IDLE {
			return nil
		}
		if time.Since(looked) >= mergeTick {
			_ = s.lookAtFolder() // as above: the next look tells
			s.lookAtDisk()
			looked = time.Now()
			lag = s.mergesLag()
		}
		p.pause(lag && o.allow != 0)
		wait := m.rate.delay(s.opt.Merge.BytesPerSecond, uint64(m.next.read)+uint64(m.next.written), time.Now())
		for ; wait > mergeTick; wait -= mergeTick { // at a low rate INFO would stand still
			if !s.sleep(mergeTick) {
				return errMergeClosed
			}
			_ = s.lookAtFolder()
		}
		if !s.sleep(wait) {
			return errMergeClosed
		}
		runtime.Gosched()
	}
	return nil
}

// mergesLag reports whether more is dead than merges should have left, as of the last look.
func (s *Store) mergesLag() bool {
	f := s.merges.files.Load()
	return f != nil && s.opt.Merge.mergesLag(f, s.fileBytes())
}

// errMergeClosed ends a merge that Close finds under way.
var errMergeClosed = fmt.Errorf("engine: merge: given up: %w", ErrClosed)

// sleep returns false, at once, when the store is being closed.
func (s *Store) sleep(d time.Duration) bool {
	if d <= 0 {
		select {
		case <-s.stop:
			return false
		default:
			return true
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.stop:
		return false
	case <-timer.C:
		return true
	}
}

// mergeStep makes the engine's next step with the locks, and after the wait, that it has asked for. The caller holds turn.
func (s *Store) mergeStep(o *C.struct_nitro_merge_options) error {
	m := &s.merges
	if s.opt.retains() {
		o.retain = 1
	}
	call := func() error {
		var e C.struct_nitro_err
		var next C.struct_nitro_merge_result // none, after an error: that is, the folder
		err := detailed("merge", C.nitro_merge_step(s.c, C.int64_t(s.Now()), o, &next, &e), &e)
		m.next = next
		m.busy.Store(next.need != C.NITRO_MERGE_IDLE)
		return err
	}
	switch m.next.need {
	case C.NITRO_MERGE_IO:
		return call()
	case C.NITRO_MERGE_SHARED:
		t := s.gate.rlock()
		defer s.gate.runlock(t)
		return call()
	case C.NITRO_MERGE_SYNC:
		if err := s.mergeDurable(uint64(m.next.lsn)); err != nil {
			return err
		}
		return call()
	}
	m.list.Lock()
	defer m.list.Unlock()
	return s.commit.inFolder(call)
}

// tidyMerge removes at once what a merge that has failed has written so far: it may be all the room that there was. A failure is met again by the
// next step, which tells. The caller holds turn.
func (s *Store) tidyMerge() {
	if s.merges.next.need == C.NITRO_MERGE_IDLE && s.LogState() != LogFailed {
		var nothing C.struct_nitro_merge_options
		_ = s.mergeStep(&nothing)
	}
}

// mergeDurable waits until the log is durable up to lsn.
func (s *Store) mergeDurable(lsn uint64) error {
	if !s.waitDecided(lsn, s.stop) {
		return errMergeClosed
	}
	if err := s.commit.outcome(lsn); err != nil {
		return fmt.Errorf("engine: merge: the log did not become durable up to LSN %d: %w", lsn, err)
	}
	return nil
}

// rate spreads work over time.
type rate struct{ free time.Time } // when what has been done so far is paid for

// delay is how long to wait after so many bytes.
func (r *rate) delay(perSecond int64, bytes uint64, now time.Time) time.Duration {
	if perSecond == 0 {
		return 0
	}
	if r.free.Before(now) {
		r.free = now
	}
	r.free = r.free.Add(time.Duration(float64(bytes) / float64(perSecond) * float64(time.Second)))
	return r.free.Sub(now)
}
