package engine

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"
)

func TestDiskRoomOf(t *testing.T) {
	r, err := diskRoomOf(t.TempDir())
	must(t, err)
	if r.size == 0 || r.left > r.size {
		t.Errorf("%+v", r)
	}
	if _, err := diskRoomOf("/no/such/folder"); err == nil {
		t.Error("a folder that isn't there has room")
	}
}

func TestDiskIsScarce(t *testing.T) {
	const file = 1 << 20
	for _, c := range []struct {
		percent int
		r       diskRoom
		already bool
		want    bool
	}{
		{0, diskRoom{5<<20 - 1, 100 << 20}, false, true}, // 5 % are more than two files
		{0, diskRoom{5 << 20, 100 << 20}, false, false},
		{0, diskRoom{5 << 20, 100 << 20}, true, true}, // it is over with a quarter more
		{0, diskRoom{6<<20 + 1<<18, 100 << 20}, true, false},
		{1, diskRoom{2<<20 - 1, 100 << 20}, false, true}, // two files are more than 1 %
		{1, diskRoom{2 << 20, 100 << 20}, false, false},
		{20, diskRoom{19 << 20, 100 << 20}, false, true},
		{MergeDiskLeftOff, diskRoom{0, 100 << 20}, false, false},
		{0, diskRoom{0, 0}, false, true},
	} {
		o := MergeOptions{DiskLeftPercent: c.percent}
		if got := o.scarce(c.r, file, c.already); got != c.want {
			t.Errorf("%d percent, %+v, already %v: %v", c.percent, c.r, c.already, got)
		}
	}
}

// steps makes all steps that there are.
func steps(t *testing.T, s *Store) {
	t.Helper()
	for more := true; more; {
		var err error
		more, err = s.MergeStep()
		must(t, err)
	}
	must(t, s.lookAtFolder())
}

// TestMergesOnANearlyFullDisk: files of which a few records are dead are merged while little room is left, and only then; it
// is said once.
func TestMergesOnANearlyFullDisk(t *testing.T) {
	var said bytes.Buffer
	room, roomErr := diskRoom{left: 500 << 20, size: 1000 << 20}, error(nil)
	s := logStore(t, t.TempDir(), Options{Mode: ModeBitcask, MaxFileBytes: 64 << 10, Level: LevelNever, ManualSteps: true,
		Logger: slog.New(slog.NewTextHandler(&said, nil))})
	if left := s.fileBytes(); left != 64<<10 {
		t.Errorf("files of %d bytes", left)
	}
	s.merges.diskRoom = func(dir string) (diskRoom, error) {
		if dir != s.opt.Dir {
			t.Errorf("asked for the room of %q", dir)
		}
		return room, roomErr
	}
	want := overwrite(t, s, 900, 1)
	few := func(from int) { // an eighth of what every file holds
		for i := from; i < 900; i += 8 {
			key := fmt.Sprintf("key %d", i)
			must(t, s.Set([]byte(key), []byte(want[key])))
		}
		must(t, s.Sync(t.Context()))
	}
	few(0)
	told := func(text string, times int) {
		t.Helper()
		if n := bytes.Count(said.Bytes(), []byte(text)); n != times {
			t.Errorf("%q was said %d times, want %d: %s", text, n, times, &said)
		}
	}
	steps(t, s)
	if f := s.DataFiles(); f.Merges != 0 || f.DiskScarce || f.DiskLeft != room.left || f.DiskSize != room.size {
		t.Fatalf("with room: %+v", f)
	}
	room.left = 49 << 20
	steps(t, s)
	f := s.DataFiles()
	if f.Merges == 0 || !f.DiskScarce || f.PutBytes-f.LiveBytes > 64<<10 { // but for what the newest file holds
		t.Errorf("without room: %+v", f)
	}
	told("little room is left", 1)
	few(1)
	steps(t, s)
	if again := s.DataFiles(); again.Merges == f.Merges {
		t.Errorf("still without room: %+v", again)
	}
	roomErr = errors.New("not known") // what was known stays
	steps(t, s)
	told("little room is left", 1)
	told("room on the disk again", 0)
	if !s.DataFiles().DiskScarce {
		t.Error("forgotten")
	}
	room.left, roomErr = 500<<20, nil
	few(2)
	f = s.DataFiles()
	steps(t, s)
	if after := s.DataFiles(); after.Merges != f.Merges || after.DiskScarce {
		t.Errorf("with room again: %+v", after)
	}
	told("room on the disk again", 1)
	if _, err := s.Snapshot(t.Context()); err != nil { // what merges replace stays on the disk now, so they would only fill it
		t.Fatal(err)
	}
	room.left = 49 << 20
	few(3)
	f = s.DataFiles()
	steps(t, s)
	if after := s.DataFiles(); after.Merges != f.Merges || !after.DiskScarce {
		t.Errorf("without room, and with a snapshot: %+v", after)
	}
	wantAll(t, s, want)
}

// TestDriverLooksAgainSoonOnAFullDisk: where room is what is missing, merges are what gives it back.
func TestDriverLooksAgainSoonOnAFullDisk(t *testing.T) {
	s := &Store{commit: newCommitter(newFakeLog(t), nil, true, 0)}
	s.opt.Logger = slog.New(slog.DiscardHandler)
	d := mergeDriver{s: s}
	soon := func(what string, want bool) {
		t.Helper()
		if got := d.retry.Before(time.Now().Add(mergePauseFull + time.Second)); got != want {
			t.Errorf("%s: the next try is at %v", what, d.retry)
		}
	}
	for range 10 {
		d.report(fmt.Errorf("x: %w", ErrLogFull))
	}
	soon("the disk is full", true)
	for range 10 {
		d.report(fmt.Errorf("x: %w", ErrIO))
	}
	soon("it fails", false)
	s.merges.scarce.Store(true)
	d.report(fmt.Errorf("x: %w", ErrIO))
	soon("it fails, and is nearly full", true)
}

// TestMergesLag when more is dead in all files together than one may have.
func TestMergesLag(t *testing.T) {
	const file = 1000
	for _, c := range []struct {
		percent         int
		put, live, gone uint64
		want            bool
	}{
		{0, 0, 0, 0, false},
		{0, 100_000, 50_000, 0, false},
		{0, 100_000, 47_999, 0, true}, // more dead than live, but for two files
		{0, 90_000, 47_999, 10_000, true},
		{0, 3000, 1000, 0, false},
		{10, 100_000, 78_001, 0, false},
		{10, 100_000, 77_999, 0, true},
		{80, 100_000, 18_001, 0, false},
		{80, 100_000, 17_999, 0, true},
	} {
		o := MergeOptions{DeadPercent: c.percent}
		f := DataFiles{PutBytes: c.put, LiveBytes: c.live, GoneBytes: c.gone}
		if got := o.mergesLag(&f, file); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
