package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// info reads fields of INFO persistence.
func info(t *testing.T, c *respConn) map[string]string {
	t.Helper()
	return infoOf(t, c, "persistence")
}

// infoOf reads fields of a section of INFO.
func infoOf(t *testing.T, c *respConn, section string) map[string]string {
	t.Helper()
	text, _ := c.must(t, "INFO", section).(string)
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// isReply reports whether an error is what the server has answered.
func isReply(err error) bool {
	var reply respError
	return errors.As(err, &reply)
}

// saved waits until so many snapshots have been taken in a server's life, and none is under way.
func saved(t *testing.T, c *respConn, least int) {
	t.Helper()
	eventually(t, callLimit, fmt.Sprintf("%d snapshots were taken", least), func() bool {
		f := info(t, c)
		n, err := strconv.Atoi(f["rdb_saves"])
		if err != nil || f["rdb_last_bgsave_status"] != "ok" {
			t.Fatalf("INFO persistence: %v", f)
		}
		return n >= least && f["rdb_bgsave_in_progress"] == "0"
	})
}

// TestBackgroundSaveAndKill: snapshots are taken by BGSAVE while clients write, old log goes, the server is killed, and
// everything that was acknowledged or seen is there.
func TestBackgroundSaveAndKill(t *testing.T) {
	rng := randomness(t)
	args := []string{"--dir", filepath.Join(t.TempDir(), "data"), "--log-file-size", "64KiB"}
	c := newCrowd()
	for range 3 {
		p := start(t, args...)
		c.verify(t, p)
		conn := dialResp(t, p, "")
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() { stopped <- saveInBackground(conn, stop) }()
		c.work(t, p, rng, true, longestRun)
		close(stop)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	}
	p := start(t, args...)
	c.verify(t, p)
	conn := dialResp(t, p, "")
	conn.must(t, "SAVE")
	p.kill(t)
	if files := logFiles(t, args[1]); strings.HasSuffix(files[0], "0000000001.log") {
		t.Errorf("the log that snapshots have made superfluous is still there: %v", files)
	}
	p = start(t, args...)
	c.verify(t, p)
	if f := info(t, dialResp(t, p, "")); f["recovery_snapshot_keys"] != f["recovery_keys"] || f["recovery_snapshot_lsn"] == "0" {
		t.Errorf("the snapshot was not what the store was loaded from: %v", f)
	}
	c.report(t)
}

// saveInBackground asks for snapshots until the server is gone, which is no error, or it is told to stop.
func saveInBackground(c *respConn, stop <-chan struct{}) error {
	for {
		reply, err := c.do("BGSAVE", "SCHEDULE")
		switch {
		case err != nil && isReply(err):
			return fmt.Errorf("BGSAVE SCHEDULE was answered with %w", err)
		case err != nil:
			return nil
		case reply != "Background saving started" && reply != "Background saving scheduled":
			return fmt.Errorf("BGSAVE SCHEDULE was answered with %v", reply)
		}
		select {
		case <-stop:
			return nil
		default:
		}
	}
}

// TestSaveInterval: a snapshot is taken unasked when something has changed, and none when nothing has.
func TestSaveInterval(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--save-interval", "1")
	c := dialResp(t, p, "")
	if got := fmt.Sprint(c.must(t, "CONFIG", "GET", "save")); got != "[save 1 1]" {
		t.Errorf("CONFIG GET save: %s", got)
	}
	c.must(t, "SET", "k", "v")
	saved(t, c, 1)
	before := info(t, c)
	began := time.Now()
	eventually(t, callLimit, "two intervals are over", func() bool { return time.Since(began) > 2*time.Second })
	if f := info(t, c); f["rdb_saves"] != before["rdb_saves"] || f["rdb_changes_since_last_save"] != "0" {
		t.Errorf("nothing was written, and snapshots were taken: %v, before %v", f, before)
	}
	c.must(t, "SET", "k", "w")
	saved(t, c, 2)
}

// TestSaveWithoutLog: at --wal off what SAVE has acknowledged survives a kill, and a clean stop loses nothing. What a crash
// takes is said in the log and in INFO.
func TestSaveWithoutLog(t *testing.T) {
	args := []string{"--dir", filepath.Join(t.TempDir(), "data"), "--wal", "off", "--save-interval", "1h"}
	p := start(t, args...)
	const loss = "everything since the last snapshot, taken every 3600s"
	if !strings.Contains(p.logged(), loss) {
		t.Errorf("the log does not say what a crash takes:\n%s", p.logged())
	}
	c := dialResp(t, p, "")
	for i := range 1000 {
		c.must(t, "SET", fmt.Sprint("key:", i), fmt.Sprint(i))
	}
	f := info(t, c)
	for name, want := range map[string]string{"wal": "off", "crash_loss": loss, "rdb_changes_since_last_save": "1000", "aof_enabled": "0"} {
		if f[name] != want {
			t.Errorf("%s is %q, want %q", name, f[name], want)
		}
	}
	c.must(t, "SAVE")
	c.must(t, "SET", "key:0", "too late")
	c.must(t, "SET", "late", "v")
	p.kill(t)

	p = start(t, args...)
	c = dialResp(t, p, "")
	if n := c.must(t, "DBSIZE"); n != int64(1000) {
		t.Errorf("after the kill there are %v keys, want those that were saved", n)
	}
	for i := range 1000 {
		if v := c.must(t, "GET", fmt.Sprint("key:", i)); v != fmt.Sprint(i) {
			t.Fatalf("after the kill key:%d is %v", i, v)
		}
	}
	if f := info(t, c); f["recovery_snapshot_keys"] != "1000" || f["recovery_clean_stop"] != "0" {
		t.Errorf("the recovery: %v", f)
	}
	c.must(t, "SET", "last", "v")
	p.stop(t)
	if v := dialResp(t, start(t, args...), "").must(t, "GET", "last"); v != "v" {
		t.Errorf("after a clean stop the last write is %v", v)
	}
}

// TestSnapshotOnFullDisk: a snapshot finds no room. That is an error for who has asked and a state in INFO; writes go on,
// nothing is lost, and with room there is the next one.
func TestSnapshotOnFullDisk(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "data")
	args := []string{"--dir", dir, "--log-file-size", "1MiB", "--snapshot-compression", "none"}
	p := start(t, args...)
	c := dialResp(t, p, "")
	value := strings.Repeat("v", 8<<10)
	const keys = 500 // 4 MB, which the log has too
	for i := range keys {
		c.must(t, "SET", fmt.Sprint("key:", i), value)
	}
	heal := ballast(t, disk, freeBytes(t, disk)-5<<19) // 2.5 MiB are left
	began := c.must(t, "LASTSAVE")
	if _, err := c.do("SAVE"); !isReply(err) || !strings.Contains(err.Error(), "the snapshot was not taken: ") {
		t.Errorf("SAVE on a full disk was answered with %v", err)
	}
	f := info(t, c)
	if f["rdb_last_bgsave_status"] != "err" || f["snapshot_error"] == "" || f["rdb_saves"] != "0" || f["snapshot_files"] != "0" ||
		f["log_status"] != "ok" {
		t.Errorf("INFO after a SAVE that failed: %v", f)
	}
	if again := c.must(t, "LASTSAVE"); again != began {
		t.Errorf("LASTSAVE was %v and is %v, and no snapshot was taken", began, again)
	}
	c.must(t, "SET", "after", "v")
	heal()
	eventually(t, callLimit, "a snapshot is taken when there is room", func() bool {
		_, err := c.do("SAVE")
		return err == nil
	})
	if f := info(t, c); f["rdb_last_bgsave_status"] != "ok" || f["snapshot_keys"] != strconv.Itoa(keys+1) {
		t.Errorf("INFO after the SAVE that went well: %v", f)
	}
	p.kill(t)
	c = dialResp(t, start(t, args...), "")
	if n := c.must(t, "DBSIZE"); n != int64(keys+1) {
		t.Errorf("after a restart there are %v keys of %d", n, keys+1)
	}
}

// freeBytes is how much a file system still takes.
func freeBytes(t *testing.T, dir string) int {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatalf("statfs %s: %v", dir, err)
	}
	return int(st.Bavail) * int(st.Bsize)
}

// TestLastSave as go-redis and redis-cli see it.
func TestLastSave(t *testing.T) {
	p := start(t)
	cli := lookUp(t, "redis-cli")
	host, port, _ := strings.Cut(p.addr, ":")
	for _, protocol := range []int{2, 3} {
		ctx, c := dialRedis(t, p, protocol)
		began, err := c.LastSave(ctx).Result()
		if err != nil || began > time.Now().Unix() || time.Since(time.Unix(began, 0)) > time.Hour {
			t.Errorf("LASTSAVE: %d, %v", began, err)
		}
		before := time.Now().Unix()
		ok, err := c.Save(ctx).Result()
		check(t, "SAVE", ok, err, "OK")
		last, err := c.LastSave(ctx).Result()
		check(t, "LASTSAVE is the time of the SAVE", last >= before && last <= time.Now().Unix(), err, true)
		started, err := c.BgSave(ctx).Result()
		check(t, "BGSAVE", started, err, "Background saving started")
		eventually(t, callLimit, "the end of BGSAVE", func() bool {
			text, err := c.Info(ctx, "persistence").Result()
			return err == nil && strings.Contains(text, "rdb_bgsave_in_progress:0\r\n")
		})
		last, err = c.LastSave(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		if r := command(t, "", cli, "-h", host, "-p", port, "-"+strconv.Itoa(protocol), "lastsave"); r.stdout != fmt.Sprintln(last) {
			t.Errorf("redis-cli lastsave printed %q, stderr %q; want %d", r.stdout, r.stderr, last)
		}
		if r := command(t, "", cli, "-h", host, "-p", port, "save"); r.stdout != "OK\n" {
			t.Errorf("redis-cli save printed %q, stderr %q", r.stdout, r.stderr)
		}
	}
}
