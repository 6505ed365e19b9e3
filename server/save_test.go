package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

const syntaxErrorText = respError("ERR syntax error")

// saveNow takes a snapshot.
func (c *client) saveNow() {
	c.t.Helper()
	c.check(status("OK"), "SAVE")
}

// TestSave: what INFO and LASTSAVE say before and after the verbs.
func TestSave(t *testing.T) {
	s := startLogged(t, Options{})
	c := dial(t, s)
	began := s.started.Unix()
	c.check(began, "LASTSAVE")
	c.check(status("OK"), "MSET", "a", "1", "b", "2")
	f := scrapeInfo(c, "persistence")
	for name, want := range map[string]string{"rdb_changes_since_last_save": "2", "rdb_bgsave_in_progress": "0", "rdb_saves": "0",
		"rdb_last_save_time": strconv.FormatInt(began, 10), "rdb_last_bgsave_status": "ok", "rdb_last_bgsave_time_sec": "-1",
		"rdb_current_bgsave_time_sec": "-1", "snapshot_files": "0", "snapshot_failures": "0", "snapshot_automatic": "1",
		"restore_oldest_lsn": "0"} {
		if f[name] != want {
			t.Errorf("before: %s is %q, want %q", name, f[name], want)
		}
	}
	before := time.Now().Unix()
	c.saveNow()
	if at, ok := c.do("LASTSAVE").(int64); !ok || at < before || at > time.Now().Unix() {
		t.Errorf("LASTSAVE: %d, the save was at about %d", at, before)
	}
	f = scrapeInfo(c, "persistence")
	for name, want := range map[string]string{"rdb_changes_since_last_save": "0", "rdb_bgsave_in_progress": "0", "rdb_saves": "1",
		"rdb_last_bgsave_status": "ok", "snapshot_files": "1", "snapshot_keys": "2", "snapshot_compression": "zstd",
		"snapshot_lsn": f["log_durable_lsn"], "restore_newest_lsn": f["log_durable_lsn"]} {
		if f[name] != want {
			t.Errorf("after: %s is %q, want %q", name, f[name], want)
		}
	}
	if at, err := time.Parse(time.RFC3339, f["snapshot_time"]); err != nil || at.Unix() < began-1 || time.Since(at) < -time.Minute {
		t.Errorf("snapshot_time is %q: %v", f["snapshot_time"], err)
	}
	if len(f["snapshot_hash"]) != 32 || count(t, f, "snapshot_bytes") < 1024 || count(t, f, "rdb_last_bgsave_time_sec") < 0 {
		t.Errorf("the newest snapshot: %v", f)
	}
	c.check(syntaxErrorText, "BGSAVE", "NOW")
	c.check(syntaxErrorText, "BGSAVE", "SCHEDULE", "NOW")
	c.check(status("Background saving started"), "BGSAVE")
	waitFor(t, "the end of BGSAVE", func() bool { return scrapeInfo(c, "persistence")["rdb_saves"] == "2" })
	c.check(status("Background saving started"), "bgsave", "schedule")
	waitFor(t, "the end of BGSAVE SCHEDULE", func() bool { return scrapeInfo(c, "persistence")["rdb_saves"] == "3" })
}

// TestSaveWhileSaving: a snapshot that is under way is an error as in Redis, unless one more is asked for. How long one
// takes is not known here, so it is tried until the requests meet one.
func TestSaveWhileSaving(t *testing.T) {
	s := startLogged(t, Options{})
	c := dial(t, s)
	for i := range 64 {
		c.check(status("OK"), "SET", fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 10_000))
	}
	missed := map[string]string{"BGSAVE": "-" + alreadySavingText, "SAVE": "-" + alreadySavingText,
		"BGSAVE SCHEDULE": "+Background saving scheduled"}
	waitFor(t, "requests that meet a snapshot", func() bool {
		for request, want := range missed {
			c.send("BGSAVE\r\n" + request + "\r\n")
			for _, reply := range []string{c.line(), c.line()} {
				if reply == want {
					delete(missed, request)
				}
			}
		}
		return len(missed) == 0
	})
	f := scrapeInfo(c, "persistence")
	waitFor(t, "the one that was scheduled", func() bool {
		f = scrapeInfo(c, "persistence")
		return f["rdb_bgsave_in_progress"] == "0" && f["rdb_changes_since_last_save"] == "0"
	})
	if f["snapshot_failures"] != "0" {
		t.Errorf("failures: %v", f)
	}
}

// line reads a line without its end.
func (c *client) line() string {
	c.t.Helper()
	text, err := c.br.ReadString('\n')
	must(c.t, err)
	return strings.TrimSuffix(text, "\r\n")
}

// TestSaveKeepsOthersServed: SAVE waits behind nobody's back: replies before it go out, and other clients go on.
func TestSaveKeepsOthersServed(t *testing.T) {
	s := startLogged(t, Options{})
	c, other := dial(t, s), dial(t, s)
	var in, want strings.Builder
	for i := range 50 {
		fmt.Fprintf(&in, "SET k %d\r\nSAVE\r\nGET k\r\n", i)
		fmt.Fprintf(&want, "+OK\r\n+OK\r\n$%d\r\n%d\r\n", len(fmt.Sprint(i)), i)
	}
	c.send(in.String())
	for range 50 {
		other.check(status("OK"), "SET", "other", "v")
	}
	c.expect(want.String())
	if n := s.total.blocked.Load(); n != 0 {
		t.Errorf("%d connections count as blocked", n)
	}
}

// TestSavedDataIsLoaded from the snapshot, and what came after it from the log.
func TestSavedDataIsLoaded(t *testing.T) {
	s := startLogged(t, Options{})
	c := dial(t, s)
	for i := range 1000 {
		c.check(status("OK"), "SET", fmt.Sprint(i), "v")
	}
	c.saveNow()
	c.check(int64(1), "DEL", "7")
	c.check(status("OK"), "SET", "late", "v")
	c = dial(t, restart(t, s))
	c.check([]any{"v", nil, "v"}, "MGET", "6", "7", "late")
	c.check(int64(1000), "DBSIZE")
	f := scrapeInfo(c, "persistence")
	if f["recovery_snapshot_keys"] != "1000" || f["recovery_keys"] != "1000" || count(t, f, "recovery_snapshot_lsn") < 1000 ||
		count(t, f, "recovery_snapshot_bytes") == 0 {
		t.Errorf("the recovery: %v", f)
	}
}

// TestSavesEndWithShutdown: those who wait for a snapshot get an answer or the end of their connection, and the server a
// clean stop.
func TestSavesEndWithShutdown(t *testing.T) {
	s := startLogged(t, Options{})
	dial(t, s).check(status("OK"), "SET", "k", strings.Repeat("v", 1<<20))
	var asked sync.WaitGroup
	for i := range 8 {
		c := dial(t, s)
		request := []string{"SAVE", "SNAPSHOT OPEN", fmt.Sprintf("BACKUP b%d", i), "BGSAVE SCHEDULE"}[i%4]
		asked.Go(func() {
			for {
				if _, err := c.Write([]byte(request + "\r\n")); err != nil {
					return
				}
				if _, err := readReply(c.br); err != nil {
					return
				}
			}
		})
	}
	waitFor(t, "a few snapshots", func() bool { return s.store.SnapshotState().OK >= 3 })
	must(t, s.Shutdown(t.Context()))
	asked.Wait()
	if n := s.total.snapshots.Load(); n != 0 {
		t.Errorf("%d snapshots are still open", n)
	}
	s = startLogged(t, Options{Dir: s.opt.Dir})
	dial(t, s).check(int64(1), "DBSIZE")
}

// withoutFolder are the requests that need a folder.
var withoutFolder = []string{"SAVE", "BGSAVE", "BGSAVE SCHEDULE", "BACKUP x", "SNAPSHOT OPEN"}

func TestSaveWithoutFolder(t *testing.T) {
	s := start(t, Options{})
	c := dial(t, s)
	for _, request := range withoutFolder {
		c.check(respError(noFolderText), strings.Fields(request)...)
	}
	c.check(s.started.Unix(), "LASTSAVE")
	f := scrapeInfo(c, "persistence")
	if f["persistence"] != "none" || f["wal"] != "off" || f["crash_loss"] != "everything" || f["rdb_bgsave_in_progress"] != "0" {
		t.Errorf("INFO: %v", f)
	}
}

// TestSaveWhileLoading: there is nothing to save yet.
func TestSaveWhileLoading(t *testing.T) {
	s, err := New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100, Dir: t.TempDir()})
	must(t, err)
	release := make(chan struct{})
	s.load.hold = release
	serve(t, s)
	t.Cleanup(sync.OnceFunc(func() { close(release) })) // before the server is stopped
	c := dial(t, s)
	for _, request := range withoutFolder {
		c.check(respError(loadingText), strings.Fields(request)...)
	}
	c.check(s.started.Unix(), "LASTSAVE")
	if f := scrapeInfo(c, "persistence"); f["loading"] != "1" || f["rdb_saves"] != "0" {
		t.Errorf("INFO: %v", f)
	}
}

// TestCrashLoss: what INFO and CONFIG say about each way of keeping data.
func TestCrashLoss(t *testing.T) {
	for name, c := range map[string]struct {
		opt        Options // Dir is a new folder
		loss, save string
		noFolder   bool
	}{
		"always":   {loss: "none"},
		"everysec": {opt: Options{Level: engine.LevelEverysec}, loss: "1s"},
		"never":    {opt: Options{Level: engine.LevelNever}, loss: "5s"},
		"interval": {opt: Options{SaveInterval: 90 * time.Second}, loss: "none", save: "90 1"},
		"fraction": {opt: Options{SaveInterval: 1500 * time.Millisecond}, loss: "none", save: "2 1"},
		"wal off":  {opt: Options{WALOff: true}, loss: "everything since the last snapshot, taken every 60s", save: "60 1"},
		"more": {opt: Options{WALOff: true, SaveInterval: 5 * time.Second},
			loss: "everything since the last snapshot, taken every 5s", save: "5 1"},
		"unasked": {opt: Options{WALOff: true, SaveInterval: -1},
			loss: "everything since the last snapshot, none is taken unasked"},
		"no folder": {noFolder: true, loss: "everything"},
	} {
		t.Run(name, func(t *testing.T) {
			if !c.noFolder {
				c.opt.Dir = t.TempDir()
			}
			s := start(t, c.opt)
			waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
			conn := dial(t, s)
			conn.check([]any{"save", c.save}, "CONFIG", "GET", "save")
			dir := c.opt.Dir
			conn.check([]any{"dir", dir}, "CONFIG", "GET", "dir")
			f := scrapeInfo(conn, "persistence")
			logged := onOff(dir != "" && !c.opt.WALOff)
			if f["crash_loss"] != c.loss || f["wal"] != logged || f["aof_enabled"] != strconv.Itoa(bit(logged == "on")) {
				t.Errorf("INFO: %v", f)
			}
		})
	}
}

// TestWithoutLog: snapshots alone keep the data, the last one is taken by a clean stop, and the log says what a crash takes.
func TestWithoutLog(t *testing.T) {
	var log logBuffer
	opt := Options{Dir: t.TempDir(), WALOff: true, SaveInterval: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := startLogged(t, opt)
	waitFor(t, "the log to say what a crash takes", func() bool { // the loader says it when it has told us that it is done
		return strings.Contains(log.String(), "everything since the last snapshot, taken every 3600s")
	})
	c := dial(t, s)
	c.check(status("OK"), "SET", "saved", "1")
	c.saveNow()
	c.check(status("OK"), "SET", "later", "2")
	c.check("none", "CLIENT", "DURABILITY")
	if f := scrapeInfo(c, "persistence"); f["rdb_changes_since_last_save"] != "1" || f["log_status"] != "" {
		t.Errorf("INFO: %v", f)
	}
	copied := copyOf(t, opt.Dir) // as a crash leaves it
	must(t, s.Shutdown(context.Background()))

	opt.Logger = nil
	dial(t, startLogged(t, opt)).check([]any{"1", "2"}, "MGET", "saved", "later")
	opt.Dir = copied
	c = dial(t, startLogged(t, opt))
	c.check([]any{"1", nil}, "MGET", "saved", "later")
	opt.Dir, opt.WALOff = copyOf(t, copied), false // and with a log again
	c = dial(t, startLogged(t, opt))
	c.check([]any{"1", nil}, "MGET", "saved", "later")
	c.check([]any{int64(1), int64(0)}, "WAITAOF", "1", "0", "0")
}

// copyOf is a copy of a data folder.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func TestSaveOptions(t *testing.T) {
	for name, opt := range map[string]Options{
		"retention without a log": {WALOff: true, RetainFor: time.Hour},
		"bytes without a log":     {WALOff: true, RetainBytes: 1 << 30},
		"negative time":           {RetainFor: -1},
		"negative bytes":          {RetainBytes: -1},
		"compression":             {Compression: 9},
	} {
		opt.Dir = filepath.Join(t.TempDir(), "data")
		if s, err := New(opt); err == nil || !strings.HasPrefix(err.Error(), "server: ") {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}
