package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"time"
)

// takeSnapshot makes the engine's calls from prepare to finish, in the order and under the locks that nitro.h demands.
// It is given up when quit is closed. Whatever fails, the older snapshot and the log are as they were. The caller
// holds turn.
func (s *Store) takeSnapshot(quit <-chan struct{}) (SnapshotInfo, error) {
	if s.mode == ModeBitcask {
		return s.linkSnapshot(quit)
	}
	if err := s.prepareSnapshot(); err != nil {
		return SnapshotInfo{}, err
	}
	lsn := s.beginSnapshot()
	err := s.writeSnapshot(quit)
	if err == nil {
		err = s.snapshotDurable(lsn, quit)
	}
	var info SnapshotInfo
	if err == nil {
		info, err = s.finishSnapshot()
	}
	if err != nil {
		s.abortSnapshot()
	}
	return info, err
}

// inFolder makes a call that may change what the folder holds: alone, and not after the log has failed or the store
// is closed.
func (c *committer) inFolder(call func() error) error {
	c.filling.Lock()
	defer c.filling.Unlock()
	if err := c.refusal(); err != nil {
		return err
	}
	defer c.publish() // a failure of MANIFEST is one of the log
	return call()
}

func (s *Store) prepareSnapshot() error {
	return s.commit.inFolder(func() error {
		var e C.struct_nitro_err
		return detailed("snapshot", C.nitro_snapshot_prepare(s.c, s.opt.Compression.number(), &e), &e)
	})
}

// beginSnapshot makes the cut. All else stands still for it, a few words for each segment long.
func (s *Store) beginSnapshot() (lsn uint64) {
	now := C.int64_t(s.Now())
	var at C.uint64_t
	s.gate.lock()
	C.nitro_snapshot_begin(s.c, now, &at)
	s.gate.unlock()
	return uint64(at)
}

// writeSnapshot walks through the store and writes what it finds, and what writers save meanwhile. They wait when it
// does not keep up; as long as it does, it takes a share of the processors only that leaves requests theirs.
func (s *Store) writeSnapshot(quit <-chan struct{}) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := newPacer()
	idle := 0 // calls in a row that have found nothing
	for {
		select {
		case <-quit:
			return fmt.Errorf("engine: snapshot: given up: %w", ErrClosed)
		default:
		}
		gathered := s.gatherSnapshot()
		switch gathered {
		case C.NITRO_GATHERED_ALL:
			return nil
		case C.NITRO_GATHERED_SOME, C.NITRO_GATHERED_MUCH:
			var e C.struct_nitro_err
			if err := detailed("snapshot", C.nitro_snapshot_write(s.c, &e), &e); err != nil {
				return err
			}
			idle = 0
			p.pause(gathered == C.NITRO_GATHERED_MUCH)
		default: // a segment was locked, or holds nothing of the snapshot
			idle++
			if idle%backoffYields == 0 {
				time.Sleep(backoffSleepMin) // the kernel may have taken the holder's processor away
			}
		}
		runtime.Gosched()
	}
}

func (s *Store) gatherSnapshot() C.int {
	t := s.gate.rlock()
	defer s.gate.runlock(t)
	return C.nitro_snapshot_gather(s.c)
}

// snapshotDurable waits until the log is durable up to the cut: a snapshot must not hold what a power cut takes from
// the log.
func (s *Store) snapshotDurable(lsn uint64, quit <-chan struct{}) error {
	if !s.waitDecided(lsn, quit) {
		return fmt.Errorf("engine: snapshot: given up: %w", ErrClosed)
	}
	if err := s.commit.outcome(lsn); err != nil {
		return fmt.Errorf("engine: snapshot: the log did not become durable up to LSN %d: %w", lsn, err)
	}
	return nil
}

func (s *Store) finishSnapshot() (info SnapshotInfo, err error) {
	err = s.commit.inFolder(func() error {
		var out C.struct_nitro_snapshot_info
		var e C.struct_nitro_err
		if err := detailed("snapshot", C.nitro_snapshot_finish(s.c, C.int64_t(s.Now()), &out, &e), &e); err != nil {
			return err
		}
		info = s.snapshotInfo(&out)
		return nil
	})
	return info, err
}

// abortSnapshot ends one that is under way; writers owe it nothing from then on.
func (s *Store) abortSnapshot() {
	var b backoff
	for s.tryAbort() == C.NITRO_EBUSY { // a segment was locked
		b.wait()
	}
}

func (s *Store) tryAbort() C.int {
	t := s.gate.rlock()
	defer s.gate.runlock(t)
	return C.nitro_snapshot_abort(s.c)
}

// linkSnapshot takes a snapshot of a store whose log is its data: the file that is written to is closed, and when that is
// durable, all files get second names. Meanwhile no merge may put a file into the place of others, which would lack
// what is dead by then, but was not at the cut. The caller holds turn.
func (s *Store) linkSnapshot(quit <-chan struct{}) (info SnapshotInfo, err error) {
	s.merges.list.Lock()
	defer s.merges.list.Unlock()
	lsn, err := s.rollForSnapshot()
	if err == nil {
		err = s.snapshotDurable(lsn, quit)
	}
	if err == nil {
		info, err = s.linkFiles(lsn, quit)
	}
	return info, err
}

// rollForSnapshot lets appends go on in the next file, and returns the cut.
func (s *Store) rollForSnapshot() (lsn uint64, err error) {
	err = s.commit.inFolder(func() error {
		var at C.uint64_t
		var e C.struct_nitro_err
		err := detailed("snapshot", C.nitro_snapshot_roll(s.c, &at, &e), &e)
		lsn = uint64(at)
		return err
	})
	return lsn, err
}

// linkedFiles are sealed, or get a name, at a time: meanwhile nobody makes room in the log.
const linkedFiles = 16

// linkFiles makes a snapshot of what has become durable, a few files at a time. Of one that fails, or is given up, nothing is left.
func (s *Store) linkFiles(lsn uint64, quit <-chan struct{}) (info SnapshotInfo, err error) {
	for more := true; more && err == nil; {
		select {
		case <-quit:
			err = fmt.Errorf("engine: snapshot: given up: %w", ErrClosed)
		default:
			info, more, err = s.linkSome(lsn)
		}
	}
	if err != nil && s.LogState() != LogFailed {
		s.abortLinks()
		s.dropOld()
	}
	return info, err
}

func (s *Store) linkSome(lsn uint64) (info SnapshotInfo, more bool, err error) {
	err = s.commit.inFolder(func() error {
		var out C.struct_nitro_snapshot_info
		var again C.uint32_t
		var e C.struct_nitro_err
		rc := C.nitro_snapshot_link(s.c, C.uint64_t(lsn), C.int64_t(s.Now()), linkedFiles, &out, &again, &e)
		if rc == C.NITRO_OK && again == 0 {
			info = s.snapshotInfo(&out)
		}
		more = again != 0
		return detailed("snapshot", rc, &e)
	})
	return info, more, err
}

// abortLinks ends a snapshot whose files are being linked; what there is of it goes with retain.
func (s *Store) abortLinks() {
	s.commit.filling.Lock()
	defer s.commit.filling.Unlock()
	C.nitro_snapshot_abort(s.c) // busy it is only in mode memory
}

// retains reports whether what restores to an earlier moment need is kept.
func (o *Options) retains() bool { return o.RetainFor > 0 || o.RetainBytes > 0 }

// retainFiles go at a time: meanwhile nobody makes room in the log.
const retainFiles = 2

// retain removes the files that neither a start nor a restore within the window needs.
func (s *Store) retain() error {
	for more := C.uint32_t(1); more != 0; {
		err := s.commit.inFolder(func() error {
			var keep C.int64_t
			if s.opt.RetainFor > 0 {
				keep = C.int64_t(max(s.opt.RetainFor.Milliseconds(), 1))
			}
			var e C.struct_nitro_err
			return detailed("drop old files of the log", C.nitro_retain_some(s.c, C.int64_t(s.Now()), keep,
				C.uint64_t(s.opt.RetainBytes), retainFiles, &more, &e), &e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAtFolder renews what Folder and DataFiles return.
func (s *Store) lookAtFolder() error {
	return s.commit.inFolder(func() error {
		f, err := s.readFolder()
		if err == nil {
			s.snaps.folder.Store(&f)
			s.merges.files.Store(s.readDataFiles())
		}
		return err
	})
}

// readFolder asks the engine what the folder holds; within inFolder.
func (s *Store) readFolder() (Folder, error) {
	var c C.struct_nitro_folder
	var e C.struct_nitro_err
	if err := detailed("data folder", C.nitro_folder_state(s.c, &c, &e), &e); err != nil {
		return Folder{}, err
	}
	return Folder{
		Snapshots: uint64(c.snapshots), Newest: s.snapshotInfo(&c.newest),
		OldestLSN: uint64(c.oldest_lsn), OldestTime: timeOf(c.oldest_ms),
		LogFiles: uint64(c.log_files), LogBytes: uint64(c.log_bytes), LogSince: uint64(c.log_since),
		SnapshotBytes: uint64(c.snapshot_bytes),
	}, nil
}

// snapshotInfo is what the engine says of a snapshot of this store.
func (s *Store) snapshotInfo(c *C.struct_nitro_snapshot_info) SnapshotInfo {
	info := snapshotInfo(c)
	info.Linked = s.mode == ModeBitcask && info.Number != 0
	return info
}

func snapshotInfo(c *C.struct_nitro_snapshot_info) SnapshotInfo {
	return SnapshotInfo{
		Number: uint64(c.number), LSN: uint64(c.lsn), Time: timeOf(c.time_ms),
		Keys: uint64(c.keys), RawBytes: uint64(c.raw_bytes), Bytes: uint64(c.bytes),
		Hash: ContentHash{A: uint64(c.hash_a), B: uint64(c.hash_b)},
	}
}

// timeOf is a time of the engine's; 0 is none.
func timeOf(ms C.int64_t) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
