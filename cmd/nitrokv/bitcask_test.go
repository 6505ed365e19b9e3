package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/server"
)

// What is said about data files reaches the server, and nothing of what mode bitcask doesn't have does.
func TestBitcaskOptionsReachTheServer(t *testing.T) {
	cfg, err := resolveServe(t, []string{"--mode=Bitcask", "--dir=d", "--max-file-size=1MiB", "--sync=interval=200ms", "--merge=off",
		"--merge-dead-percent=30", "--merge-dead-bytes=2MiB", "--merge-dead-age=48h", "--merge-window=22:30-04:00", "--merge-rate=10MiB",
		"--merge-disk-left=7",
		"--on-io-error=readonly", "--value-compression=ZSTD",
		"--cache-size=3MiB", "--mmap=on", "--save-interval=1h", "--log-retention=24h", "--backup-dir=b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := cfg.server
	if o.Mode != engine.ModeBitcask || o.Dir != "d" || o.MaxFileBytes != 1<<20 || o.LogFileBytes != 0 || o.OnIOError != server.IOErrorReadOnly ||
		o.CacheBytes != 3<<20 || !o.MapFiles || o.Level != engine.LevelEverysec || o.SyncInterval != 200*time.Millisecond ||
		o.SaveInterval != time.Hour || o.RetainFor != 24*time.Hour || o.BackupDir != "b" || o.SnapshotLogBytes != 0 {
		t.Errorf("server options: %+v", o)
	}
	want := engine.MergeOptions{DeadPercent: 30, DeadBytes: 2 << 20, DeadAge: 48 * time.Hour, BytesPerSecond: 10 << 20, DiskLeftPercent: 7, Off: true}
	want.Window.From, want.Window.To = 22*time.Hour+30*time.Minute, 4*time.Hour
	if o.ValueCompression != engine.ValueCompressionZstd {
		t.Errorf("value compression: %v", o.ValueCompression)
	}
	if o.Merge != want {
		t.Errorf("merge options: %+v, want %+v", o.Merge, want)
	}
}

// The defaults of data files, and a mode that only the folder knows: then nothing is said that would be wrong in one of them.
func TestBitcaskDefaults(t *testing.T) {
	cfg, err := resolveServe(t, []string{"--mode=bitcask"}, nil)
	if o := cfg.server; err != nil || o.MaxFileBytes != server.DefaultMaxFileBytes || o.CacheBytes != 0 || o.Merge != (engine.MergeOptions{DeadPercent: 50, DiskLeftPercent: 5}) {
		t.Errorf("mode bitcask: %+v, %v", o, err)
	}
	cfg, err = resolveServe(t, nil, []string{"NITROKV_MERGE_RATE=1MiB"})
	if o := cfg.server; err != nil || o.Mode != engine.ModeDefault || o.MaxFileBytes != 0 || o.LogFileBytes != 0 || o.Merge.BytesPerSecond != 1<<20 {
		t.Errorf("no mode: %+v, %v", o, err)
	}
	cfg, err = resolveServe(t, []string{"--mode=bitcask", "--merge-disk-left=Off"}, nil)
	if o := cfg.server; err != nil || o.Merge.DiskLeftPercent != engine.MergeDiskLeftOff {
		t.Errorf("the disk doesn't count: %+v, %v", o.Merge, err)
	}
	cfg, err = resolveServe(t, []string{"--mode=memory"}, []string{"NITROKV_MAX_FILE_SIZE=1MiB", "NITROKV_VALUE_COMPRESSION=zstd",
		"NITROKV_CACHE_SIZE=1MiB", "NITROKV_LOG_RETENTION=24h"})
	if o := cfg.server; err != nil || o.Mode != engine.ModeMemory || o.MaxFileBytes != 0 || o.ValueCompression != 0 || o.CacheBytes != 0 || o.RetainFor != 24*time.Hour {
		t.Errorf("mode memory: %+v, %v", o, err)
	}
}

// What a mode doesn't have is refused, by the name under which it was said.
func TestBitcaskRefusesOptions(t *testing.T) {
	bySize := configFileOf(t, "mode = \"bitcask\"\nsnapshot-log-size = \"1GiB\"\n")
	for want, test := range map[string][2][]string{
		`--mode bitcask and --dir off: that mode keeps`:               {{"--mode=bitcask", "--dir=off"}, nil},
		`NITROKV_MODE bitcask and --dir off: that mode`:               {{"--dir=off"}, {"NITROKV_MODE=bitcask"}},
		`--wal off and mode bitcask: there the log is`:                {{"--mode=bitcask", "--wal=off"}, nil},
		`--log-file-size and mode bitcask: there --max-file-size`:     {{"--mode=bitcask", "--log-file-size=64MiB"}, nil},
		`NITROKV_LOG_FILE_SIZE and mode bitcask: there --max`:         {{"--mode=bitcask"}, {"NITROKV_LOG_FILE_SIZE=1MiB"}},
		`--snapshot-log-size and mode bitcask: there`:                 {{"--mode=bitcask", "--snapshot-log-size=1GiB"}, nil},
		`NITROKV_SNAPSHOT_LOG_SIZE and mode bitcask: there no`:        {{"--mode=bitcask"}, {"NITROKV_SNAPSHOT_LOG_SIZE=1GiB"}},
		bySize + `:2: snapshot-log-size and mode bitcask: there no`:   {{"--config", bySize}, nil},
		`--snapshot-compression and mode bitcask: there a snapshot`:   {{"--mode=bitcask", "--snapshot-compression=lz4"}, nil},
		`--max-file-size is about data files, which mode bitcask`:     {{"--max-file-size=1GiB"}, nil},
		`NITROKV_MAX_FILE_SIZE is about data files, which mode`:       {nil, {"NITROKV_MAX_FILE_SIZE=1MiB"}},
		`--value-compression is about data files, which mode bitcask`: {{"--mode=memory", "--value-compression=none"}, nil},
		`NITROKV_VALUE_COMPRESSION is about data files, which mode`:   {nil, {"NITROKV_VALUE_COMPRESSION=lz4"}},
		`--value-compression "gzip": unknown; use zstd, lz4, none`:    {{"--mode=bitcask", "--value-compression=gzip"}, nil},
		`--cache-size is about data files, which mode bitcask alone`:  {{"--mode=memory", "--cache-size=0"}, nil},
		`NITROKV_CACHE_SIZE is about data files, which mode bitcask`:  {nil, {"NITROKV_CACHE_SIZE=1MiB"}},
		`--cache-size "much": not a size`:                             {{"--mode=bitcask", "--cache-size=much"}, nil},
		`--mmap is about data files, which mode bitcask alone has`:    {{"--mode=memory", "--mmap=off"}, nil},
		`NITROKV_MMAP is about data files, which mode bitcask alone`:  {nil, {"NITROKV_MMAP=on"}},
		`--mmap "yes": unknown; use on, off`:                          {{"--mode=bitcask", "--mmap=yes"}, nil},
		`--merge-rate is about data files, which mode bitcask alone`:  {{"--mode=memory", "--merge-rate=off"}, nil},
		`--max-file-size "4GiB": out of range; use 64KiB to 4092MiB`:  {{"--mode=bitcask", "--max-file-size=4GiB"}, nil},
		`--mode "lsm": unknown; use memory, bitcask`:                  {{"--mode=lsm"}, nil},
		`--merge-window "2-5": not two times of a day; write for`:     {{"--mode=bitcask", "--merge-window=2-5"}, nil},
		`--sync "interval=1ms": not a time between 10ms and 1m0s`:     {{"--sync=interval=1ms"}, nil},
		`--merge-disk-left "0": not a whole number from 1 to 100`:     {{"--mode=bitcask", "--merge-disk-left=0"}, nil},
		`--merge-dead-percent "0": not a whole number from 1 to`:      {{"--mode=bitcask", "--merge-dead-percent=0"}, nil},
	} {
		if _, err := resolveServe(t, test[0], test[1]); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Without --mode the folder says what its mode doesn't have, also if the value is the default of the other one.
func TestBitcaskFolderRefusesOptions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if r := call("", nil, "put", "k", "v", "--dir", dir, "--mode", "bitcask"); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	for _, size := range []string{"1MiB", "64MiB"} {
		cfg, err := resolveServe(t, []string{"--dir", dir, "--log-file-size", size}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = server.New(cfg.server); err == nil {
			t.Fatalf("--log-file-size %s: no error", size)
		}
		err = cfg.data.explainMode(err, cfg.found)
		if want := dir + " was made for mode bitcask: --log-file-size and mode bitcask: there --max-file-size"; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("--log-file-size %s: %v, want %q", size, err, want)
		}
	}
	cfg, err := resolveServe(t, nil, []string{"NITROKV_LOG_FILE_SIZE=64MiB"}) // as other servers on the machine may want it
	if err != nil || cfg.server.LogFileBytes != 0 {
		t.Errorf("a variable with the default: %d, %v", cfg.server.LogFileBytes, err)
	}
}

// What --print-config writes in mode bitcask is accepted as it stands.
func TestBitcaskConfigComesBack(t *testing.T) {
	first := call("", nil, "serve", "--mode", "bitcask", "--max-file-size", "2MiB", "--sync", "interval=1s", "--print-config")
	if first.status != 0 {
		t.Fatalf("%+v", first)
	}
	cfg, err := resolveServe(t, []string{"--config", configFileOf(t, first.stdout)}, nil)
	if o := cfg.server; err != nil || o.Mode != engine.ModeBitcask || o.MaxFileBytes != 2<<20 || o.SyncInterval != time.Second {
		t.Errorf("%+v, %v", o, err)
	}
}

// Commands without a server find out which mode a folder has, and can make one of mode bitcask.
func TestBitcaskFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, step := range []struct {
		args   []string
		stdout string
	}{
		{[]string{"put", "k", "v", "--mode", "bitcask"}, ""}, // makes the folder
		{[]string{"put", "user_id", "42069"}, ""},
		{[]string{"put", "user_id", "42070"}, ""},
		{[]string{"get", "user_id", "--mode", "bitcask"}, "42070"},
		{[]string{"incr", "user_id"}, "42071\n"},
		{[]string{"del", "k"}, ""},
		{[]string{"cli", "DBSIZE"}, "1\n"},
		{[]string{"scan"}, "user_id\n"},
	} {
		if r := call("", nil, append([]string{"--dir", dir}, step.args...)...); r.status != 0 || r.stdout != step.stdout {
			t.Errorf("%q: %+v, want %q", step.args, r, step.stdout)
		}
	}
	if r := call("", nil, "stats", "persistence", "--dir", dir); !strings.Contains(r.stdout, "storage_mode:bitcask\r\n") {
		t.Errorf("stats: %+v", r)
	}
	mustBeError(t, call("", nil, "get", "user_id", "--dir", dir, "--mode", "memory"), "bitcask")
	mustBeError(t, call("", nil, "get", "k", "--mode", "memory"), "--mode is about a folder, which is opened with --dir")
	if r := call("", nil, "check", dir); r.status != 0 {
		t.Errorf("check: %+v", r)
	}
}

// Damage in a folder of mode bitcask: a check says what can be done there, and a dump has all that is whole.
func TestBitcaskDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for i := range 6 { // each command stops the store cleanly, so that its file gets a hint
		if r := call("", nil, "put", fmt.Sprint("key", i), strings.Repeat("v", 100), "--dir", dir, "--mode", "bitcask"); r.status != 0 {
			t.Fatalf("put: %+v", r)
		}
	}
	file := damage(t, dir) // of key4
	before := contents(t, dir)
	r := call("", nil, "check", dir)
	if r.status != exitDamaged || !strings.Contains(r.stdout, "DAMAGE: "+file) || strings.Contains(r.stdout, "--repair") ||
		!strings.Contains(r.stdout, "A server starts with the folder as it is") {
		t.Errorf("check: %+v", r)
	}
	if r = call("", nil, "check", dir, "--repair"); r.status == 0 || !strings.Contains(r.stderr, "start the store as it is") {
		t.Errorf("repair: %+v", r)
	}
	mustBeSame(t, before, contents(t, dir))

	path := filepath.Join(t.TempDir(), "keys.jsonl")
	r = call("", nil, "dump", path, "--dir", dir)
	text, err := os.ReadFile(path)
	if r.status != exitDamaged || err != nil || strings.Count(string(text), "\n") != 5 || strings.Contains(string(text), "key4") {
		t.Errorf("dump: %+v, %v: %s", r, err, text)
	}
	for _, want := range []string{"key key4: its value cannot be read", "dumped 5 keys, ", "all but 1 key, whose values cannot be read"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("dump says %q, not %q", r.stderr, want)
		}
	}

	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	// what check says that can be done about it, in a copy
	cured, whole := filepath.Join(t.TempDir(), "cured"), filepath.Join(t.TempDir(), "whole")
	must(os.CopyFS(cured, os.DirFS(dir)))
	if r = call("", nil, "del", "key4", "--dir", cured); r.status != 0 {
		t.Errorf("del: %+v", r)
	}
	if r = call("", nil, "convert", "--from", cured, "--mode", "bitcask", "--to", whole); r.status != 0 {
		t.Errorf("convert: %+v", r)
	}
	if r = call("", nil, "check", whole); r.status != 0 || !strings.Contains(r.stdout, "no damage") {
		t.Errorf("check of the converted folder: %+v", r)
	}

	must(os.Remove(filepath.Join(dir, strings.TrimSuffix(file, "log")+"hint")))
	r = call("", nil, "check", dir)
	if r.status != exitDamaged || strings.Contains(r.stdout, "--repair") || !strings.Contains(r.stdout, "a start refuses the folder: put back a copy") {
		t.Errorf("check without the hint: %+v", r)
	}
	mustBeError(t, call("", nil, "dump", "--dir", dir), file)
}

// A merge gives back what is dead, and says so; what was there before it is there after it.
func TestMergeAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const keys, rounds = 20, 50
	var lines strings.Builder
	for i := range keys * rounds {
		lines.WriteString("key" + strconv.Itoa(i%keys) + "\t" + strings.Repeat("v", 1000) + strconv.Itoa(i) + "\n")
	}
	if r := call(lines.String(), nil, "load", "-", "--dir", dir, "--mode", "bitcask"); r.status != 0 {
		t.Fatalf("load: %+v", r)
	}
	before := folderBytes(t, dir)
	r := call("", nil, "merge", "--dir", dir)
	if r.status != 0 || !strings.HasPrefix(r.stdout, "merged "+dir+": 1 merge, ") {
		t.Fatalf("merge: %+v", r)
	}
	if after := folderBytes(t, dir); after > before/4 {
		t.Errorf("the folder has %d bytes after the merge, %d before it: %s", after, before, r.stdout)
	}
	for i := range keys {
		want := strings.Repeat("v", 1000) + strconv.Itoa(keys*(rounds-1)+i)
		if r := call("", nil, "get", "key"+strconv.Itoa(i), "--dir", dir); r.stdout != want {
			t.Errorf("key%d: status %d, %.20q…, %s", i, r.status, r.stdout, r.stderr)
		}
	}
}

// folderBytes is what the files of a store take.
func folderBytes(t *testing.T, dir string) (sum int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// A server merges as well; one that keeps its values in memory refuses.
func TestMergeByAServer(t *testing.T) {
	addr := startServerWith(t, server.Options{Dir: t.TempDir(), Mode: engine.ModeBitcask, MaxFileBytes: 64 << 10})
	for range 3 {
		if r := call("", nil, "put", "k", strings.Repeat("v", 50_000), "--addr", addr); r.status != 0 {
			t.Fatalf("put: %+v", r)
		}
	}
	r := call("", nil, "merge", "--addr", addr)
	if r.status != 0 || !strings.HasPrefix(r.stdout, "merged "+addr+": ") {
		t.Errorf("merge: %+v", r)
	}
	mustBeError(t, call("", nil, "merge", "--addr", startServer(t)), "has no data files to merge")
	mustBeError(t, call("", nil, "merge", "now"), `unexpected "now"`)
}

// A folder keeps its mode. A server that isn't told which one finds out, and refuses what that mode doesn't have.
func TestServeABitcaskFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if r := call("", nil, "put", "k", "v", "--dir", dir, "--mode", "bitcask"); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	mustBeError(t, call("", nil, "serve", "--port", "0", "--dir", dir, "--mode", "memory"), "bitcask")
	mustBeError(t, call("", nil, "serve", "--port", "0", "--dir", dir, "--snapshot-log-size", "1GiB"),
		dir+" was made for mode bitcask: --snapshot-log-size and mode bitcask: there no snapshot")
	p := serveIn(t, dir)
	if r := call("", nil, "get", "k", "--addr", p.addr); r.stdout != "v" {
		t.Errorf("get from the server: %+v", r)
	}
	p.stop(t, syscall.SIGTERM, 0)
}
