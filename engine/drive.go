package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"runtime"
	"time"
)

// Step is a kind of background work.
type Step int

// The kinds of background work. StepRetire takes the store's gate exclusively, StepPool not at all, the others share
// it.
const (
	StepExpire  Step = C.NITRO_STEP_EXPIRE  // removes expired keys that nobody reads
	StepReclaim Step = C.NITRO_STEP_RECLAIM // shrinks tables, evacuates sparse memory, evicts cached values
	StepFree    Step = C.NITRO_STEP_FREE    // frees what Flush and large values left
	StepPool    Step = C.NITRO_STEP_POOL    // keeps memory ready, gives unused memory back
	StepRetire  Step = C.NITRO_STEP_RETIRE  // frees what a prefetch might still have looked at
)

// stepBudgets bound the work of one call, in the unit of its kind (nitro.h): a call stays below about a
// millisecond, since it holds the gate and so delays whoever needs it exclusively.
var stepBudgets = [...]uint32{
	StepExpire:  2048, // buckets
	StepReclaim: 2048, // entries
	StepFree:    32,   // 64 KiB pieces
	StepPool:    32,   // 64 KiB pieces
	StepRetire:  256,  // items
}

// How often a driver calls: stepBusy while there is more to do, and then, when there is not, less and less
// often down to stepIdle. Five idle drivers cost fifty short calls a second.
const (
	stepBusy = 2 * time.Millisecond
	stepIdle = 100 * time.Millisecond
)

// What the drivers of the log do without being asked.
const (
	everysec     = time.Second            // how long records of that level may stay unsynced
	syncTickMost = 500 * time.Millisecond // between two looks at what there is to sync
	syncOthers   = 5 * time.Second        // how often records of level never are synced
	noteEvery    = time.Second            // how often CONTROL is told the durable LSN
)

// startDrivers runs one goroutine for each kind of step, one for the clock, those of the log, and one for snapshots or
// merges, until Close.
func (s *Store) startDrivers() {
	if s.opt.OnLogFailure != nil {
		s.wg.Go(s.reportFailure)
	}
	if s.opt.ManualSteps {
		return
	}
	for k := range stepBudgets {
		s.wg.Go(func() { s.driveSteps(Step(k)) })
	}
	s.wg.Go(s.driveClock)
	if s.LogState() != LogNone {
		s.startLogDrivers()
	}
	if s.opt.Dir == "" {
		return
	}
	s.wg.Go(s.driveSnapshots)
	if s.mode == ModeBitcask {
		s.wg.Go(s.driveMerges)
	}
}

func (s *Store) startLogDrivers() {
	s.wg.Go(s.driveSync)
	s.wg.Go(s.driveFill)
	for range releasers() {
		s.wg.Go(s.driveRelease)
	}
}

// releasers is how many goroutines tell waiters. One writes replies about as fast as one processor can; a second one
// helps where there is a processor for it.
func releasers() int { return min(runtime.GOMAXPROCS(0), 4) }

// driveSync is the syncer: it makes durable what is waited for, at once, and what is not, in its own time.
func (s *Store) driveSync() {
	tick := time.NewTicker(s.commit.tick())
	defer tick.Stop()
	others := time.Now() // when they were looked at
	for {
		select {
		case <-s.stop:
			return
		case <-s.commit.wantSync:
			s.commit.serve()
		case now := <-tick.C:
			due := now.Sub(others) >= syncOthers
			if due {
				others = now
			}
			s.commit.background(due)
		}
	}
}

// driveFill is the filler: it keeps room ahead of the appends, and looks for some on a full disk.
func (s *Store) driveFill() {
	retry := time.NewTimer(fillRetry)
	defer retry.Stop()
	retry.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.commit.wantFill:
		case <-retry.C:
		}
		if s.commit.fillAhead() {
			retry.Reset(fillRetry)
		}
	}
}

// driveRelease is a releaser: it tells waiters that their LSN is durable.
func (s *Store) driveRelease() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.commit.wantRelease:
			s.commit.release()
		}
	}
}

// reportFailure tells the host, once, that the log has failed.
func (s *Store) reportFailure() {
	select {
	case <-s.stop:
	case <-s.commit.failed:
		s.opt.OnLogFailure(s.LogError())
	}
}

func (s *Store) driveSteps(kind Step) {
	pause := stepIdle
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-timer.C:
		}
		if s.stepDue(kind) && s.Step(kind, stepBudgets[kind]) {
			pause = stepBusy
		} else {
			pause = min(2*pause, stepIdle)
		}
		timer.Reset(pause)
	}
}

func (s *Store) driveClock() {
	tick := time.NewTicker(adjustEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.clock.adjust()
		}
	}
}

// stepDue keeps the exclusive step from stopping everybody for nothing.
func (s *Store) stepDue(kind Step) bool {
	if kind != StepRetire {
		return true
	}
	t, err := s.enter()
	if err != nil {
		return false
	}
	defer s.gate.runlock(t)
	return C.nitro_retire_due(s.c) != 0
}

// Step does one bounded piece of background work and reports whether there is more. A store opened without
// ManualSteps does this by itself.
func (s *Store) Step(kind Step, budget uint32) (more bool) {
	if kind < 0 || int(kind) >= len(stepBudgets) {
		return false
	}
	switch kind {
	case StepRetire:
		s.gate.lock()
		defer s.gate.unlock()
	case StepPool: // needs no gate; a fresh huge page may take the kernel milliseconds
		s.poolMu.Lock()
		defer s.poolMu.Unlock()
	default:
		t := s.gate.rlock()
		defer s.gate.runlock(t)
	}
	if s.closed.Load() || s.loading.Load() {
		return false
	}
	var res C.struct_nitro_step_result
	code := C.nitro_step(s.c, C.enum_nitro_step_kind(kind), C.int64_t(s.Now()), C.uint32_t(budget), &res)
	return code == C.NITRO_OK && res.more != 0
}
