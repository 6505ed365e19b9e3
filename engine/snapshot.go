package engine

/*
#include "nitro.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Snapshots
//
// A snapshot is a file of the data folder that holds exactly the store at one LSN. It is written while requests run;
// docs/design/0005 says how, snaptake.go makes the calls. A start loads the newest one and then the log behind it, so
// each one lets old files of the log go. In ModeBitcask it is a folder of hard links to the data files (docs/design/0006),
// which no start needs. Here is who asks for one, and who waits for it:
//
//	(1) One is taken at a time: by the driver (snapdrive.go), or with Options.ManualSteps by whoever asks. `turn` is
//	    held for as long as it takes.
//	(2) Who asks joins `next`, and its cut is made afterwards: so the snapshot that a caller has waited for holds
//	    everything that was in the store when he asked. All who ask while one is under way share the one after it.
//	(3) A call that `next` or the taker holds is ended exactly once, with Close at the latest: nobody waits for ever.
//	(4) A failed one changes nothing: the older snapshot and the log are as they were, and writes go on.
type snapshots struct {
	turn   sync.Mutex             // held to take one; order: before the gate and the committer's locks
	want   chan struct{}          // a kick: somebody has asked
	folder atomic.Pointer[Folder] // nil until the store is loaded
	root   *os.Root               // the data folder; nil without one

	mu     sync.Mutex // guards the fields below; a leaf
	next   *snapshotCall
	closed bool // no call is taken any more
	state  SnapshotState
	last   time.Time // when the newest snapshot was begun; before the first one, when the store was loaded
	mark   uint64    // Store.changes then
	behind bool      // the store was loaded with changes that no snapshot has
	pause  time.Duration
	retry  time.Time // no snapshot is taken unasked before this
}

// snapshotCall is a snapshot that somebody has asked for.
type snapshotCall struct {
	done chan struct{} // closed at its end; the fields below are valid then
	info SnapshotInfo
	err  error
}

// SnapshotInfo describes a snapshot.
type SnapshotInfo struct {
	Number   uint64    // of its file in the folder
	LSN      uint64    // the store is shown as it was when this was its newest LSN (without a log: version)
	Time     time.Time // not before the time of anything in it
	Keys     uint64
	RawBytes uint64 // before compression
	Bytes    uint64 // of the file
	Hash     ContentHash
	// Linked: it is a folder of links, as in ModeBitcask. What is in it nobody has counted: Keys may be some off, and Hash is
	// not known. VerifySnapshot counts.
	Linked bool
}

// ContentHash is a hash over all keys, values and expiries of a store, whatever their order: a restored store can be
// compared with its origin.
type ContentHash struct{ A, B uint64 }

// String returns 32 hexadecimal digits.
func (h ContentHash) String() string { return fmt.Sprintf("%016x%016x", h.A, h.B) }

// SnapshotState tells what has become of the snapshots since the store was opened.
type SnapshotState struct {
	Running    bool      // one is being taken, or about to be
	Since      time.Time // when that one began
	Keys       uint64    // that it has written so far
	Bytes      uint64
	Newest     SnapshotInfo  // in the folder; zero: there is none
	LastSave   time.Time     // when Newest was done; zero: there is none
	Took       time.Duration // how long Newest took; 0: it is from before the store was opened
	OK, Failed uint64        // how many were taken, and how many failed
	Err        error         // why the last one has failed; nil: it has not
	ErrAt      time.Time     // when
	Changes    uint64        // writes, deletes and flushes since Newest, or since the store was opened
	AutoOff    string        // why no snapshot is taken unasked; empty: they are
}

// Folder is what the data folder holds.
type Folder struct {
	Snapshots     uint64
	Newest        SnapshotInfo // zero: there is none
	OldestLSN     uint64       // the oldest point that can be restored; 0: the empty store. In ModeBitcask a restore finds it
	OldestTime    time.Time    // its time; zero: the empty store's
	LogFiles      uint64
	LogBytes      uint64 // of these, the room ahead included
	LogSince      uint64 // bytes of log that a start would replay
	SnapshotBytes uint64 // of all snapshots
}

// ErrSnapshotRunning is returned by StartSnapshot.
var ErrSnapshotRunning = errors.New("nitrokv: a snapshot is under way")

// Snapshot takes a snapshot that holds everything that is in the store now, and returns when it is safe on disk. If one
// is under way, which may hold less, it waits for the one after it; those who call meanwhile share that. The
// context's error: its end came first, and the snapshot is taken all the same. ErrUnsupported: the store has no folder, or
// its file system has no hard links (ModeBitcask).
// ErrNotDurable, ErrReadOnly: the log has failed. ErrLogFull, ErrIO, ErrNoMemory: the error says what to do; nothing
// that was there has been changed.
func (s *Store) Snapshot(ctx context.Context) (SnapshotInfo, error) {
	if err := ctx.Err(); err != nil {
		return SnapshotInfo{}, err
	}
	call, err := s.askSnapshot(true)
	if err != nil {
		return SnapshotInfo{}, err
	}
	select {
	case <-call.done:
		return call.info, call.err
	case <-ctx.Done():
		return SnapshotInfo{}, ctx.Err()
	}
}

// StartSnapshot begins a snapshot and returns; SnapshotState tells what becomes of it. ErrSnapshotRunning: one is under
// way. With Options.ManualSteps it returns at the end, like Snapshot.
func (s *Store) StartSnapshot() error {
	call, err := s.askSnapshot(false)
	if err != nil || !s.opt.ManualSteps {
		return err
	}
	<-call.done
	return call.err
}

// ScheduleSnapshot begins a snapshot as StartSnapshot does; when one is under way, which may lack the newest writes,
// another is taken after it, and behind is true.
func (s *Store) ScheduleSnapshot() (behind bool, err error) {
	if err = s.StartSnapshot(); !errors.Is(err, ErrSnapshotRunning) {
		return false, err
	}
	_, err = s.askSnapshot(true)
	return true, err
}

// askSnapshot asks for a snapshot that begins from now on. When one is under way or asked for already it joins, or
// refuses.
func (s *Store) askSnapshot(join bool) (*snapshotCall, error) {
	if err := s.snapshotsAllowed(); err != nil {
		return nil, err
	}
	call, err := s.snaps.ask(join)
	switch {
	case err != nil:
		return nil, err
	case s.opt.ManualSteps:
		s.serveSnapshot(false)
	default:
		kick(s.snaps.want)
	}
	return call, nil
}

func (s *Store) snapshotsAllowed() error {
	switch {
	case s.closed.Load():
		return ErrClosed
	case s.opt.Dir == "":
		return fmt.Errorf("engine: snapshot: the store has no data folder to put it into; open it with one (--dir): %w",
			ErrUnsupported)
	case s.loading.Load():
		return ErrLoading
	}
	return nil
}

func (n *snapshots) ask(join bool) (*snapshotCall, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return nil, ErrClosed
	case !join && (n.state.Running || n.next != nil):
		return nil, ErrSnapshotRunning
	case n.next == nil:
		n.next = &snapshotCall{done: make(chan struct{})}
	}
	return n.next, nil
}

// begin takes the call that is waiting; who asks later gets the next snapshot. If there is none, but a snapshot is due,
// it makes one that nobody waits for. Nil: there is nothing to do. The caller holds turn.
func (n *snapshots) begin(due bool) *snapshotCall {
	n.mu.Lock()
	defer n.mu.Unlock()
	call := n.next
	n.next = nil
	if call == nil && due {
		call = &snapshotCall{done: make(chan struct{})}
	}
	if call != nil {
		n.state.Running, n.state.Since = true, time.Now()
	}
	return call
}

// Automatic snapshots pause after a failure, longer each time.
const (
	snapshotPauseMin = 10 * time.Second
	snapshotPauseMax = 10 * time.Minute
)

// end notes how the call has ended and lets go those who wait for it; mark is Store.changes at the cut. The caller
// holds turn.
func (n *snapshots) end(call *snapshotCall, mark uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := &n.state
	st.Running = false
	switch {
	case call.err == nil:
		st.Newest, st.LastSave, st.Took = call.info, time.Now(), time.Since(st.Since)
		st.OK++
		st.Err, st.ErrAt = nil, time.Time{}
		n.last, n.mark, n.behind = st.Since, mark, false
		n.pause, n.retry = 0, time.Time{}
	case !errors.Is(call.err, ErrClosed):
		st.Failed++
		st.Err, st.ErrAt = call.err, time.Now()
		n.pause = min(max(2*n.pause, snapshotPauseMin), snapshotPauseMax)
		n.retry = st.ErrAt.Add(n.pause)
	}
	close(call.done)
}

// shut ends the call that is waiting, and takes no more.
func (n *snapshots) shut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.next != nil {
		n.next.err = ErrClosed
		close(n.next.done)
		n.next = nil
	}
}

// SnapshotState tells what has become of the snapshots.
func (s *Store) SnapshotState() SnapshotState {
	n := &s.snaps
	n.mu.Lock()
	st, mark := n.state, n.mark
	if n.next != nil && !st.Running { // whoever has asked, and looks for its end, must not find it before it has begun
		st.Running, st.Since = true, time.Now()
	}
	n.mu.Unlock()
	st.AutoOff = s.snapshotAutoOff()
	t, err := s.enter()
	if err != nil {
		return st
	}
	defer s.gate.runlock(t)
	if st.Running {
		var keys, bytes C.uint64_t
		C.nitro_snapshot_progress(s.c, &keys, &bytes)
		st.Keys, st.Bytes = uint64(keys), uint64(bytes)
	}
	st.Changes = s.changes() - mark
	return st
}

// Folder tells what the data folder holds, as of a second ago at most, or with Options.ManualSteps as of the last
// snapshot or merge. It is zero without a folder, and until the store is loaded.
func (s *Store) Folder() Folder {
	if f := s.snaps.folder.Load(); f != nil {
		return *f
	}
	return Folder{}
}

// SnapshotFile is a snapshot that can be read, whatever happens to it in the folder meanwhile. One of ModeBitcask is read
// as one file in tar's format, which holds the folder.
type SnapshotFile struct {
	data  io.ReaderAt
	size  int64
	files []*os.File
	info  SnapshotInfo
}

// OpenSnapshot takes a snapshot as Snapshot does and opens its file, or files. It must be closed. In ModeBitcask each data file
// and each hint is open until then: ErrIO says when the process may not have so many.
func (s *Store) OpenSnapshot(ctx context.Context) (*SnapshotFile, error) {
	if _, err := s.Snapshot(ctx); err != nil {
		return nil, err
	}
	// Another one may have come, and taken its place; it is as good. Links are many, and nobody shall wait for the folder until all
	// are open; as long as the turn is held, the newest snapshot stays that.
	links := s.mode == ModeBitcask
	if links {
		s.snaps.turn.Lock()
		defer s.snaps.turn.Unlock()
	}
	file := new(SnapshotFile)
	err := s.commit.inFolder(func() error {
		folder, err := s.readFolder()
		if err != nil {
			return err
		}
		if file.info = folder.Newest; !links {
			err = file.openFile(s.snaps.root)
		}
		return err
	})
	if err == nil && links {
		err = file.openLinks(s.snaps.root)
	}
	if err != nil {
		_ = file.Close() // only read
		return nil, fmt.Errorf("engine: open the snapshot that was taken: %w", err)
	}
	return file, nil
}

func (f *SnapshotFile) openFile(root *os.Root) error {
	data, err := f.open(root, fmt.Sprintf("%010d.snap", f.info.Number)) // as in path.c
	f.data, f.size = data, int64(f.info.Bytes)
	return err
}

// openLinks opens all files of a snapshot that is a folder, and lays them out as one. The small ones, which say what the
// others are, come first.
func (f *SnapshotFile) openLinks(root *os.Root) error {
	name := fmt.Sprintf("snapshot-%010d", f.info.Number) // as in path.c
	entries, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIO, err)
	}
	var parts []archiveFile
	for _, want := range []func(string) bool{isListOfFiles, isDataFile} {
		for _, e := range entries {
			if !want(e.Name()) {
				continue // LOCK, which whoever looks at the folder leaves
			}
			data, err := f.open(root, name+"/"+e.Name())
			if err != nil {
				return err
			}
			st, err := data.Stat()
			if err != nil {
				return fmt.Errorf("%w: %w", ErrIO, err)
			}
			parts = append(parts, archiveFile{name: e.Name(), size: st.Size(), data: data, time: st.ModTime()})
		}
	}
	a, err := newArchive(name, parts)
	if err != nil {
		return err
	}
	f.data, f.size = a, a.Size()
	f.info.Bytes = uint64(a.Size())
	return nil
}

// open opens one more file, which Close closes.
func (f *SnapshotFile) open(root *os.Root, name string) (*os.File, error) {
	file, err := root.Open(name)
	switch {
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		return nil, fmt.Errorf("%w: %w: %d are open for this snapshot alone; raise the limit of open files (ulimit -n), or --max-file-size",
			ErrIO, err, len(f.files))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrIO, err)
	}
	f.files = append(f.files, file)
	return file, nil
}

// refuseSnapshot refuses to open, as a data folder, a snapshot where the store has it: it would be written to, and be a snapshot no more.
func refuseSnapshot(dir string) error {
	path, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is no folder yet
	}
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return fmt.Errorf("engine: open %s: %w: %w", dir, ErrIO, err)
	}
	number, named := strings.CutPrefix(filepath.Base(path), "snapshot-") // as in path.c
	if !named || number == "" || strings.Trim(number, "0123456789") != "" {
		return nil
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "MANIFEST")); err != nil {
		return nil // a copy
	}
	return fmt.Errorf("engine: open %s: it is a snapshot of the store in the folder above it, and would be none any more; open a copy of "+
		"it, or restore it to a new folder: %w", dir, ErrArgument)
}

func isListOfFiles(name string) bool { return name == "MANIFEST" || name == "CONTROL" }

// isDataFile reports whether a file of a snapshot holds records, or says where they lie.
func isDataFile(name string) bool {
	switch filepath.Ext(name) {
	case ".log", ".data", ".hint":
		return true
	}
	return false
}

// Info describes the snapshot.
func (f *SnapshotFile) Info() SnapshotInfo { return f.info }

// Size is that of the file in bytes.
func (f *SnapshotFile) Size() int64 { return f.size }

// ReadAt reads from the file as io.ReaderAt says. Any number of goroutines may read.
func (f *SnapshotFile) ReadAt(p []byte, offset int64) (int, error) { return f.data.ReadAt(p, offset) }

// Close closes the file, or files.
func (f *SnapshotFile) Close() error {
	var all []error
	for _, one := range f.files {
		all = append(all, one.Close())
	}
	return errors.Join(all...)
}
