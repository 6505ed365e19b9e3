package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// startBitcask serves mode bitcask from files that are as small as they may be, and merges when it is asked to.
func startBitcask(t *testing.T, opt Options) *Server {
	t.Helper()
	opt.Mode, opt.MaxFileBytes, opt.Merge.Off = engine.ModeBitcask, 64<<10, true
	return startLogged(t, opt)
}

// churn overwrites a few keys until several files are full of dead values. It returns the last value of each key.
func churn(c *client) map[string]string {
	c.t.Helper()
	last := make(map[string]string)
	for i := range 100 {
		key := fmt.Sprint("k", i%4)
		last[key] = strings.Repeat(fmt.Sprint(i), 3000)
		c.check(status("OK"), "SET", key, last[key])
	}
	return last
}

// TestValueCompression: values are compressed on their way to the disk, and INFO says what that saves.
func TestValueCompression(t *testing.T) {
	s := startBitcask(t, Options{ValueCompression: engine.ValueCompressionZstd})
	c := dial(t, s)
	text := strings.Repeat("one of many words ", 1000)
	c.check(status("OK"), "SET", "k", text)
	c.check(status("OK"), "MSET", "a", text[1:], "b", "short")
	c.check(text, "GET", "k")
	c.check(int64(len(text)), "STRLEN", "k")
	c.check(int64(len(text)+1), "APPEND", "k", "!")
	c.check(text+"!", "GET", "k")
	info := scrapeInfo(c, "bitcask")
	if used := count(t, scrapeInfo(c, "memory"), "used_memory_dataset"); used != int64(len("k")+len("a")+len("b")) {
		t.Errorf("used_memory_dataset %d: values lie on the disk", used)
	}
	if info["value_compression"] != "zstd" || info["value_packed"] != "2" {
		t.Errorf("value_compression %s, value_packed %s", info["value_compression"], info["value_packed"])
	}
	if raw, stored := count(t, info, "value_raw_bytes"), count(t, info, "value_stored_bytes"); raw != int64(2*len(text)-1) || stored > raw/10 {
		t.Errorf("%d bytes became %d", raw, stored)
	}
}

// TestMerge: MERGE answers when what is dead has gone, INFO and metrics say what it has done, and all values are there.
func TestMerge(t *testing.T) {
	s := startBitcask(t, Options{HTTP: anyPort})
	c := dial(t, s)
	last := churn(c)
	var before map[string]string
	waitFor(t, "INFO to know the files", func() bool { // it looks at them every now and then
		before = scrapeInfo(c, "bitcask")
		return count(t, before, "data_files") > 3 && count(t, before, "data_bytes") > 50*3000
	})
	if before["merges"] != "0" || before["write_amplification"] != "1.00" || before["merge_automatic"] != "0" {
		t.Errorf("before: %v", before)
	}
	c.check(status("OK"), "MERGE")
	for key, want := range last {
		c.check(want, "GET", key)
	}
	after := scrapeInfo(c, "bitcask")
	live, data := count(t, after, "live_bytes"), count(t, after, "data_bytes")
	if live < 4*3000 || live+count(t, after, "dead_bytes") > data || count(t, before, "dead_bytes") < data || data >= count(t, before, "data_bytes")/2 {
		t.Errorf("%d of %d bytes are live, %s dead; before: %s", live, data, after["dead_bytes"], before["data_bytes"])
	}
	for name, form := range map[string]string{"merges": `^[1-9]\d*$`, "merge_in_progress": `^0$`, "merge_read_bytes": `^[1-9]\d*$`,
		"merge_written_bytes": `^[1-9]\d*$`, "merge_dropped_bytes": `^[1-9]\d*$`, "write_amplification": `^1\.\d\d$`, "dead_ratio": `^0\.\d{4}$`,
		"data_files_merged": `^[1-9]\d*$`, "hints_rebuilt": `^0$`, "damaged_files": `^0$`, "damaged_reads": `^0$`} {
		if !regexp.MustCompile(form).MatchString(after[name]) {
			t.Errorf("after: %s is %q, want %s", name, after[name], form)
		}
	}
	_, body := visit(t, s, "GET", "/metrics", "")
	for name, field := range map[string]string{"merges_total": "merges", "merge_written_bytes_total": "merge_written_bytes",
		"data_files": "data_files", "data_damaged_files": "damaged_files"} {
		if !strings.Contains(body, "\n"+metricPrefix+name+" "+after[field]+"\n") && count(t, after, field) < 1e6 {
			t.Errorf("there is no metric %s with the value of %s, %s", name, field, after[field])
		}
	}
	for _, name := range []string{"write_amplification_ratio", "data_live_bytes", "recovery_keys"} {
		if !strings.Contains(body, "\n"+metricPrefix+name+" ") {
			t.Errorf("there is no metric %s", name)
		}
	}
	for _, name := range []string{"restore_oldest_", "folder_replay_bytes", "snapshot_emitted_", "snapshot_busy_"} {
		if strings.Contains(body, "\n"+metricPrefix+name) {
			t.Errorf("there are metrics %s…, which mode bitcask has no use for", name)
		}
	}
}

// TestCache: GETs and MGETs find in memory what was read before; INFO and metrics say how often.
func TestCache(t *testing.T) {
	s := startBitcask(t, Options{HTTP: anyPort, CacheBytes: 1 << 20})
	c := dial(t, s)
	for i := range 10 {
		c.check(status("OK"), "SET", fmt.Sprint("k", i), strings.Repeat("v", i))
	}
	for range 3 {
		for i := range 10 {
			c.check(strings.Repeat("v", i), "GET", fmt.Sprint("k", i))
		}
	}
	c.check(status("OK"), "SET", "k9", "new")
	c.check("new", "GET", "k9")
	want := map[string]string{"cache_size": "1048576", "cache_values": "10", "cache_bytes": fmt.Sprint(10*9 + 36 + 3),
		"cache_hits": "20", "cache_misses": "11", "cache_evictions": "0"}
	waitFor(t, "INFO to know the cache", func() bool { // it looks every now and then
		return scrapeInfo(c, "bitcask")["cache_misses"] == want["cache_misses"]
	})
	f := scrapeInfo(c, "bitcask")
	_, body := visit(t, s, "GET", "/metrics", "")
	for name, n := range want {
		if f[name] != n {
			t.Errorf("INFO has %s %s, want %s", name, f[name], n)
		}
		metric := strings.NewReplacer("hits", "hits_total", "misses", "misses_total", "evictions", "evictions_total").Replace(name)
		if name != "cache_size" && !strings.Contains(body, "\n"+metricPrefix+metric+" "+n+"\n") {
			t.Errorf("there is no metric %s with %s", metric, n)
		}
	}
}

// TestMergeKeepsItsPlace: replies before a MERGE go out, those after it follow, and other clients go on meanwhile.
func TestMergeKeepsItsPlace(t *testing.T) {
	s := startBitcask(t, Options{})
	c, other := dial(t, s), dial(t, s)
	churn(c)
	var in, want strings.Builder
	for i := range 20 {
		fmt.Fprintf(&in, "SET k %d\r\nMERGE\r\nGET k\r\n", i)
		fmt.Fprintf(&want, "+OK\r\n+OK\r\n$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
	}
	c.send(in.String())
	for range 50 {
		other.check(status("OK"), "SET", "other", "v")
		other.check("v", "GET", "other")
	}
	c.expect(want.String())
}

// TestMergeWhileShuttingDown: a client that waits for a merge gets an answer before the end.
func TestMergeWhileShuttingDown(t *testing.T) {
	s := startBitcask(t, Options{Merge: engine.MergeOptions{BytesPerSecond: 1}}) // which takes for ever
	c := dial(t, s)
	churn(c)
	c.send("MERGE\r\n")
	waitFor(t, "the client to wait", func() bool { return s.total.blocked.Load() == 1 })
	must(t, s.Shutdown(context.Background()))
	if line := c.line(); !strings.HasPrefix(line, "-ERR the server is shutting down: the merge was given up") {
		t.Errorf("MERGE answers %q", line)
	}
	c.expectEnd()
}

// TestMergeElsewhere: without data files there is nothing to merge, and INFO has no such section.
func TestMergeElsewhere(t *testing.T) {
	for _, s := range []*Server{start(t, Options{Mode: engine.ModeMemory}), startLogged(t, Options{Mode: engine.ModeMemory})} {
		c := dial(t, s)
		c.check(respError(noMergeText), "MERGE")
		c.check(respError("ERR wrong number of arguments for 'merge' command"), "MERGE", "now")
		if f := scrapeInfo(c); f["storage_mode"] != "memory" || f["data_files"] != "" {
			t.Errorf("INFO: storage_mode %q, data_files %q", f["storage_mode"], f["data_files"])
		}
		c.check("", "INFO", "bitcask")
	}
}

// TestBitcaskSnapshots: the verbs, and what INFO and metrics say of them. Nobody has counted what is in one, so it has no hash.
func TestBitcaskSnapshots(t *testing.T) {
	s := startBitcask(t, Options{HTTP: anyPort})
	c := dial(t, s)
	c.check(s.started.Unix(), "LASTSAVE")
	f := scrapeInfo(c, "persistence")
	for name, want := range map[string]string{"snapshot_automatic": "0", "snapshot_files": "0", "rdb_saves": "0", "snapshot_lsn": "",
		"rdb_bgsave_in_progress": "0", "crash_loss": "none", "recovery_created": "1"} {
		if f[name] != want {
			t.Errorf("before: %s is %q, want %q", name, f[name], want)
		}
	}
	last := churn(c)
	before := time.Now().Unix()
	c.saveNow()
	if at, ok := c.do("LASTSAVE").(int64); !ok || at < before || at > time.Now().Unix() {
		t.Errorf("LASTSAVE: %d, the save was at about %d", at, before)
	}
	c.check(status("Background saving started"), "BGSAVE")
	waitFor(t, "the end of BGSAVE", func() bool { return scrapeInfo(c, "persistence")["rdb_saves"] == "2" })
	c.check(status("Background saving started"), "BGSAVE", "SCHEDULE")
	waitFor(t, "the end of BGSAVE SCHEDULE", func() bool { return scrapeInfo(c, "persistence")["rdb_saves"] == "3" })
	f = scrapeInfo(c, "persistence")
	for name, want := range map[string]string{"snapshot_files": "1", "snapshot_keys": "4", "snapshot_failures": "0", "snapshot_hash": "",
		"snapshot_raw_bytes": "", "snapshot_compression": "", "snapshot_busy": "", "log_since_snapshot_bytes": "", "restore_oldest_lsn": "",
		"restore_oldest_time": "", "restore_newest_lsn": f["log_durable_lsn"], "snapshot_lsn": f["log_durable_lsn"],
		"rdb_changes_since_last_save": "0", "snapshot_files_bytes": f["snapshot_bytes"]} {
		if f[name] != want {
			t.Errorf("after: %s is %q, want %q", name, f[name], want)
		}
	}
	_, body := visit(t, s, "GET", "/metrics", "")
	for name, want := range map[string]string{"snapshot_completed_total": "3", "snapshot_last_lsn": f["snapshot_lsn"], "folder_snapshots": "1",
		"snapshot_last_success": "1", "snapshot_last_keys": "4"} {
		if !strings.Contains(body, "\n"+metricPrefix+name+" "+want+"\n") {
			t.Errorf("there is no metric %s with %s", name, want)
		}
	}

	reply, ok := c.do("BACKUP", "monday").([]any)
	if !ok || len(reply) != 10 {
		t.Fatalf("BACKUP: %v", reply)
	}
	file := filepath.Join(s.opt.Dir, "backups", "monday")
	info, err := engine.VerifySnapshot(file, nil)
	must(t, err)
	want := []any{"name", "monday", "bytes", int64(info.Bytes), "keys", int64(4), "lsn", int64(info.LSN), "hash", ""}
	if !reflect.DeepEqual(reply, want) {
		t.Errorf("BACKUP: %v, want %v", reply, want)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	_, err = engine.Restore(engine.RestoreOptions{From: file, Dir: restored})
	must(t, err)
	other := dial(t, startLogged(t, Options{Dir: restored}))
	for key, want := range last {
		other.check(want, "GET", key)
	}
}

// TestBitcaskSnapshotRead in small and large pieces, while merges and newer snapshots take away what it is of.
func TestBitcaskSnapshotRead(t *testing.T) {
	s := startBitcask(t, Options{})
	c, other := dial(t, s), dial(t, s)
	churn(other)
	reply, ok := c.do("SNAPSHOT", "OPEN").([]any)
	if !ok || len(reply) != 6 {
		t.Fatalf("SNAPSHOT OPEN: %v", reply)
	}
	handle, size := fmt.Sprint(reply[0]), reply[1].(int64)
	c.check(respError("ERR this connection has a snapshot open: SNAPSHOT CLOSE "+handle+" first"), "SNAPSHOT", "OPEN")
	other.check(status("OK"), "FLUSHALL")
	other.check(status("OK"), "MERGE")
	other.saveNow()
	churn(other)
	other.check(status("OK"), "MERGE")
	other.saveNow()
	for _, piece := range []int{snapshotReadMax, 10_007} {
		info := verified(t, c.readSnapshot(handle, size, piece))
		want := []any{reply[0], int64(info.Bytes), int64(info.LSN), reply[3], int64(4), ""}
		if !reflect.DeepEqual(reply, want) || info.Keys != 4 {
			t.Errorf("SNAPSHOT OPEN: %v, want %v", reply, want)
		}
	}
	c.check(status("OK"), "SNAPSHOT", "CLOSE", handle)
	c.check(respError(noSnapshot(handle)), "SNAPSHOT", "READ", handle, "0", "1")
}

// TestBitcaskRetention: what a merge replaces stays for restores, and a start that asks for nothing drops it.
func TestBitcaskRetention(t *testing.T) {
	s := startBitcask(t, Options{RetainFor: time.Hour, SaveInterval: time.Hour})
	c := dial(t, s)
	churn(c)
	if f := scrapeInfo(c, "persistence"); f["snapshot_automatic"] != "1" {
		t.Errorf("no snapshot is taken unasked: %v", f)
	}
	c.check(status("OK"), "MERGE")
	kept := func() int {
		entries, err := os.ReadDir(filepath.Join(s.opt.Dir, "retained"))
		must(t, err)
		return len(entries)
	}
	if kept() == 0 {
		t.Error("nothing is kept")
	}
	must(t, s.Shutdown(context.Background()))
	to := filepath.Join(t.TempDir(), "to")
	r, err := engine.Restore(engine.RestoreOptions{From: s.opt.Dir, Dir: to, ToLSN: 1})
	if err != nil || r.Keys != 1 || r.FirstLSN != 0 {
		t.Errorf("restore: %+v, %v", r, err)
	}
	startBitcask(t, Options{Dir: s.opt.Dir})
	waitFor(t, "the old files to go", func() bool { return kept() == 0 })
}

// TestModeOptions: what a mode doesn't have makes New fail, before anything is made.
func TestModeOptions(t *testing.T) {
	for name, test := range map[string]struct {
		opt  Options
		want string
	}{
		"no folder":     {Options{Mode: engine.ModeBitcask}, "set Dir"},
		"no log":        {Options{Mode: engine.ModeBitcask, Dir: "d", WALOff: true}, "drop WALOff"},
		"log files":     {Options{Mode: engine.ModeBitcask, Dir: "d", LogFileBytes: 1 << 20}, "set MaxFileBytes"},
		"small files":   {Options{Mode: engine.ModeBitcask, Dir: "d", MaxFileBytes: 1 << 10}, "64 KiB to 4092 MiB"},
		"large files":   {Options{Mode: engine.ModeBitcask, Dir: "d", MaxFileBytes: 4 << 30}, "64 KiB to 4092 MiB"},
		"snapshots":     {Options{Mode: engine.ModeBitcask, Dir: "d", SnapshotLogBytes: 1 << 30}, "SaveInterval in place of it"},
		"data files":    {Options{Mode: engine.ModeMemory, Dir: "d", MaxFileBytes: 1 << 20}, "use LogFileBytes"},
		"a cache":       {Options{Dir: "d", CacheBytes: 1 << 20}, "drop CacheBytes"},
		"small cache":   {Options{Mode: engine.ModeBitcask, Dir: "d", CacheBytes: -1}, "0 (none) or more"},
		"sync interval": {Options{Dir: "d", SyncInterval: time.Millisecond}, "10ms or more"},
	} {
		t.Chdir(t.TempDir())
		test.opt.Listen, test.opt.MaxClients = []string{anyPort}, 10
		_, err := New(test.opt)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
		if _, err := os.Stat("d"); err == nil {
			t.Errorf("%s: the folder was made", name)
		}
	}
}

// TestModeOfTheFolder: a server that isn't told the mode has the one that the folder was made for.
func TestModeOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	s := startBitcask(t, Options{Dir: dir})
	dial(t, s).check(status("OK"), "SET", "k", "v")
	must(t, s.Shutdown(context.Background()))
	s = startLogged(t, Options{Dir: dir})
	if s.Mode() != engine.ModeBitcask {
		t.Errorf("the mode is %v", s.Mode())
	}
	dial(t, s).check("v", "GET", "k")
	must(t, s.Shutdown(context.Background()))
	if _, err := New(Options{Listen: []string{anyPort}, MaxClients: 10, Dir: dir, Mode: engine.ModeMemory}); err == nil {
		t.Error("mode memory has opened a folder of mode bitcask")
	}
}

// TestSyncInterval: what is said about the level says how long it is.
func TestSyncInterval(t *testing.T) {
	s := startLogged(t, Options{Level: engine.LevelEverysec, SyncInterval: 200 * time.Millisecond})
	c := dial(t, s)
	c.check(status("OK"), "SET", "k", "v")
	f := scrapeInfo(c, "persistence")
	if f["log_sync"] != "interval=200ms" || f["crash_loss"] != "200ms" {
		t.Errorf("log_sync is %q, crash_loss %q", f["log_sync"], f["crash_loss"])
	}
	c.check("everysec", "CLIENT", "DURABILITY")
	lsn := s.store.Appended()
	waitFor(t, "the sync that nobody asks for", func() bool { return s.store.Durable() >= lsn })
}

// TestDamagedDataFile: a value that is damaged is an error for its key, and whoever watches the server learns of it.
func TestDamagedDataFile(t *testing.T) {
	var log logBuffer
	s := startBitcask(t, Options{HTTP: anyPort, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := dial(t, s)
	bad := strings.Repeat("damaged ", 1000)
	c.check(status("OK"), "MSET", "bad", bad, "good", "v")
	c.check(status("OK"), "MERGE")
	if code, r := readyz(t, s); code != 200 || r.Status != statusReady {
		t.Errorf("before: %d, %+v", code, r)
	}
	flipIn(t, s.opt.Dir, bad)
	if got, ok := c.do("GET", "bad").(respError); !ok || !strings.HasPrefix(string(got), "DAMAGED ") {
		t.Errorf("GET: %.100q", got)
	}
	c.check("v", "GET", "good")
	waitFor(t, "/readyz to say so", func() bool { code, r := readyz(t, s); return code == 503 && r.Status == statusDegraded })
	if _, r := readyz(t, s); !strings.HasPrefix(r.Reason, "a data file is damaged") {
		t.Errorf("reason: %+v", r)
	}
	waitFor(t, "the log to say so", func() bool { return strings.Contains(log.String(), "a data file is damaged") })
	c.check(status("OK"), "SET", "bad", "new")
	c.check("new", "GET", "bad")
}

// flipIn damages a value in the data files.
func flipIn(t *testing.T, dir, value string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		text, err := os.ReadFile(name)
		must(t, err)
		if at := strings.Index(string(text), value); at >= 0 {
			flip(t, name, int64(at+len(value)/2))
			return
		}
	}
	t.Fatal("the value is in no file")
}
