package engine

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// snapshotOf saves a snapshot of a store with some keys to a file.
func snapshotOf(t *testing.T) (path string, info SnapshotInfo, want map[string]string) {
	t.Helper()
	s := logStore(t, t.TempDir(), Options{})
	want = fillSome(t, s)
	f, err := s.OpenSnapshot(t.Context())
	must(t, err)
	defer f.Close()
	path = saved(t, f)
	must(t, s.Close())
	return path, f.Info(), want
}

func TestRestoreFile(t *testing.T) {
	path, info, want := snapshotOf(t)
	dir := filepath.Join(t.TempDir(), "new")
	var done, total uint64
	r, err := Restore(RestoreOptions{From: path, Dir: dir, Progress: func(d, n uint64) { done, total = d, n }})
	must(t, err)
	if r.LSN != info.LSN || r.Keys != info.Keys || r.FirstLSN != info.LSN || r.LastLSN != info.LSN {
		t.Errorf("%+v from %+v", r, info)
	}
	if done != total || total == 0 {
		t.Errorf("progress: %d of %d", done, total)
	}
	s := logStore(t, dir, Options{})
	wantAll(t, s, want)
	again, err := s.Snapshot(t.Context())
	if err != nil || again.Hash != info.Hash {
		t.Errorf("content hash %v, %v, want %v", again.Hash, err, info.Hash)
	}
	must(t, s.Close())
	_, err = Restore(RestoreOptions{From: path, Dir: dir})
	wantErr(t, "restore to a folder with a store", err, ErrArgument)
	wantAll(t, logStore(t, dir, Options{}), want)
}

// TestRestoreToAPoint: by LSN and by time; batches are whole; outside of the window the error says what it is.
func TestRestoreToAPoint(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{RetainBytes: 1 << 30})
	must(t, s.Set([]byte("a"), []byte("1")))
	first := s.Appended()
	at := time.UnixMilli(s.Now())
	waitFor(t, "the clock", func() bool { return s.Now() > at.UnixMilli() })
	must(t, s.Write([]Op{{Key: []byte("a"), Value: []byte("2")}, {Key: []byte("b"), Value: []byte("2")}}))
	batch := s.Appended()
	_, err := Restore(RestoreOptions{From: dir, Dir: filepath.Join(t.TempDir(), "x")})
	wantErr(t, "restore from an open folder", err, ErrInUse)
	must(t, s.Close())
	for name, c := range map[string]struct {
		opt  RestoreOptions
		lsn  uint64
		a, b string
	}{
		"an LSN":              {RestoreOptions{ToLSN: first}, first, "1", ""},
		"within a batch":      {RestoreOptions{ToLSN: batch - 1}, first, "1", ""},
		"the end of a batch":  {RestoreOptions{ToLSN: batch}, batch, "2", "2"},
		"the newest":          {RestoreOptions{}, batch, "2", "2"},
		"a time":              {RestoreOptions{ToTime: at}, first, "1", ""},
		"the earlier of both": {RestoreOptions{ToTime: at, ToLSN: batch}, first, "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.opt.From, c.opt.Dir = dir, filepath.Join(t.TempDir(), "to")
			r, err := Restore(c.opt)
			must(t, err)
			if r.LSN != c.lsn || r.LastLSN != batch || r.LastTime.IsZero() {
				t.Errorf("%+v, want LSN %d", r, c.lsn)
			}
			s := logStore(t, c.opt.Dir, Options{})
			wantValue(t, s, "a", c.a)
			if c.b != "" {
				wantValue(t, s, "b", c.b)
			} else if _, err := s.Get(nil, []byte("b")); !errors.Is(err, ErrNotFound) {
				t.Errorf("b: %v", err)
			}
		})
	}
	to := filepath.Join(t.TempDir(), "to")
	r, err := Restore(RestoreOptions{From: dir, Dir: to, ToLSN: batch + 1})
	wantErr(t, "an LSN that was never given", err, ErrArgument)
	if r.LastLSN != batch || r.Keys != 0 {
		t.Errorf("the window: %+v", r)
	}
	if _, err := os.Stat(filepath.Join(to, "MANIFEST")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused restore has made a store: %v", err)
	}
}

func TestRestoreExpired(t *testing.T) {
	dir := t.TempDir()
	s := logStore(t, dir, Options{})
	soon := time.UnixMilli(s.Now() + 50)
	_, err := s.SetWith([]byte("soon"), []byte("v"), SetOptions{Expire: soon})
	must(t, err)
	_, err = s.SetWith([]byte("later"), []byte("v"), SetOptions{Expire: soon.Add(time.Hour)})
	must(t, err)
	must(t, s.Close())
	waitFor(t, "the expiry", func() bool { return time.Now().After(soon.Add(time.Millisecond)) })
	for _, keep := range []bool{false, true} {
		to := filepath.Join(t.TempDir(), "to")
		r, err := Restore(RestoreOptions{From: dir, Dir: to, KeepExpired: keep})
		must(t, err)
		s := logStore(t, to, Options{})
		info, err := s.Info([]byte("soon"))
		if keep != (err == nil) || keep != (r.Expired == 1) || !info.Expire.IsZero() {
			t.Errorf("keep %v: %+v, %v, %+v", keep, info, err, r)
		}
		if info, err := s.Info([]byte("later")); err != nil || info.Expire.IsZero() {
			t.Errorf("keep %v: the other key: %+v, %v", keep, info, err)
		}
	}
}

func TestRestoreRefuses(t *testing.T) {
	from := closedFolder(t)
	for name, c := range map[string]struct {
		opt  RestoreOptions
		want error
	}{
		"no new folder":  {RestoreOptions{From: from}, ErrArgument},
		"no origin":      {RestoreOptions{From: filepath.Join(from, "absent"), Dir: "x"}, ErrNotFound},
		"an empty one":   {RestoreOptions{From: t.TempDir(), Dir: filepath.Join(t.TempDir(), "x")}, ErrNotFound},
		"compression":    {RestoreOptions{From: from, Dir: "x", Compression: 9}, ErrArgument},
		"a time too old": {RestoreOptions{From: from, Dir: "x", ToTime: time.Unix(-1, 0)}, ErrArgument},
	} {
		_, err := Restore(c.opt)
		wantErr(t, name, err, c.want)
	}
}

func TestVerifySnapshot(t *testing.T) {
	path, info, _ := snapshotOf(t)
	var done, total uint64
	got, err := VerifySnapshot(path, func(d, n uint64) { done, total = d, n })
	if err != nil || got != info || done != total || total == 0 {
		t.Errorf("%+v, %v, want %+v; progress %d of %d", got, err, info, done, total)
	}
	b, err := os.ReadFile(path)
	must(t, err)
	at := len(b) / 2
	b[at] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	_, err = VerifySnapshot(path, nil)
	wantErr(t, "a flipped bit", err, ErrCorrupt)
	var damage *DamageError
	if !errors.As(err, &damage) || damage.File != path || damage.Offset > uint64(at) ||
		!bytes.Contains([]byte(err.Error()), []byte(path)) {
		t.Errorf("a flipped bit at %d: %v, %+v", at, err, damage)
	}
	_, err = VerifySnapshot(path+"x", nil)
	wantErr(t, "no file", err, ErrNotFound)
	must(t, os.WriteFile(path, []byte("not a snapshot"), 0o600))
	if _, err := VerifySnapshot(path, nil); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
		t.Errorf("something else: %v", err)
	}
}
