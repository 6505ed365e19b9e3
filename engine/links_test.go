package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Snapshots, backups and the past of ModeBitcask: folders of hard links.

// copied writes what the snapshot is read as to a file.
func copied(t testing.TB, f *SnapshotFile) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	to, err := os.Create(path)
	must(t, err)
	n, err := io.Copy(to, io.NewSectionReader(f, 0, f.Size()))
	must(t, err)
	must(t, to.Close())
	if n != f.Size() || uint64(n) != f.Info().Bytes {
		t.Errorf("%d bytes of %d, %d in the description", n, f.Size(), f.Info().Bytes)
	}
	return path
}

// linkedFolder is the folder of the newest snapshot.
func linkedFolder(t testing.TB, s *Store) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.opt.Dir, "snapshot-*"))
	must(t, err)
	if len(names) != 1 {
		t.Fatalf("the folder holds the snapshots %q, want one", names)
	}
	return names[0]
}

// restored makes a store from an origin, at a point.
func restored(t testing.TB, from string, lsn uint64) (*Store, RestoreResult) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	r, err := Restore(RestoreOptions{From: from, Dir: dir, ToLSN: lsn, MaxFileBytes: 64 << 10})
	must(t, err)
	return logStore(t, dir, Options{ManualSteps: true}), r
}

// TestBitcaskTakesSnapshots in every way that one can be asked for, and tells of them.
func TestBitcaskTakesSnapshots(t *testing.T) {
	for _, manual := range []bool{false, true} {
		dir := t.TempDir()
		s := bitcaskStore(t, dir, Options{ManualSteps: manual})
		want := fillSome(t, s)
		if st := s.SnapshotState(); st.AutoOff == "" || st.Changes == 0 || st.Newest != (SnapshotInfo{}) {
			t.Errorf("before: %+v", st)
		}
		info, err := s.Snapshot(t.Context())
		must(t, err)
		if info.LSN != s.Appended() || info.Keys != uint64(len(want)) || info.Bytes == 0 || info.Time.IsZero() || !info.Linked ||
			info.Hash != (ContentHash{}) {
			t.Errorf("%+v of %d keys at LSN %d", info, len(want), s.Appended())
		}
		if st := s.SnapshotState(); st.OK != 1 || st.Changes != 0 || st.Newest != info || st.Running || st.LastSave.IsZero() {
			t.Errorf("after: %+v", st)
		}
		if f := s.Folder(); f.Snapshots != 1 || f.Newest != info || f.SnapshotBytes != info.Bytes {
			t.Errorf("the folder: %+v", f)
		}
		must(t, s.StartSnapshot())
		waitFor(t, "the second", func() bool { return s.SnapshotState().OK == 2 })
		_, err = s.ScheduleSnapshot()
		must(t, err)
		waitFor(t, "the third", func() bool { return s.SnapshotState().OK == 3 })
		files := len(namesLike(t, dir, "*.log"))
		for range 5 {
			_, err = s.Snapshot(t.Context())
			must(t, err)
		}
		if n := len(namesLike(t, dir, "*.log")); n != files {
			t.Errorf("%d files after snapshots of what is the same, %d before", n, files)
		}
		newest := s.SnapshotState().Newest
		linkedFolder(t, s)
		must(t, s.Close())
		s = bitcaskStore(t, dir, Options{ManualSteps: manual})
		if got := s.SnapshotState().Newest; got != newest {
			t.Errorf("after a start: %+v, want %+v", got, newest)
		}
		wantAll(t, s, want)
	}
}

// TestLinkedSnapshotDue: when time has passed and something has changed; the size of the log is no reason.
func TestLinkedSnapshotDue(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{SaveInterval: time.Hour})
	must(t, s.Set([]byte("k"), bytes.Repeat([]byte("v"), 1000)))
	if off := s.SnapshotState().AutoOff; off != "" {
		t.Errorf("no snapshot is taken unasked: %s", off)
	}
	if now := time.Now(); s.snapshotDueAt(now.Add(50*time.Minute)) || !s.snapshotDueAt(now.Add(61*time.Minute)) {
		t.Error("a snapshot is not due after an hour")
	}
	_, err := s.Snapshot(t.Context())
	must(t, err)
	if s.snapshotDueAt(time.Now().Add(2 * time.Hour)) {
		t.Error("another one is due, and nothing has changed")
	}
	taken := bitcaskStore(t, t.TempDir(), Options{SaveInterval: time.Millisecond})
	must(t, taken.Set([]byte("k"), nil))
	waitFor(t, "a snapshot", func() bool { return taken.SnapshotState().OK > 0 })
}

// TestLinkedSnapshotsUnderWrites and merges: each one is the store at its LSN, exactly, as a folder and as a backup.
func TestLinkedSnapshotsUnderWrites(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Segments: 4, Merge: MergeOptions{DeadPercent: 1}})
	var stop atomic.Bool
	var writers, merger sync.WaitGroup
	h := make([]history, 3)
	for i := range h {
		h[i].versions = map[string][]uint64{}
		writers.Go(func() { h[i].write(t, s, fmt.Sprint("writer ", i), &stop) })
	}
	merger.Go(func() {
		for !stop.Load() {
			noErr(t, s.Merge(t.Context()))
		}
	})
	type taken struct {
		lsn   uint64
		paths []string
	}
	var all []taken
	for i := range 6 {
		at, merges := s.Appended(), s.DataFiles().Merges
		waitFor(t, "some writes, and a merge", func() bool { return s.Appended() > at+2000 && s.DataFiles().Merges > merges })
		f, err := s.OpenSnapshot(t.Context())
		must(t, err)
		defer f.Close()
		one := taken{lsn: f.Info().LSN, paths: []string{copied(t, f)}}
		if i%2 == 0 { // as rsync would copy it: nobody takes another one meanwhile
			folder := filepath.Join(t.TempDir(), "copy")
			must(t, os.CopyFS(folder, os.DirFS(linkedFolder(t, s))))
			one.paths = append(one.paths, folder)
		}
		all = append(all, one)
	}
	stop.Store(true)
	eventually(t, "the writers", start(writers.Wait))
	eventually(t, "the merges", start(merger.Wait))
	for _, one := range all {
		for _, path := range one.paths {
			info, err := VerifySnapshot(path, nil)
			if err != nil || info.LSN != one.lsn {
				t.Errorf("%+v, %v, want LSN %d", info, err, one.lsn)
			}
			at, r := restored(t, path, 0)
			if r.LSN != one.lsn || r.Keys != info.Keys {
				t.Errorf("restored %+v from %+v", r, info)
			}
			for i := range h {
				h[i].check(t, at, one.lsn)
			}
			must(t, at.Close())
		}
	}
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{})
	for i := range h {
		h[i].check(t, s, everything)
	}
}

// TestLinkedBackupIsTheFolder: what is read is what tar makes the snapshot's folder of, although writes, merges and another snapshot
// have replaced that; and the folder is one that a store can be opened with.
func TestLinkedBackupIsTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}})
	want := overwrite(t, s, 50, 5)
	must(t, s.Merge(t.Context())) // so that there are hints and merged files
	maps.Copy(want, overwrite(t, s, 30, 3))
	f, err := s.OpenSnapshot(t.Context())
	must(t, err)
	defer f.Close()
	folder := linkedFolder(t, s)
	files := map[string][]byte{}
	entries, err := os.ReadDir(folder)
	must(t, err)
	for _, e := range entries {
		files[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name()))
		must(t, err)
	}
	overwrite(t, s, 50, 7)
	must(t, s.Merge(t.Context()))
	_, err = s.Snapshot(t.Context())
	must(t, err)
	if next := linkedFolder(t, s); next == folder {
		t.Fatalf("the snapshot is still %s", next)
	}

	to := filepath.Join(t.TempDir(), "extracted")
	must(t, os.Mkdir(to, 0o700))
	seen := map[string]bool{}
	r := tar.NewReader(io.NewSectionReader(f, 0, f.Size()))
	for head, err := r.Next(); !errors.Is(err, io.EOF); head, err = r.Next() {
		must(t, err)
		within, name := filepath.Split(head.Name)
		got, err := io.ReadAll(r)
		must(t, err)
		if within != filepath.Base(folder)+"/" || !bytes.Equal(got, files[name]) || head.Size != int64(len(got)) || seen[name] {
			t.Errorf("%s has %d bytes, want %d of %s", head.Name, len(got), len(files[name]), folder)
		}
		seen[name] = true
		must(t, os.WriteFile(filepath.Join(to, name), got, 0o600))
	}
	if len(seen) != len(files) || !seen["MANIFEST"] || !seen["CONTROL"] {
		t.Errorf("%v, want what is in %v", seen, entries)
	}
	opened := logStore(t, to, Options{})
	wantAll(t, opened, want)
	from, _ := restored(t, copied(t, f), 0)
	wantAll(t, from, want)
}

// TestLinkedBackupHasTheHash that the same contents have in mode memory.
func TestLinkedBackupHasTheHash(t *testing.T) {
	later := time.Now().Add(time.Hour)
	fill := func(s *Store) SnapshotInfo {
		overwrite(t, s, 100, 3)
		must(t, s.Delete([]byte("key 9")))
		must(t, s.Set([]byte("text"), bytes.Repeat([]byte("packs well "), 1000)))
		_, err := s.SetWith([]byte("expires"), []byte("v"), SetOptions{Expire: later})
		must(t, err)
		must(t, s.Set([]byte("empty"), nil))
		f, err := s.OpenSnapshot(t.Context())
		must(t, err)
		defer f.Close()
		info, err := VerifySnapshot(copied(t, f), nil)
		must(t, err)
		if info.LSN != f.Info().LSN || info.Keys != f.Info().Keys || info.Bytes != f.Info().Bytes || info.RawBytes == 0 {
			t.Errorf("verified %+v, was %+v", info, f.Info())
		}
		return info
	}
	want := fill(logStore(t, t.TempDir(), Options{}))
	for _, packing := range []ValueCompression{ValueCompressionNone, ValueCompressionZstd} {
		s := bitcaskStore(t, t.TempDir(), Options{ValueCompression: packing})
		got := fill(s)
		if got.Hash != want.Hash || got.Keys != want.Keys {
			t.Errorf("%v: %+v, want the contents of %+v", packing, got, want)
		}
		if info, err := VerifySnapshot(linkedFolder(t, s), nil); err != nil || info.Hash != want.Hash {
			t.Errorf("the folder: %+v, %v", info, err)
		}
	}
}

// past records what a store has held at some LSNs.
type past struct {
	lsn  uint64
	at   time.Time
	keys map[string]string
}

// livePast changes a store at random, takes note of what it holds now and then, and merges in between.
func livePast(t *testing.T, s *Store, rounds int) (moments []past) {
	t.Helper()
	rng := random(t)
	keys := map[string]string{}
	for i := range rounds {
		for range 1 + rng.IntN(60) {
			key := fmt.Sprint("key ", rng.IntN(40))
			if rng.IntN(5) == 0 {
				if err := s.Delete([]byte(key)); err != nil && !errors.Is(err, ErrNotFound) {
					t.Fatal(err)
				}
				delete(keys, key)
				continue
			}
			value := fmt.Sprintf("%d %s", i, strings.Repeat("x", rng.IntN(3000)))
			must(t, s.Set([]byte(key), []byte(value)))
			keys[key] = value
		}
		at := s.Now()
		moments = append(moments, past{lsn: s.Appended(), at: time.UnixMilli(at), keys: maps.Clone(keys)})
		waitFor(t, "the clock", func() bool { return s.Now() > at })
		if rng.IntN(4) == 0 {
			must(t, s.Merge(t.Context()))
		}
	}
	must(t, s.Merge(t.Context()))
	return moments
}

// TestLinkedRestoreToAPoint: with retention every moment can be restored, whatever merges have replaced.
func TestLinkedRestoreToAPoint(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{RetainFor: time.Hour, Merge: MergeOptions{DeadPercent: 1}})
	moments := livePast(t, s, 40)
	if s.DataFiles().Merges == 0 || len(namesLike(t, dir, "retained/*")) == 0 {
		t.Fatalf("%+v, and nothing is kept", s.DataFiles())
	}
	must(t, s.Close())
	last := moments[len(moments)-1]
	for _, m := range moments {
		at, r := restored(t, dir, m.lsn)
		if r.LSN != m.lsn || r.Keys != uint64(len(m.keys)) || r.FirstLSN != 0 || r.LastLSN != last.lsn {
			t.Errorf("to LSN %d: %+v", m.lsn, r)
		}
		wantAll(t, at, m.keys)
		must(t, at.Close())
	}
	for _, m := range moments[:5] {
		to := filepath.Join(t.TempDir(), "to")
		r, err := Restore(RestoreOptions{From: dir, Dir: to, ToTime: m.at})
		if err != nil || r.LSN != m.lsn {
			t.Errorf("to %v: %+v, %v, want LSN %d", m.at, r, err, m.lsn)
		}
		wantAll(t, logStore(t, to, Options{}), m.keys)
	}
	s = bitcaskStore(t, dir, Options{RetainFor: time.Hour}) // a start keeps it
	if len(namesLike(t, dir, "retained/*")) == 0 {
		t.Error("nothing is kept after a start")
	}
	wantAll(t, s, last.keys)
}

// TestLinkedWindow: what merges have left out without retention is refused, and the result says what there is. A snapshot from
// before the merge still has it.
func TestLinkedWindow(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}})
	before := overwrite(t, s, 30, 5)
	info, err := s.Snapshot(t.Context())
	must(t, err)
	after := overwrite(t, s, 30, 4)
	must(t, s.Merge(t.Context()))
	if names := namesLike(t, dir, "retained/*"); len(names) != 0 {
		t.Errorf("%q is kept, and nobody has asked for it", names)
	}
	last := s.Appended()
	folder := linkedFolder(t, s)
	must(t, s.Close())
	to := filepath.Join(t.TempDir(), "to")
	r, err := Restore(RestoreOptions{From: dir, Dir: to, ToLSN: info.LSN})
	wantErr(t, "before the merge", err, ErrArgument)
	if r.FirstLSN <= info.LSN || r.FirstLSN > last || r.LastLSN != last || r.FirstTime.IsZero() || r.LastTime.IsZero() || r.LSN != 0 {
		t.Errorf("the window: %+v, of %d", r, last)
	}
	if _, err := os.Stat(filepath.Join(to, "MANIFEST")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused restore has made a store: %v", err)
	}
	at, _ := restored(t, dir, r.FirstLSN)
	wantAll(t, at, after)
	at, r = restored(t, folder, 0)
	if r.LSN != info.LSN || r.LastLSN != info.LSN {
		t.Errorf("the snapshot: %+v, want LSN %d", r, info.LSN)
	}
	wantAll(t, at, before)
}

// TestRetainedFilesGo: by size, by age, and with a start that keeps nothing.
func TestRetainedFilesGo(t *testing.T) {
	dir := t.TempDir()
	kept := func() (n int, bytes int64) {
		for _, name := range namesLike(t, dir, "retained/*") {
			st, err := os.Stat(name)
			if errors.Is(err, os.ErrNotExist) {
				continue // just now
			}
			must(t, err)
			n, bytes = n+1, bytes+st.Size()
		}
		return n, bytes
	}
	fill := func(s *Store) {
		overwrite(t, s, 100, 6)
		must(t, s.Merge(t.Context()))
	}
	s := bitcaskStore(t, dir, Options{RetainFor: time.Hour, ManualSteps: true})
	fill(s)
	must(t, s.retain())
	all, bytes := kept()
	if all < 5 || bytes < 5*32<<10 {
		t.Fatalf("%d files of %d bytes are kept", all, bytes)
	}
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{RetainBytes: bytes / 2, ManualSteps: true})
	must(t, s.retain())
	if n, b := kept(); n == 0 || n >= all || b < bytes/2 || b >= bytes/2+2*64<<10 {
		t.Errorf("%d files of %d bytes, of %d of %d, want half", n, b, all, bytes)
	}
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{RetainFor: time.Millisecond, ManualSteps: true})
	fill(s)
	now := s.Now()
	waitFor(t, "the clock", func() bool { return s.Now() > now+2 })
	must(t, s.retain())
	if n, _ := kept(); n != 0 {
		t.Errorf("%d files are kept longer than asked for", n)
	}
	must(t, s.Close())
	s = bitcaskStore(t, dir, Options{RetainFor: time.Hour, ManualSteps: true})
	fill(s)
	must(t, s.Close())
	if n, _ := kept(); n == 0 {
		t.Fatal("nothing is kept")
	}
	bitcaskStore(t, dir, Options{}) // keeps nothing
	waitFor(t, "the old files to go", func() bool { n, _ := kept(); return n == 0 })
}

// TestLinkedVerifyFindsDamage, and says in which file and where; also in a backup.
func TestLinkedVerifyFindsDamage(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{Merge: MergeOptions{Off: true}})
	overwrite(t, s, 50, 4)
	must(t, s.Merge(t.Context()))
	overwrite(t, s, 30, 2)
	f, err := s.OpenSnapshot(t.Context())
	must(t, err)
	defer f.Close()
	backup, folder := copied(t, f), filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(folder, os.DirFS(linkedFolder(t, s))))
	for _, pattern := range []string{"*.log", "*.data", "MANIFEST"} {
		name := filepath.Base(namesLike(t, folder, pattern)[0])
		data, err := os.ReadFile(filepath.Join(folder, name))
		must(t, err)
		at := len(data) / 2
		data[at] ^= 4
		must(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
		_, err = VerifySnapshot(folder, nil)
		wantErr(t, name, err, ErrCorrupt)
		var damage *DamageError
		if !errors.As(err, &damage) || damage.File != folder || !strings.Contains(err.Error(), name) {
			t.Errorf("%s at %d: %v, %+v", name, at, err, damage)
		} else if pattern != "MANIFEST" && (damage.Offset > uint64(at) || damage.Offset+1024 < uint64(at)) {
			t.Errorf("%s: the damage at %d is found at %d: %v", name, at, damage.Offset, err)
		}
		data[at] ^= 4
		must(t, os.WriteFile(filepath.Join(folder, name), data, 0o600))

		archived, err := os.ReadFile(backup)
		must(t, err)
		begin := bytes.Index(archived, []byte("/"+name)) / archiveBlock * archiveBlock
		place := begin + archiveBlock + at
		archived[place] ^= 4
		bad := backup + ".bad"
		must(t, os.WriteFile(bad, archived, 0o600))
		_, err = VerifySnapshot(bad, nil)
		wantErr(t, name+" in the backup", err, ErrCorrupt)
		if !errors.As(err, &damage) || damage.File != bad || !strings.Contains(err.Error(), name) {
			t.Errorf("%s in the backup: %v, %+v", name, err, damage)
		} else if damage.Offset > uint64(place) || damage.Offset+1024 < uint64(place) {
			t.Errorf("%s in the backup: the damage at %d is found at %d", name, place, damage.Offset)
		}
	}
	for _, path := range []string{folder, backup} {
		if _, err := VerifySnapshot(path, nil); err != nil {
			t.Errorf("undone: %v", err)
		}
	}
	if _, err := VerifySnapshot(closedFolder(t), nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a folder of mode memory: %v", err)
	}
	_, err = VerifySnapshot(s.opt.Dir, nil)
	wantErr(t, "an open folder", err, ErrInUse)
}

// TestFlippedBackupIsFound: one bit of every third byte in turn, also where there are no records. What a restore can do without doesn't
// keep it from restoring.
func TestFlippedBackupIsFound(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{MaxFileBytes: 4 << 10, Merge: MergeOptions{Off: true}})
	overwrite(t, s, 8, 3)
	must(t, s.Merge(t.Context()))
	waitFor(t, "hints", func() bool { return s.DataFiles().Hints > 0 })
	f, err := s.OpenSnapshot(t.Context())
	must(t, err)
	defer f.Close()
	good, err := os.ReadFile(copied(t, f))
	must(t, err)
	path := filepath.Join(t.TempDir(), "flipped")
	must(t, os.WriteFile(path, good, 0o600))
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	flip := func(at int, bit byte) {
		t.Helper()
		_, err := file.WriteAt([]byte{good[at] ^ bit}, int64(at))
		must(t, err)
	}
	for at := rand.IntN(3); at < len(good); at += 3 {
		flip(at, 1<<(at%8))
		_, err := VerifySnapshot(path, nil)
		var damage *DamageError
		if !errors.Is(err, ErrCorrupt) || !errors.As(err, &damage) || damage.File != path || damage.Offset > uint64(len(good)) {
			t.Fatalf("byte %d of %d is flipped: %v, %+v", at, len(good), err, damage)
		}
		flip(at, 0)
	}
	info, err := VerifySnapshot(path, nil)
	must(t, err)
	for _, name := range []string{"/CONTROL", ".hint"} {
		begin := bytes.Index(good, []byte(name)) / archiveBlock * archiveBlock
		flip(begin+archiveBlock+20, 1)
		_, err := VerifySnapshot(path, nil)
		wantErr(t, name, err, ErrCorrupt)
		if !strings.Contains(err.Error(), "every record is sound") {
			t.Errorf("%s: %v", name, err)
		}
		at, r := restored(t, path, 0)
		if r.Keys != info.Keys {
			t.Errorf("%s is damaged: %d keys are restored, want %d", name, r.Keys, info.Keys)
		}
		must(t, at.Close())
		flip(begin+archiveBlock+20, 0)
	}
}

// TestLinkedSnapshotGivenUp: Close ends one that waits for the log, and nothing is left of it; merges wait meanwhile.
func TestLinkedSnapshotGivenUp(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}})
	want := overwrite(t, s, 20, 4)
	must(t, s.Sync(t.Context()))
	s.commit.turn.Lock() // nothing becomes durable
	release := sync.OnceFunc(s.commit.turn.Unlock)
	t.Cleanup(release)
	must(t, s.Set([]byte("not durable"), nil))
	want["not durable"] = ""
	must(t, s.StartSnapshot())
	waitFor(t, "the snapshot to wait for the log", func() bool { return queued(s) == 1 })
	if s.merges.list.TryLock() {
		t.Error("a merge could put its file into the place of others")
		s.merges.list.Unlock()
	}
	must(t, s.Set([]byte("not durable"), []byte("but it goes on"))) // writes do not wait
	want["not durable"] = "but it goes on"
	merge := start(func() {
		if err := s.Merge(t.Context()); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	closed := start(func() { noErr(t, s.Close()) })
	waitFor(t, "the end of the snapshot", func() bool { return !s.SnapshotState().Running })
	if st := s.SnapshotState(); st.OK+st.Failed != 0 {
		t.Errorf("%+v", st)
	}
	release()
	eventually(t, "the end", closed)
	eventually(t, "the merge", merge)
	if names := namesLike(t, dir, "snapshot-*"); len(names) != 0 {
		t.Errorf("%q is left", names)
	}
	wantAll(t, bitcaskStore(t, dir, Options{}), want)
}

// TestLinkedSnapshotGivenUpBetweenFiles: nothing is left of it either, and the next one is whole.
func TestLinkedSnapshotGivenUpBetweenFiles(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}, ManualSteps: true})
	want := overwrite(t, s, 100, 2*linkedFiles)
	lsn, err := s.rollForSnapshot()
	must(t, err)
	must(t, s.Sync(t.Context()))
	linked := func() int { return len(namesLike(t, dir, "snapshot-*/*.log")) }
	calls := 0
	for before := 0; linked() <= linkedFiles; calls++ {
		_, more, err := s.linkSome(lsn)
		must(t, err)
		if n := linked(); !more || n > before+linkedFiles {
			t.Fatalf("%d files have been linked, %d before; there is more: %v", n, before, more)
		}
		before = linked()
	}
	if calls < 3 { // there are as many files to be sealed
		t.Fatalf("%d files have been linked by %d calls", linked(), calls)
	}
	before := linked()
	must(t, s.Set([]byte("later"), nil))
	must(t, s.retain())
	if linked() != before {
		t.Error("retention has touched a snapshot that is being made")
	}
	quit := make(chan struct{})
	close(quit)
	_, err = s.linkFiles(lsn, quit)
	wantErr(t, "given up", err, ErrClosed)
	if names := namesLike(t, dir, "snapshot-*"); len(names) != 0 {
		t.Errorf("%q is left", names)
	}
	want["later"] = ""
	_, err = s.Snapshot(t.Context())
	must(t, err)
	at, _ := restored(t, linkedFolder(t, s), 0)
	wantAll(t, at, want)
}

// TestLinkedSnapshotFails with the log, which it waits for, and changes nothing.
func TestLinkedSnapshotFails(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{ManualSteps: true})
	must(t, s.Set([]byte("k"), nil))
	s.commit.log = brokenLog{s.commit.log, new(error)}
	_, err := s.Snapshot(t.Context())
	wantErr(t, "a snapshot that meets the failure", err, ErrNotDurable)
	_, err = s.OpenSnapshot(t.Context())
	wantErr(t, "a later one", err, ErrNotDurable)
	if st := s.SnapshotState(); st.Failed != 2 || st.Err == nil {
		t.Errorf("%+v", st)
	}
	if names := namesLike(t, s.opt.Dir, "snapshot-*"); len(names) != 0 {
		t.Errorf("%q is left", names)
	}
}

// TestLinkedSnapshotHasManyFiles: when the process may not open so many, the error says what can be done; and none stays open.
func TestLinkedSnapshotHasManyFiles(t *testing.T) {
	s := bitcaskStore(t, t.TempDir(), Options{Merge: MergeOptions{Off: true}, ManualSteps: true})
	overwrite(t, s, 100, 5)
	info, err := s.Snapshot(t.Context())
	must(t, err)
	before := openFiles(t)
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	free, err := os.Open(os.DevNull) // numbers below that are taken
	must(t, errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(free.Fd()) + 3, Max: old.Max}), free.Close()))
	f := &SnapshotFile{info: info}
	err = f.openLinks(s.snaps.root)
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old))
	wantErr(t, "few open files", err, ErrIO)
	if err != nil && (!errors.Is(err, syscall.EMFILE) || !strings.Contains(err.Error(), "ulimit -n")) {
		t.Errorf("%v does not say what can be done", err)
	}
	must(t, f.Close())
	if n := openFiles(t); n != before {
		t.Errorf("%d files are open, %d before", n, before)
	}
}

// openFiles is how many this process has open.
func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}

// TestSnapshotIsNotOpenedInPlace: it would be written to. A copy of it can be, and data files that both share stay as they are.
func TestSnapshotIsNotOpenedInPlace(t *testing.T) {
	dir := t.TempDir()
	s := bitcaskStore(t, dir, Options{Merge: MergeOptions{Off: true}})
	want := overwrite(t, s, 40, 4)
	_, err := s.Snapshot(t.Context())
	must(t, err)
	folder := linkedFolder(t, s)
	for _, path := range []string{folder, folder + "/", dir + "/./" + filepath.Base(folder)} {
		opened, err := Open(Options{Dir: path})
		wantErr(t, path, err, ErrArgument)
		if err == nil {
			must(t, opened.Close())
		}
	}
	entries, err := os.ReadDir(folder)
	must(t, err)
	links := filepath.Join(t.TempDir(), filepath.Base(folder))
	must(t, os.Mkdir(links, 0o700))
	before := map[string][]byte{}
	for _, e := range entries {
		must(t, os.Link(filepath.Join(folder, e.Name()), filepath.Join(links, e.Name())))
		before[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name()))
		must(t, err)
	}
	for _, name := range []string{"MANIFEST", "CONTROL"} { // are written to in place
		delete(before, name)
		data, err := os.ReadFile(filepath.Join(links, name))
		must(t, err)
		must(t, os.Remove(filepath.Join(links, name)))
		must(t, os.WriteFile(filepath.Join(links, name), data, 0o600))
	}
	opened := bitcaskStore(t, links, Options{})
	wantAll(t, opened, want)
	overwrite(t, opened, 40, 2)
	must(t, opened.Merge(t.Context()))
	must(t, opened.Close())
	for name, data := range before {
		if now, err := os.ReadFile(filepath.Join(folder, name)); err != nil || !bytes.Equal(now, data) {
			t.Errorf("%s has changed: %v", name, err)
		}
	}
	wantAll(t, s, want)
}
