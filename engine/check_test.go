package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// closedFolder is a data folder with three keys, stopped cleanly.
func closedFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s, err := Open(Options{Segments: 1, Dir: dir, LogFileBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"one", "two", "three"} {
		if err := s.Set([]byte(key), []byte("a value")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Check(CheckOptions{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a check of an open folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckSound(t *testing.T) {
	dir := closedFolder(t)
	r, err := Check(CheckOptions{Dir: dir, Repair: true, Found: func(f Finding) { t.Errorf("found %+v", f) }})
	if err != nil || r.Records != 3 || r.LastLSN != 3 || r.DurableLSN != 3 || !r.Clean || r.Damages != 0 || r.Repaired ||
		!r.RepairedAt.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCheckDamaged(t *testing.T) {
	dir := closedFolder(t)
	path := filepath.Join(dir, "0000000001.log")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.LastIndex(b, []byte("two"))] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	damages := 0
	found := func(f Finding) {
		if f.Damage {
			damages++
		}
		if f.LSN == 2 && (f.File != "0000000001.log" || f.Offset == 0 || f.Text == "") {
			t.Errorf("a finding without its place: %+v", f)
		}
	}
	r, err := Check(CheckOptions{Dir: dir, Found: found})
	if err != nil || damages == 0 || r.Damages != damages || r.BadLSN != 2 || r.BadFile != 1 || r.LastLSN != 1 || r.Repaired {
		t.Errorf("%d damages, %+v, %v", damages, r, err)
	}
	if r, err = Check(CheckOptions{Dir: dir, Repair: true}); err != nil || !r.Repaired || r.RepairedAt.IsZero() || r.DropRecords != 2 {
		t.Errorf("repair: %+v, %v", r, err)
	}
	if r, err = Check(CheckOptions{Dir: dir}); err != nil || r.Damages != 0 || r.Records != 1 {
		t.Errorf("after the repair: %+v, %v", r, err)
	}
}

// TestCheckSnapshots: a folder whose log begins behind a snapshot is sound, and damage in that is found.
func TestCheckSnapshots(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := logStore(t, dir, Options{LogFileBytes: 64 << 10, Level: LevelNever})
	for i := range 300 {
		must(t, s.Set(fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{byte(i)}, 1000)))
	}
	info, err := s.Snapshot(t.Context())
	must(t, err)
	must(t, s.Close())
	r, err := Check(CheckOptions{Dir: dir, Found: func(f Finding) { t.Errorf("found %+v", f) }})
	if err != nil || r.Snapshots != 1 || r.SnapshotLSN != info.LSN || r.Damages != 0 {
		t.Errorf("%+v, %v, want the snapshot %+v", r, err, info)
	}
	name := fmt.Sprintf("%010d.snap", info.Number)
	b, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	named := false
	r, err = Check(CheckOptions{Dir: dir, Found: func(f Finding) { named = named || f.Damage && f.File == name }})
	if err != nil || r.Damages == 0 || !named {
		t.Errorf("a flipped bit: %+v, %v, %s is named: %v", r, err, name, named)
	}
	_, err = Open(Options{Dir: dir})
	wantErr(t, "a start with a damaged snapshot", err, ErrCorrupt)
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "nitrokv restore") {
		t.Errorf("%v does not name the file and what to do", err)
	}
}

func TestCheckNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "absent"), ""} {
		if r, err := Check(CheckOptions{Dir: dir}); err == nil {
			t.Errorf("%q: %+v", dir, r)
		}
	}
}
