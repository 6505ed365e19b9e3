// Package engine embeds the NitroKV engine, written in C, as a Go library: a key-value store in memory with a log on
// disk, or with the keys in memory and the values on disk.
//
//	store, err := engine.Open(engine.Options{Dir: "data", MaxMemory: 1 << 30})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	if err := store.Set([]byte("user_id"), []byte("42069")); err != nil {
//		return err
//	}
//	value, err := store.Get(nil, []byte("user_id")) // "42069"
//
// # Concurrency
//
// A Store may be used from any number of goroutines. Single calls are atomic, and so is Write, which makes several
// changes as one; CompareAndSwap builds larger changes from reads. A Session and a Chunk, which a server uses, belong
// to one goroutine at a time.
//
// # Durability
//
// With Options.Dir every effect goes to a log before anybody sees it. Options.Level says when a write returns: when
// it is durable (LevelAlways, the default), or when it is written, so that killing the process can't take it back
// (LevelEverysec, LevelNever). Reads follow the same rule: what Get returns, a miss included, is as safe as a write
// of the store's level would be. Goroutines that write at the same time share one sync. Sync makes durable what the
// lower levels have written.
//
// A failed write or sync of the log is final. A write that was waiting for it returns ErrUnknownOutcome: it may be
// there after a restart. Later writes return ErrReadOnly, reads of what is not durable ErrNotDurable; all else can
// still be read. A full disk is not a failure: writes return ErrLogFull, and surely have done nothing, until there is
// room again.
//
// Without Options.Dir nothing is kept beyond the life of the process, and all of this costs nothing.
//
// # Larger than memory
//
// With Options.Mode ModeBitcask the values stay in the files of the log, and only the keys are in memory, with some 20
// bytes each beside them. A read that finds its value on disk costs one read of a file, whose checksum is compared each
// time: a damaged record is ErrCorrupt for its key, never wrong bytes. All else is as above. What is overwritten or
// deleted stays in the files until they are merged, which happens in the background when much of them is dead
// (Options.Merge), and by Merge.
//
// # Snapshots
//
// A snapshot is a file of the folder that holds exactly the store at one LSN. It is written while requests run, without
// a fork and without a copy of the store. A start loads the newest one and then the log behind it, so files of the
// log that are older go; Options.RetainFor and RetainBytes keep them for Restore, which makes a new folder with the
// store as it was at any LSN, or time, of that window. Snapshots are taken when the log has grown
// (Options.SnapshotLogBytes), when time has passed (SaveInterval), and by Snapshot. OpenSnapshot hands one out as a
// backup, VerifySnapshot reads one back. With Options.WALOff they are all that is kept: a crash takes what is newer
// than the last one.
//
// In ModeBitcask a snapshot is a folder of hard links to the data files, which takes no time and at first no room; no start needs
// one. RetainFor and RetainBytes keep the files that merges replace. OpenSnapshot hands out the folder as one file in tar's format.
//
// # Memory
//
// Keys, and values in memory, live in C memory: the garbage collector neither sees nor scans them. Get appends a copy
// to the caller's slice, Set copies its arguments; there is nothing to free but the Store itself. GOMEMLIMIT does not
// cover this memory, Options.MaxMemory does.
//
// # Errors
//
// Every failure that the engine knows has a sentinel of type Error (ErrNotFound, ErrMaxMemory, …); compare with
// errors.Is.
//
// # Caveats
//
// One process has the folder at a time. Building the package needs a C compiler (gcc or clang), pkg-config, and the
// headers of libzstd and liblz4. The clock that decides about expiry never goes backwards, is never before the newest
// time in the log, and follows changes of the system's clock slowly.
//
// # Layout
//
// engine.go opens and closes, with mode.go for where values lie; recover.go loads. kv.go, read.go and scan.go are the
// calls of an embedding program, chunk.go is what a server uses: a whole read buffer of requests per call into C.
// commit.go brings the log to the disk, with wait.go for those who wait and room.go for space ahead; journal.go is its
// way into C. snapshot.go has those who ask for snapshots, snaptake.go takes one, snapdrive.go decides when; merge.go has
// those who ask for merges, mergedrive.go makes them, mergeclose.go leaves hints for the next start. restore.go and check.go
// work on folders that no store has open.
// gate.go keeps exclusive work apart from all other, drive.go runs the background work, clock.go is the time.
package engine
