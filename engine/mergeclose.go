package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// closeHintsMost is how long Close works so that the next start is quick. What isn't done by then costs that start the time
// to read the files that have no hint.
const closeHintsMost = 2 * time.Second

// closeHints leaves the next start hints for all files, if it can. The drivers are gone, and nobody gets to merge any more.
func (s *Store) closeHints() {
	s.merges.turn.Lock()
	defer s.merges.turn.Unlock()
	if s.mode != ModeBitcask || s.loading.Load() || s.opt.ManualSteps || s.LogState() == LogFailed {
		return
	}
	if err := s.leaveHints(time.Now().Add(closeHintsMost)); err != nil {
		s.opt.Logger.Warn("a data file could not be given its hint; nothing is lost, the next start reads the file itself", "error", err)
	}
}

// leaveHints seals the file that is written to, and gives every sealed file its hint, as far as that can be done until then:
// each step is a stretch of a file at most, so a file that is too large for the time ends it, too. A merge that no start would
// find is given up, as it could take all the time. The caller holds turn.
func (s *Store) leaveHints(until time.Time) error {
	m := &s.merges
	err := s.commit.inFolder(func() error {
		if C.nitro_merge_abandon(s.c) != 0 {
			m.next = C.struct_nitro_merge_result{} // the folder
		}
		var e C.struct_nitro_err
		return detailed("close", C.nitro_merge_roll(s.c, nil, &e), &e)
	})
	if errors.Is(err, ErrLogFull) {
		err = nil // there is no room for another file: those that are sealed get their hints
	} else if err == nil {
		ctx, cancel := context.WithDeadline(context.Background(), until)
		defer cancel()
		appended := s.commit.log.look().appended
		if !s.waitDecided(appended, ctx.Done()) { // nothing else is sealed
			return fmt.Errorf("engine: close: the log is not durable up to LSN %d in time", appended)
		}
		err = s.commit.outcome(appended)
	}
	var hintsAlone C.struct_nitro_merge_options
	for err == nil && time.Now().Before(until) {
		err = s.mergeStep(&hintsAlone)
		if err == nil && m.next.need == C.NITRO_MERGE_IDLE {
			break
		}
	}
	return err
}
