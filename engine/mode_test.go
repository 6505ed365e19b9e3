package engine

import (
	"strings"
	"testing"
	"time"
)

func TestParseMode(t *testing.T) {
	for _, m := range []Mode{ModeMemory, ModeBitcask} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v is parsed as %v, %v", m, got, err)
		}
	}
	for _, name := range []string{"", "default", "Memory", "lsm"} {
		_, err := ParseMode(name)
		wantErr(t, name, err, ErrArgument)
	}
	if ModeDefault.String() != "default" || Mode(9).String() != "mode 9" {
		t.Errorf("%v, %v", ModeDefault, Mode(9))
	}
}

// TestModeRefusesOptions: each refusal says what to do, and leaves no store behind.
func TestModeRefusesOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt  Options
		says string
	}{
		"an unknown mode":         {Options{Dir: "x", Mode: 9}, "bitcask"},
		"no folder":               {Options{Mode: ModeBitcask}, "Dir"},
		"no log":                  {Options{Mode: ModeBitcask, Dir: "x", WALOff: true}, "LevelNever"},
		"the other's size":        {Options{Mode: ModeBitcask, Dir: "x", LogFileBytes: 1 << 20}, "MaxFileBytes"},
		"this one's size":         {Options{Mode: ModeMemory, Dir: "x", MaxFileBytes: 1 << 20}, "LogFileBytes"},
		"its size and no folder":  {Options{MaxFileBytes: 1 << 20}, "LogFileBytes"},
		"both sizes":              {Options{Dir: "x", MaxFileBytes: 1 << 20, LogFileBytes: 1 << 20}, "one of them"},
		"small files":             {Options{Mode: ModeBitcask, Dir: "x", MaxFileBytes: 1<<16 - 1}, "64 KiB"},
		"large files":             {Options{Mode: ModeBitcask, Dir: "x", MaxFileBytes: maxFileBytes + 1}, "4 GiB less 4 MiB"},
		"a cache of memory":       {Options{Mode: ModeMemory, Dir: "x", CacheBytes: 1}, "leave it out"},
		"a cache and no folder":   {Options{CacheBytes: 1}, "leave out"},
		"a negative cache":        {Options{Mode: ModeBitcask, Dir: "x", CacheBytes: -1}, "0 (none)"},
		"snapshots by size":       {Options{Mode: ModeBitcask, Dir: "x", SnapshotLogBytes: 1}, "SaveInterval"},
		"compressed in memory":    {Options{Mode: ModeMemory, Dir: "x", ValueCompression: ValueCompressionZstd}, "mode bitcask"},
		"compressed, no folder":   {Options{ValueCompression: ValueCompressionLZ4}, "mode bitcask"},
		"unknown compression":     {Options{Dir: "x", ValueCompression: 9}, "zstd, lz4 or none"},
		"a short sync interval":   {Options{Dir: "x", SyncInterval: 9 * time.Millisecond}, "10ms"},
		"a negative one":          {Options{Dir: "x", SyncInterval: -time.Second}, "10ms"},
		"more than all dead":      {Options{Dir: "x", Merge: MergeOptions{DeadPercent: 101}}, "1 to 100"},
		"negative dead bytes":     {Options{Dir: "x", Merge: MergeOptions{DeadBytes: -1}}, "dead bytes"},
		"a negative age":          {Options{Dir: "x", Merge: MergeOptions{DeadAge: -1}}, "old"},
		"less than no disk":       {Options{Dir: "x", Merge: MergeOptions{DiskLeftPercent: -2}}, "0 to 100"},
		"more than all of a disk": {Options{Dir: "x", Merge: MergeOptions{DiskLeftPercent: 101}}, "0 to 100"},
		"a negative rate":         {Options{Dir: "x", Merge: MergeOptions{BytesPerSecond: -1}}, "a second"},
		"a window of another day": {Options{Dir: "x", Merge: MergeOptions{Window: MergeWindow{To: 25 * time.Hour}}}, "one day"},
	} {
		s, err := Open(c.opt)
		wantErr(t, name, err, ErrArgument)
		if err == nil {
			must(t, s.Close())
		} else if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.says)
		}
	}
}

// TestModeIsTheFolders: who names none gets that of the folder, and with it what it refuses.
func TestModeIsTheFolders(t *testing.T) {
	dirs := map[Mode]string{ModeMemory: t.TempDir(), ModeBitcask: t.TempDir()}
	for mode, dir := range dirs {
		s := logStore(t, dir, Options{Mode: mode})
		must(t, s.Set([]byte("k"), []byte("v")))
		must(t, s.Close())
		s = logStore(t, dir, Options{})
		if s.Mode() != mode {
			t.Errorf("mode %v, want %v", s.Mode(), mode)
		}
		wantValue(t, s, "k", "v")
		must(t, s.Close())
	}
	for name, c := range map[string]struct {
		of   Mode
		opt  Options
		want error
	}{
		"compressed in memory":    {ModeMemory, Options{ValueCompression: ValueCompressionZstd}, ErrArgument},
		"memory for bitcask":      {ModeBitcask, Options{Mode: ModeMemory}, ErrFormat},
		"bitcask for memory":      {ModeMemory, Options{Mode: ModeBitcask}, ErrFormat},
		"a log's size":            {ModeBitcask, Options{LogFileBytes: 1 << 20}, ErrArgument},
		"a data file's size":      {ModeMemory, Options{MaxFileBytes: 1 << 20}, ErrArgument},
		"a cache":                 {ModeMemory, Options{CacheBytes: 1 << 20}, ErrArgument},
		"snapshots by size":       {ModeBitcask, Options{SnapshotLogBytes: 1}, ErrArgument},
		"no log, and it is there": {ModeBitcask, Options{WALOff: true}, ErrArgument},
	} {
		c.opt.Dir = dirs[c.of]
		s, err := Open(c.opt)
		wantErr(t, name, err, c.want)
		if err == nil {
			must(t, s.Close())
		}
	}
	for mode, dir := range dirs { // nobody has changed anything, or holds the lock
		s := logStore(t, dir, Options{Mode: mode})
		if r := s.Recovery(); !r.Clean {
			t.Errorf("%v: %+v, want a clean stop", mode, r)
		}
		wantValue(t, s, "k", "v")
	}
	if s := openStore(t, Options{}); s.Mode() != ModeMemory {
		t.Errorf("without a folder: %v", s.Mode())
	}
}

func TestMergeNeedsBitcask(t *testing.T) {
	for name, opt := range map[string]Options{"memory": {}, "a folder": {Dir: t.TempDir(), ManualSteps: true}} {
		s := openStore(t, opt)
		wantErr(t, name, s.Merge(t.Context()), ErrUnsupported)
		if more, err := s.MergeStep(); more || err != nil {
			t.Errorf("%s: a step: %v, %v", name, more, err)
		}
		if s.DataFiles() != (DataFiles{}) {
			t.Errorf("%s: %+v", name, s.DataFiles())
		}
	}
}
