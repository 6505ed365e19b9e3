package engine

/*
#include "nitro.h"
*/
import "C"

import "time"

// Step is a kind of background work.
type Step int

// The kinds of background work. StepRetire takes the store's gate exclusively, StepPool not at all, the others share it.
const (
	StepExpire  Step = C.NITRO_STEP_EXPIRE  // removes expired keys that nobody reads
	StepReclaim Step = C.NITRO_STEP_RECLAIM // shrinks tables, evacuates sparse memory
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

// startDrivers runs one goroutine for each kind of step, and one for the clock, until Close.
func (s *Store) startDrivers() {
	for k := range stepBudgets {
		s.wg.Go(func() { s.driveSteps(Step(k)) })
	}
	s.wg.Go(s.driveClock)
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
	if s.closed.Load() {
		return false
	}
	var res C.struct_nitro_step_result
	code := C.nitro_step(s.c, C.enum_nitro_step_kind(kind), C.int64_t(s.Now()), C.uint32_t(budget), &res)
	return code == C.NITRO_OK && res.more != 0
}
