package server

import (
	"context"
	"errors"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// SAVE, BGSAVE and LASTSAVE: snapshots for those who ask. The file belongs to the data folder, where it stands in for all
// log before it; a copy to keep is BACKUP's (backup.go).
//
// In Redis SAVE stops everybody until it is done. Here it is BGSAVE and a wait: others go on, and what they write
// meanwhile is not in the snapshot.

// noFolderText is why a server that keeps nothing takes no snapshots.
const noFolderText = "ERR this server has no data folder, so there is nowhere for a snapshot: start it with --dir"

const alreadySavingText = "ERR Background save already in progress"

// refusesSnapshots answers why there are no snapshots here; false: there are.
func (r *request) refusesSnapshots() bool {
	if r.c.srv.hasFolder() {
		return false
	}
	r.fail(noFolderText)
	return true
}

// hashText is the hash of a snapshot's contents; empty if nobody has counted what is in it.
func hashText(info *engine.SnapshotInfo) string {
	if info.Linked {
		return ""
	}
	return info.Hash.String()
}

// hasFolder reports whether there is a data folder: snapshots, and a log unless Options.WALOff is set.
func (s *Server) hasFolder() bool { return s.opt.Dir != "" }

// save is SAVE: the answer comes when the snapshot is on disk. As in Redis, one that is under way already is an error.
func (r *request) save() {
	s := r.c.srv
	if r.refusesSnapshots() {
		return
	}
	if s.store.SnapshotState().Running {
		r.fail(alreadySavingText)
		return
	}
	ctx, unblock, ok := r.c.block(context.Background(), r.fd, r.ch)
	if !ok {
		return
	}
	defer unblock()
	if _, err := s.store.Snapshot(ctx); err != nil {
		r.snapshotError(ctx, "the snapshot was not taken", err)
		return
	}
	r.ok()
}

// bgSave is BGSAVE [SCHEDULE]. SCHEDULE asks for one more if there is one under way, which may lack the newest writes.
func (r *request) bgSave() {
	schedule := len(r.args) == 2 && isWord(r.args[1], "SCHEDULE")
	if len(r.args) > 1 && !schedule {
		r.syntaxError()
		return
	}
	if r.refusesSnapshots() {
		return
	}
	store, behind := r.c.srv.store, false
	var err error
	if schedule {
		behind, err = store.ScheduleSnapshot()
	} else {
		err = store.StartSnapshot()
	}
	switch {
	case errors.Is(err, engine.ErrSnapshotRunning):
		r.fail(alreadySavingText)
	case err != nil:
		r.snapshotError(context.Background(), "no snapshot was begun", err)
	case behind:
		r.status("Background saving scheduled")
	default:
		r.status("Background saving started")
	}
}

// lastSave is LASTSAVE: when the last snapshot of this process was taken, in Unix seconds; before the first one the start
// of the server, as in Redis, which takes what it has just loaded for saved.
func (r *request) lastSave() { r.int(r.c.srv.lastSaved().Unix()) }

// lastSaved is the time that LASTSAVE and INFO show.
func (s *Server) lastSaved() time.Time {
	if at := s.store.SnapshotState().LastSave; at.After(s.started) {
		return at
	}
	return s.started
}

// snapshotError answers why there is no snapshot.
func (r *request) snapshotError(ctx context.Context, what string, err error) {
	switch {
	case ctx.Err() != nil:
		r.fail("ERR the server is shutting down: %s", what)
	case errors.Is(err, engine.ErrLoading):
		r.fail(loadingText)
	default:
		r.fail("ERR %s: %v", what, err)
	}
}
