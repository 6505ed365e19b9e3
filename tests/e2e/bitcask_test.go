package e2e

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

// The tests in this file are about what mode bitcask alone has: data files, merges, hints. That it behaves like mode memory
// otherwise is shown by the others, see mode_test.go.

// startBitcask starts a server in mode bitcask that merges only when it is asked to.
func startBitcask(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	own := []string{"--dir", dir, "--mode", "bitcask", "--max-file-size", "64KiB"}
	p := start(t, append(own, args...)...)
	// Requests about data are answered a moment before everything else is.
	c := dialResp(t, p, "")
	eventually(t, startLimit, "INFO says that nothing is loading", func() bool { return info(t, c)["loading"] == "0" })
	return p
}

// bitcaskField is a number in INFO bitcask.
func bitcaskField(t *testing.T, c *respConn, name string) uint64 {
	t.Helper()
	text := infoOf(t, c, "bitcask")[name]
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s in INFO bitcask is %q", name, text)
	}
	return n
}

// bulky is a value that no other key has, of which few fill a file.
func bulky(key string) string {
	return "value of " + key + " " + strings.Repeat(key+".", 6000/(len(key)+1))
}

// killsWhileMerging is how often the server is killed that is asked for a merge all the time.
const killsWhileMerging = 6

// TestBitcaskKillWhileMerging: clients work, files rotate, merges are under way all the time, the server is killed again and
// again, and what was acknowledged or seen is there afterwards; what was overwritten, deleted or has expired is not.
func TestBitcaskKillWhileMerging(t *testing.T) {
	rng := randomness(t)
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"--dir", dir, "--mode", "bitcask", "--max-file-size", "2MiB", "--merge-dead-percent", "1"}
	c := newCrowd()
	merged := map[string]bool{} // files that merges have written
	for i := range max(2, killsWhileMerging*percent(t)/100) {
		level := []string{"always", "everysec", "interval=20ms"}[i%3]
		for i > 0 && rng.IntN(3) == 0 {
			killWhileStarting(t, rng, args)
		}
		p := start(t, append(args, "--sync", level)...)
		c.verify(t, p)
		asking := dialResp(t, p, "")
		ended := make(chan error, 1)
		go func() { ended <- mergeUntilKilled(asking) }()
		c.workUntil(t, p, rng, i%2 == 0, time.Duration(rng.Int64N(int64(longestRun))), func() bool { return mergesIn(t, dir, merged) })
		if err := <-ended; isReply(err) {
			t.Errorf("MERGE: %v\n%s", err, p.logged())
		}
		if c.failed() {
			break
		}
	}
	p := start(t, args...)
	c.verify(t, p)
	p.stop(t)
	c.verify(t, start(t, args...)) // after a clean stop
	c.report(t)
	t.Logf("%d files of merges seen, %d operations acknowledged", len(merged), c.acked.Load())
}

// mergeUntilKilled asks for one merge after the other; a server that has just started may be loading still.
func mergeUntilKilled(c *respConn) error {
	for {
		if _, err := c.do("MERGE"); err != nil && !strings.HasPrefix(err.Error(), "LOADING ") {
			return err
		}
	}
}

// mergesIn reports whether there is a file in a folder that a merge has written, or is writing, and that was not seen before.
func mergesIn(t *testing.T, dir string, seen map[string]bool) (found bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		found = found || !seen[name]
		seen[name] = true
	}
	return found
}

// TestBitcaskNothingComesBack: what has gone stays gone, whatever files its older records lie in, when these are merged
// without the ones that say that it has gone.
func TestBitcaskNothingComesBack(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, c *respConn)
		want  map[string]any // what a GET answers afterwards
	}{
		"expired over an older value": {func(t *testing.T, c *respConn) {
			c.must(t, "SET", "k", bulky("old"))
			c.must(t, "MERGE")
			c.must(t, "SET", "k", bulky("new"), "PX", "1")
			eventually(t, callLimit, "the key has expired", func() bool { return c.must(t, "EXISTS", "k") == int64(0) })
		}, map[string]any{"k": nil}},
		"FLUSHALL": {func(t *testing.T, c *respConn) {
			for i := range 50 {
				key := fmt.Sprint("k", i)
				c.must(t, "SET", key, bulky(key))
			}
			c.must(t, "MERGE")
			c.must(t, "FLUSHALL")
			c.must(t, "SET", "k7", "after")
		}, map[string]any{"k0": nil, "k7": "after", "k49": nil}},
		"churn beside a cold key": {func(t *testing.T, c *respConn) {
			c.must(t, "SET", "cold", bulky("cold"))
			for i := range 300 {
				key := fmt.Sprint("k", i%5)
				c.must(t, "SET", key, bulky(key))
				c.must(t, "DEL", key)
			}
		}, map[string]any{"cold": bulky("cold"), "k0": nil, "k4": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			p := startBitcask(t, dir, "--merge-dead-percent", "1")
			c := dialResp(t, p, "")
			test.spoil(t, c)
			for _, end := range []func(*testing.T){p.kill, nil} {
				c.must(t, "MERGE")
				for key, want := range test.want {
					if got := c.must(t, "GET", key); got != want {
						t.Errorf("%s is %.40v, want %.40v", key, got, want)
					}
				}
				if end != nil {
					end(t)
					p = startBitcask(t, dir, "--merge-dead-percent", "1")
					c = dialResp(t, p, "")
				}
			}
		})
	}
}

// TestBitcaskGivesSpaceBack: when everything has been overwritten ten times, a merge leaves little more on the disk than what
// is live.
func TestBitcaskGivesSpaceBack(t *testing.T) {
	const keys, rounds = 1000, 10
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--mode", "bitcask", "--max-file-size", "256KiB", "--merge", "off", "--sync", "never")
	c := dialResp(t, p, "")
	for round := range rounds {
		for i := range keys {
			c.must(t, "SET", fmt.Sprint("k", i), bulky(fmt.Sprint(i, ":", round)))
		}
	}
	before := diskUse(t, dir)
	c.must(t, "MERGE")
	live := bitcaskField(t, c, "live_bytes")
	after := uint64(0)
	eventually(t, callLimit, "what was merged has gone", func() bool {
		after = diskUse(t, dir)
		return after <= live*6/5
	})
	t.Logf("%d bytes live, %d on disk after the merge, %d before; write amplification %s", live, after, before,
		infoOf(t, c, "bitcask")["write_amplification"])
	if live < keys*6000 || before < rounds*keys*6000 {
		t.Errorf("%d bytes live of %d on disk is less than was written", live, before)
	}
	for i := range keys {
		if got := c.must(t, "GET", fmt.Sprint("k", i)); got != bulky(fmt.Sprint(i, ":", rounds-1)) {
			t.Fatalf("k%d is %.40v", i, got)
		}
	}
}

// diskUse is what the files of a folder take on the disk. One that is gone between two looks takes nothing.
func diskUse(t *testing.T, dir string) (sum uint64) {
	t.Helper()
	counted := map[uint64]bool{} // a snapshot's files are those of the folder under another name
	for _, name := range namesBelow(t, dir) {
		var st syscall.Stat_t
		switch err := syscall.Lstat(name, &st); {
		case errors.Is(err, syscall.ENOENT):
			continue
		case err != nil:
			t.Fatal(err)
		}
		if !counted[st.Ino] {
			counted[st.Ino] = true
			sum += uint64(st.Blocks) * 512
		}
	}
	return sum
}

// TestBitcaskOneReadPerGet: a GET of a value that lies in a file is one pread, and one of a key that is not there none.
func TestBitcaskOneReadPerGet(t *testing.T) {
	p := startBitcask(t, filepath.Join(t.TempDir(), "data"), "--merge", "off")
	c := dialResp(t, p, "")
	const keys = 40
	for i := range keys {
		key := fmt.Sprint("k", i)
		c.must(t, "SET", key, bulky(key))
	}
	c.must(t, "MERGE") // what was written to is complete now, and nothing else reads it
	tr := p.tamper(t, "pread64")
	for i := range keys {
		key := fmt.Sprint("k", i)
		if got := c.must(t, "GET", key); got != bulky(key) {
			t.Fatalf("%s is %.40v", key, got)
		}
		c.must(t, "GET", "missing")
	}
	tr.detach(t)
	if n := strings.Count(mustRead(t, tr.trace), "pread64("); n != keys {
		t.Errorf("%d preads for %d values that are there and as many that aren't", n, keys)
	}
}

// spoil flips a bit of the value of a key in the data files; it must be in one of them, once.
func spoil(t *testing.T, dir, key string) (file string) {
	t.Helper()
	for _, pattern := range []string{"*.log", "*.data"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if at := bytes.Index([]byte(mustRead(t, name)), []byte(bulky(key))); at >= 0 {
				flipBit(t, name, int64(at)+100)
				return filepath.Base(name)
			}
		}
	}
	t.Fatalf("the value of %s is in no file", key)
	return ""
}

// flipBit changes a file that a server may be reading.
func flipBit(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err = f.ReadAt(b, at); err == nil {
		b[0] ^= 4
		_, err = f.WriteAt(b, at)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestBitcaskDamagedRecord: a record that is damaged is an error for its key in both protocols, and never a value. Everything
// else goes on, whoever watches the server learns of it, and a new value heals the key.
func TestBitcaskDamagedRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"--merge", "off", "--http", "127.0.0.1:0"}
	p := startBitcask(t, dir, args...)
	c := dialResp(t, p, "")
	c.must(t, "MSET", "good", bulky("good"), "bad", bulky("bad"))
	c.must(t, "MERGE")
	file := spoil(t, dir, "bad")
	for range 2 {
		if v, err := c.do("GET", "bad"); !isReply(err) || !strings.HasPrefix(err.Error(), "DAMAGED ") {
			t.Errorf("GET of a damaged value: %.40v, %v", v, err)
		}
		if v, err := c.do("MGET", "good", "bad"); !isReply(err) {
			t.Errorf("MGET with a damaged value: %.40v, %v", v, err)
		}
		frames := dialNBP(t, p)
		id, err := frames.get(0, "bad")
		if err != nil {
			t.Fatal(err)
		}
		isStatus(t, "a binary GET of a damaged value", frames, id, proto.ECORRUPT)
		c = dialResp(t, p, "")
		if v := c.must(t, "GET", "good"); v != bulky("good") {
			t.Errorf("the other value is %.40v", v)
		}
		watched(t, p, c)
		p.stop(t)
		checkNames(t, dir, file)
		p = startBitcask(t, dir, args...)
		c = dialResp(t, p, "")
	}
	c.must(t, "SET", "bad", "healed")
	if v := c.must(t, "GET", "bad"); v != "healed" {
		t.Errorf("after a SET the value is %.40v", v)
	}
}

// watched demands that whoever watches a server learns that a file of its is damaged.
func watched(t *testing.T, p *process, c *respConn) {
	t.Helper()
	eventually(t, callLimit, "INFO counts the damaged file", func() bool { return bitcaskField(t, c, "damaged_files") == 1 })
	if n := bitcaskField(t, c, "damaged_reads"); n == 0 {
		t.Error("INFO counts no damaged read")
	}
	if code, body := p.page(t, "/readyz"); code != 503 || !strings.Contains(body, `"degraded"`) || !strings.Contains(body, "a data file is damaged") {
		t.Errorf("/readyz answers %d %s", code, body)
	}
	if n := p.metric(t, "nitrokv_data_damaged_files"); n != "1" {
		t.Errorf("/metrics counts %q damaged files", n)
	}
	eventually(t, callLimit, "the log has a line about it", func() bool { return strings.Contains(p.logged(), "a data file is damaged") })
}

// checkNames demands that nitrokv check finds the damage in a folder, and names the file.
func checkNames(t *testing.T, dir, file string) {
	t.Helper()
	r := command(t, "", binary, "check", dir)
	if r.status != 1 || !regexp.MustCompile(`DAMAGE: .*`+regexp.QuoteMeta(file)).MatchString(r.stdout) {
		t.Errorf("nitrokv check: %+v", r)
	}
}

// TestBitcaskHints: a start uses hints, and makes those anew that are missing, damaged or another file's. What is served is
// the same.
func TestBitcaskHints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := startBitcask(t, dir, "--merge", "off")
	c := dialResp(t, p, "")
	const keys = 60
	for i := range keys {
		key := fmt.Sprint("k", i)
		c.must(t, "SET", key, bulky(key))
	}
	c.must(t, "MERGE")
	hints := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*.hint"))
		if err != nil || len(names) < 4 {
			t.Fatalf("hints: %q, %v", names, err)
		}
		return names
	}
	hints()
	p.stop(t)
	for _, test := range []struct {
		name    string
		spoil   func()
		rebuilt uint64
	}{
		{"as they are", func() {}, 0},
		{"a missing one", func() { remove(t, hints()[0]) }, 1},
		{"a damaged one", func() { flipBit(t, hints()[1], 150) }, 1},
		{"one of another file", func() {
			names := hints()
			if err := os.WriteFile(names[2], []byte(mustRead(t, names[3])), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 1},
	} {
		test.spoil()
		p := startBitcask(t, dir, "--merge", "off")
		c := dialResp(t, p, "")
		eventually(t, callLimit, "INFO tells of the hints", func() bool { return bitcaskField(t, c, "hints_loaded") > 0 })
		if rebuilt := bitcaskField(t, c, "hints_rebuilt"); rebuilt != test.rebuilt {
			t.Errorf("%s: %d hints were rebuilt, want %d", test.name, rebuilt, test.rebuilt)
		}
		for i := range keys {
			key := fmt.Sprint("k", i)
			if got := c.must(t, "GET", key); got != bulky(key) {
				t.Errorf("%s: %s is %.40v", test.name, key, got)
			}
		}
		if n := c.must(t, "DBSIZE"); n != int64(keys) {
			t.Errorf("%s: %v keys", test.name, n)
		}
		c.must(t, "MERGE") // makes the hints that are missing
		p.stop(t)
	}
}

// killsWhileLinking is how often the server is killed that takes snapshots all the time.
const killsWhileLinking = 6

// TestBitcaskKillWhileSaving: snapshots are taken all the time, while clients work and merges are under way, and the server is
// killed again and again. What is left is sound, the newest snapshot included, and can be restored elsewhere.
func TestBitcaskKillWhileSaving(t *testing.T) {
	rng := randomness(t)
	dir := filepath.Join(t.TempDir(), "data")
	c := newCrowd()
	taken := 0
	for i := range max(2, killsWhileLinking*percent(t)/100) {
		args := []string{"--dir", dir, "--mode", "bitcask", "--max-file-size", "1MiB", "--merge-dead-percent", "1",
			"--sync", []string{"always", "everysec", "never"}[i%3], "--log-retention", []string{"off", "1h", "1s", "2MiB"}[rng.IntN(4)]}
		for i > 0 && rng.IntN(3) == 0 {
			killWhileStarting(t, rng, args)
		}
		p := start(t, args...)
		c.verify(t, p)
		taken += c.workAndSave(t, p, rng, i%2 == 0)
		if c.failed() {
			break
		}
	}
	if r := command(t, "", binary, "check", dir); r.status != 0 {
		t.Errorf("check after the last kill ended with status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	for _, path := range snapshotsIn(t, dir) {
		if r := command(t, "", binary, "backup", "verify", path); r.status != 0 {
			t.Errorf("%s is not sound: %s%s", path, r.stdout, r.stderr)
		}
	}
	c.verify(t, start(t, "--dir", restoredBeside(t, dir)))
	c.verify(t, start(t, "--dir", dir))
	c.report(t)
	t.Logf("%d snapshots, %d operations acknowledged", taken, c.acked.Load())
}

// snapshotsIn lists the snapshots of a folder that are complete; there is one, and a crash may leave the one before it as well.
func snapshotsIn(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "snapshot-*", "MANIFEST"))
	if err != nil || len(paths) == 0 || len(paths) > 2 {
		t.Fatalf("snapshots: %q, %v", paths, err)
	}
	for i, path := range paths {
		paths[i] = filepath.Dir(path)
	}
	return paths
}

// TestBitcaskBackupRestore: a backup, the folder's past and a copy of the snapshot's folder all show the same moment, after a kill,
// merges, and a deletion of everything; tar makes a folder of the backup that can be served.
func TestBitcaskBackupRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"--log-retention", "1h", "--sync", "never"}
	p := startBitcask(t, dir, args...)
	c := dialResp(t, p, "")
	const keys = 60
	for range 3 {
		for i := range keys {
			key := fmt.Sprint("k", i)
			c.must(t, "SET", key, bulky(key))
		}
	}
	c.must(t, "MERGE")
	c.must(t, "SET", "expires", "v", "EX", "3600")
	backup := filepath.Join(t.TempDir(), "monday")
	nitrokv(t, 0, "backup", backup, "--addr", p.addr)
	verified := nitrokv(t, 0, "backup", "verify", backup).stdout
	lsn := backupLSN.FindStringSubmatch(verified)[1]
	copied := filepath.Join(t.TempDir(), "copied")
	if err := os.CopyFS(copied, os.DirFS(snapshotsIn(t, dir)[0])); err != nil {
		t.Fatal(err)
	}
	c.must(t, "SET", "later", "v")
	c.must(t, "FLUSHALL")
	c.must(t, "MERGE")
	c.must(t, "SAVE")
	p.kill(t)

	extracted := t.TempDir()
	if r := command(t, "", "tar", "xf", backup, "-C", extracted); r.status != 0 {
		t.Fatalf("tar: %+v", r)
	}
	inner, err := filepath.Glob(filepath.Join(extracted, "snapshot-*"))
	if err != nil || len(inner) != 1 {
		t.Fatalf("tar makes %q, %v", inner, err)
	}
	want := ""
	for name, from := range map[string][]string{"backup": {backup}, "past": {"--from", dir, "--to-lsn", lsn}, "copy": {"--from", copied},
		"tar": {"--from", inner[0]}} {
		to := filepath.Join(t.TempDir(), "restored")
		nitrokv(t, 0, append([]string{"restore", "--dir", to}, from...)...)
		got := dumped(t, to)
		if n := strings.Count(got, "\n"); n != keys+1 || strings.Contains(got, "later") {
			t.Errorf("%s: %d keys, want %d", name, n, keys+1)
		}
		if want = cmp.Or(want, got); got != want {
			t.Errorf("%s holds something else than another one", name)
		}
	}
	q := start(t, "--dir", inner[0], "--mode", "bitcask")
	served := dialResp(t, q, "")
	for i := range keys {
		if key := fmt.Sprint("k", i); served.must(t, "GET", key) != bulky(key) {
			t.Errorf("%s is another one in the folder that tar has made", key)
		}
	}
	p = startBitcask(t, dir, args...)
	if n := dialResp(t, p, "").must(t, "DBSIZE"); n != int64(0) {
		t.Errorf("%v keys after the kill", n)
	}
}
