package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nitrokv runs a verb that may take long, and demands its status.
func nitrokv(t *testing.T, status int, args ...string) result {
	t.Helper()
	r := transfer(t, nil, args...)
	if r.status != status {
		t.Fatalf("%q: status %d, want %d\n%.500s%s", args, r.status, status, r.stdout, r.stderr)
	}
	return r
}

// dumped is what a folder holds, in an order that doesn't depend on its segments.
func dumped(t *testing.T, dir string) string {
	t.Helper()
	lines := strings.SplitAfter(nitrokv(t, 0, "dump", "--dir", dir).stdout, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// couples write pairs of keys in one MSET each, always the same number under both, until they are stopped.
type couples struct {
	acked [4]atomic.Int64 // the last number of each writer
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

func startCouples(t *testing.T, p *process) *couples {
	t.Helper()
	c := &couples{}
	ctx, cancel := context.WithCancel(t.Context())
	c.stop = cancel
	for w := range c.acked {
		conn := dialResp(t, p, "")
		if err := conn.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.wg.Go(func() {
			for n := int64(1); ctx.Err() == nil; n++ {
				text := fmt.Sprint(n)
				reply, err := conn.do("MSET", fmt.Sprint("left", w), text, fmt.Sprint("filler", w, n%500), strings.Repeat(text, 20), fmt.Sprint("right", w), text)
				if err != nil || reply != "OK" {
					t.Errorf("writer %d: %v, %v", w, reply, err)
					return
				}
				c.acked[w].Store(n)
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

func (c *couples) end() {
	c.stop()
	c.wg.Wait()
}

// written are the numbers that have been acknowledged so far.
func (c *couples) written() (n []int64) {
	for w := range c.acked {
		n = append(n, c.acked[w].Load())
	}
	return n
}

// mustShow demands that a server shows both of each pair the same, and a number from what was acknowledged before a snapshot
// to what could have been begun after it.
func (c *couples) mustShow(t *testing.T, p *process, before, after []int64) {
	t.Helper()
	conn := dialResp(t, p, "")
	for w := range c.acked {
		left, right := conn.must(t, "GET", fmt.Sprint("left", w)), conn.must(t, "GET", fmt.Sprint("right", w))
		text, _ := left.(string)
		n, err := strconv.ParseInt(text, 10, 64)
		if left != right || err != nil || n < before[w] || n > after[w]+1 {
			t.Errorf("pair %d is %v and %v; want equal numbers from %d to %d", w, left, right, before[w], after[w]+1)
		}
	}
}

var backupLSN = regexp.MustCompile(`LSN (\d+) of `)

// TestBackupWhileWriting: a backup shows one moment, between its beginning and its end, with no batch torn; it is verified,
// restored and served; and it is what the log says of that LSN, too.
func TestBackupWhileWriting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--log-retention", "1h", "--log-file-size", "1MiB", "--sync", "never")
	writers := startCouples(t, p)
	eventually(t, startLimit, "everybody has written", func() bool { return !slices.Contains(writers.written(), 0) })
	type taken struct {
		file, lsn     string
		before, after []int64
	}
	var all []taken
	for i := range 3 {
		b := taken{file: filepath.Join(t.TempDir(), "backup"), before: writers.written()}
		if i == 1 { // through a pipe, as to another machine
			r := nitrokv(t, 0, "backup", "-", "--addr", p.addr)
			if err := os.WriteFile(b.file, []byte(r.stdout), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			nitrokv(t, 0, "backup", b.file, "--addr", p.addr)
		}
		b.after = writers.written()
		b.lsn = backupLSN.FindStringSubmatch(nitrokv(t, 0, "backup", "verify", b.file).stdout)[1]
		all = append(all, b)
	}
	writers.end()
	p.stop(t)
	for _, b := range all {
		restored, rewound := filepath.Join(t.TempDir(), "restored"), filepath.Join(t.TempDir(), "rewound")
		nitrokv(t, 0, "restore", b.file, "--dir", restored)
		nitrokv(t, 0, "restore", "--from", dir, "--to-lsn", b.lsn, "--dir", rewound)
		if dumped(t, restored) != dumped(t, rewound) {
			t.Errorf("the backup of LSN %s and the log up to there hold different things", b.lsn)
		}
		q := start(t, "--dir", restored)
		writers.mustShow(t, q, b.before, b.after)
		q.stop(t)
	}
}

// TestBackupWithoutALog: --wal off is backed up alike.
func TestBackupWithoutALog(t *testing.T) {
	p := start(t, "--wal", "off", "--save-interval", "0")
	writers := startCouples(t, p)
	eventually(t, startLimit, "everybody has written", func() bool { return !slices.Contains(writers.written(), 0) })
	before := writers.written()
	file, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
	nitrokv(t, 0, "backup", file, "--addr", p.addr)
	after := writers.written()
	writers.end()
	nitrokv(t, 0, "restore", file, "--dir", restored)
	for _, wal := range []string{"off", "on"} {
		q := start(t, "--dir", restored, "--wal", wal)
		writers.mustShow(t, q, before, after)
		q.stop(t)
	}
}

// TestBackupOfManyKeys: every key, byte and expiry is there, in each compression.
func TestBackupOfManyKeys(t *testing.T) {
	c := randomContent(randomness(t), 20_000)
	for _, compression := range []string{"zstd", "lz4", "none"} {
		p := start(t, "--snapshot-compression", compression)
		_, cl := dial(t, p)
		c.store(t, cl)
		file, restored := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "restored")
		nitrokv(t, 0, "backup", file, "--addr", p.addr)
		nitrokv(t, 0, "restore", file, "--dir", restored)
		_, again := dial(t, start(t, "--dir", restored, "--segments", "16"))
		c.mustBeIn(t, again)
	}
}

// TestFlippedBackup: a flip anywhere is found, with file and offset; nothing is restored where a record is damaged.
func TestFlippedBackup(t *testing.T) {
	p := start(t)
	c := dialResp(t, p, "never")
	for i := range 3000 {
		c.must(t, "SET", fmt.Sprint("key", i), fmt.Sprint("value", i))
	}
	file := filepath.Join(t.TempDir(), "backup")
	nitrokv(t, 0, "backup", file, "--addr", p.addr)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rng := randomness(t)
	record := max(bytes.Index(good, []byte("value1500")), 0) // 0: they are compressed, and any byte will do
	for i := range 21 {
		at, bit := rng.IntN(len(good)), byte(1)<<rng.IntN(8)
		if i == 20 && record > 0 {
			at = record
		}
		bad := bytes.Clone(good)
		bad[at] ^= bit
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r := nitrokv(t, 1, "backup", "verify", file)
		if !strings.Contains(r.stderr, file) || !regexp.MustCompile(`offset \d+`).MatchString(r.stderr) {
			t.Errorf("bit %#x of byte %d of %d is flipped: %q", bit, at, len(good), r.stderr)
		}
	}
	restored := filepath.Join(t.TempDir(), "restored")
	nitrokv(t, 1, "restore", file, "--dir", restored)
	if r := nitrokv(t, 2, "get", "key0", "--dir", restored); !strings.Contains(r.stderr, "no store") {
		t.Errorf("after a restore that has failed: %q", r.stderr)
	}
}

// TestBackupOfADyingServer: what was written before the server died is called no backup.
func TestBackupOfADyingServer(t *testing.T) {
	p := start(t, "--snapshot-compression", "none")
	c := dialResp(t, p, "never")
	for i := range 8 {
		c.must(t, "SET", fmt.Sprint("large", i), string(bytes.Repeat([]byte{byte(i)}, 1<<20)))
	}
	// A pipe that nobody empties keeps the backup from ending.
	cmd := exec.CommandContext(t.Context(), binary, "backup", "-", "--addr", p.addr)
	cmd.Env = environ()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.kill(t)
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the status is looked at below
	if status := cmd.ProcessState.ExitCode(); status != 2 || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), "no backup") {
		t.Errorf("the server dies: status %d, %q", status, stderr.String())
	}
}

// TestPointInTime: at every LSN the store is what it was, batches whole or not at all; at the time of a moment it is that
// moment or a later one of the same millisecond.
func TestPointInTime(t *testing.T) {
	const batches, size = 8, 3
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir, "--log-retention", "10GiB")
	c := dialResp(t, p, "always")
	for n := 1; n <= batches; n++ {
		text := fmt.Sprint(n)
		c.must(t, "MSET", "a", text, "b", text, "c", text)
		if n == batches/2 {
			c.must(t, "SAVE") // so that some moments lie before the newest snapshot
		}
	}
	p.stop(t)
	reached := regexp.MustCompile(`: (?:LSN (\d+) of (\S+)|the empty store)`)
	at := func(args ...string) (lsn int, when string) {
		t.Helper()
		to := filepath.Join(t.TempDir(), "restored")
		m := reached.FindStringSubmatch(nitrokv(t, 0, append([]string{"restore", "--from", dir, "--dir", to}, args...)...).stdout)
		if m == nil {
			t.Fatalf("%q doesn't say what it has reached", args)
		}
		lsn, _ = strconv.Atoi(m[1]) // empty: 0
		want := fmt.Sprint(lsn / size)
		if lsn == 0 {
			want = ""
		}
		for _, key := range []string{"a", "b", "c"} {
			if r := command(t, "", binary, "get", key, "--dir", to); r.stdout != want {
				t.Errorf("%q: %s is %q, want %q; %s", args, key, r.stdout, want, r.stderr)
			}
		}
		return lsn, m[2]
	}
	for n := 1; n <= batches*size; n++ {
		lsn, when := at("--to-lsn", fmt.Sprint(n))
		if lsn != n/size*size {
			t.Errorf("to LSN %d: reached %d", n, lsn)
		}
		if n%size == 0 && n%(3*size) == 0 {
			if later, same := at("--to-time", when); later < lsn || same < when {
				t.Errorf("to %s, the time of LSN %d: reached LSN %d of %s", when, lsn, later, same)
			}
		}
	}
	if lsn, _ := at(); lsn != batches*size {
		t.Errorf("the newest: reached %d", lsn)
	}
	outside := nitrokv(t, 2, "restore", "--from", dir, "--to-lsn", "1000000", "--dir", filepath.Join(t.TempDir(), "none"))
	if !strings.Contains(outside.stderr, fmt.Sprintf("LSN %d of ", batches*size)) {
		t.Errorf("outside of the window: %q", outside.stderr)
	}
}

// TestFolderCommands: a folder is read and written without a server, but never beside one; both see what the other did.
func TestFolderCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := start(t, "--dir", dir)
	dialResp(t, p, "").must(t, "SET", "of the server", "1")
	r := nitrokv(t, 2, "get", "of the server", "--dir", dir)
	if !strings.Contains(r.stderr, fmt.Sprint(p.cmd.Process.Pid)) || !strings.Contains(r.stderr, "--addr") {
		t.Errorf("beside a server: %q", r.stderr)
	}
	p.kill(t)
	if r := nitrokv(t, 0, "get", "of the server", "--dir", dir); r.stdout != "1" {
		t.Errorf("after a kill: %+v", r)
	}
	nitrokv(t, 0, "put", "of the command", "2", "--dir", dir)
	nitrokv(t, 0, "cli", "INCRBY", "of the command", "40", "--dir", dir)
	if r := command(t, "INCR piped\nGET piped\n", binary, "cli", "--dir", dir); r.stdout != "1\n1\n" || r.status != 0 {
		t.Errorf("piped: %+v", r)
	}
	q := start(t, "--dir", dir)
	if v := dialResp(t, q, "").must(t, "MGET", "of the server", "of the command", "piped"); fmt.Sprint(v) != "[1 42 1]" {
		t.Errorf("a server finds %v", v)
	}
}
