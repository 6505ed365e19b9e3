package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nitrokv/nitrokv/client"
)

// transferLimit is for a load or a dump of a hundred thousand keys.
const transferLimit = 3 * time.Minute

// content is what a store holds.
type content map[string]client.Item

// randomContent has keys and values of all kinds: binary, empty, as long as can be, with and without an expiry.
func randomContent(r *rand.Rand, keys int) content {
	c := content{
		"":                                   {Value: []byte("the empty key")},
		"empty value":                        {},
		strings.Repeat("k", 1<<16-1):         {Value: []byte("the longest key")},
		"\x00\xff\r\n\t":                     {Value: []byte(allBytes())},
		"text":                               {Value: []byte("é \"quoted\"\\\t\r\n{\u2028}")},
		"last day of the year 9999":          {Value: []byte("v"), Expires: time.UnixMilli(253402300799999)},
		"first day that RFC 3339 can't have": {Value: []byte("v"), Expires: time.UnixMilli(253402300800000)},
	}
	for i := range 3 {
		value := make([]byte, 1<<20)
		for at := range value {
			value[at] = byte(r.Uint32())
		}
		c[fmt.Sprint("large ", i)] = client.Item{Value: value}
	}
	c["large text"] = client.Item{Value: []byte(strings.Repeat("text \"\\\n", 1<<17))}
	soon := time.Now().Add(24 * time.Hour).UnixMilli()
	for len(c) < keys {
		key := make([]byte, 4+r.IntN(20))
		for i := range key {
			key[i] = byte(r.IntN(256))
		}
		item := client.Item{Value: bytes.Repeat([]byte{byte(r.IntN(256)), 'x', byte(r.IntN(256))}, r.IntN(40))}
		if r.IntN(3) == 0 {
			item.Expires = time.UnixMilli(soon + r.Int64N(1e9))
		}
		c[string(key)] = item
	}
	return c
}

// store writes everything to a server.
func (c content) store(t *testing.T, cl *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), transferLimit)
	defer cancel()
	b := cl.Batch()
	for key, item := range c {
		if item.Expires.IsZero() {
			b.Set(key, item.Value)
		} else {
			b.Set(key, item.Value, client.WithExpiry(item.Expires))
		}
	}
	results, err := b.Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// mustBeIn demands that a server has exactly this.
func (c content) mustBeIn(t *testing.T, cl *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), transferLimit)
	defer cancel()
	seen := make(map[string]bool)
	for e, err := range cl.Scan(ctx, client.ScanOptions{Metadata: true}) {
		if err != nil {
			t.Fatal(err)
		}
		want, known := c[e.Key]
		if !known || !e.Expires.Equal(want.Expires) || e.Size != len(want.Value) {
			t.Fatalf("%.50q (known: %v) has %d bytes and expires at %v; want %d and %v", e.Key, known, e.Size, e.Expires, len(want.Value), want.Expires)
		}
		seen[e.Key] = true
	}
	if len(seen) != len(c) {
		t.Fatalf("%d keys, want %d", len(seen), len(c))
	}
	b := cl.Batch()
	var keys []string
	for key := range c {
		keys = append(keys, key)
		b.Get(key)
	}
	results, err := b.Do(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || !bytes.Equal(r.Value, c[keys[i]].Value) {
			t.Fatalf("%.50q: %.50q, %v; want %.50q", keys[i], r.Value, r.Err, c[keys[i]].Value)
		}
	}
}

// transfer runs a verb that may take long, with what stdin it is to have.
func transfer(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), transferLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); ctx.Err() != nil || err != nil && cmd.ProcessState == nil {
		t.Fatalf("%q: %v", args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A dump, loaded into an empty server, restores every key, byte and expiry: through a file and through a pipe.
func TestDumpAndLoadRestoreEverything(t *testing.T) {
	c := randomContent(randomness(t), 1000*percent(t))
	from := start(t)
	_, fromClient := dial(t, from)
	c.store(t, fromClient)

	file := filepath.Join(t.TempDir(), "keys.jsonl")
	if r := transfer(t, nil, "dump", file, "--addr", from.addr); r.status != 0 || !strings.Contains(r.stderr, fmt.Sprintf("dumped %d keys", len(c))) {
		t.Fatalf("dump: %+v", r)
	}
	byFile := start(t)
	r := transfer(t, nil, "load", file, "--addr", byFile.addr)
	if r.status != 0 || !strings.HasPrefix(r.stdout, fmt.Sprintf("loaded %d keys", len(c))) {
		t.Fatalf("load: %+v", r)
	}
	_, byFileClient := dial(t, byFile)
	c.mustBeIn(t, byFileClient)

	byPipe := start(t)
	line := fmt.Sprintf("'%s' dump --addr %s | '%s' load - --addr %s", binary, from.addr, binary, byPipe.addr)
	ctx, cancel := context.WithTimeout(t.Context(), transferLimit)
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", line)
	sh.Env = environ()
	if out, err := sh.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	_, byPipeClient := dial(t, byPipe)
	c.mustBeIn(t, byPipeClient)
}

// Values of 32 MiB go through lines of text, of JSON and of base64.
func TestLoadLargeValues(t *testing.T) {
	p := start(t)
	value := strings.Repeat("0123456789abcdef", 32<<20/16)
	lines := "text\t" + value + "\n{\"key\":\"json\",\"value\":\"" + value + "\"}\n{\"key\":\"bytes\",\"value_base64\":\"" + value + "\"}"
	if r := transfer(t, strings.NewReader(lines), "load", "-", "--addr", p.addr); r.status != 0 {
		t.Fatalf("load: %+v", r)
	}
	for key, size := range map[string]int{"text": len(value), "json": len(value), "bytes": len(value) / 4 * 3} {
		r := p.cli(t, "", "get", key)
		if r.status != 0 || len(r.stdout) != size || size == len(value) && r.stdout != value {
			t.Errorf("%s: status %d, %d bytes, want %d", key, r.status, len(r.stdout), size)
		}
	}
}

// An interrupted load says how far it has come, and that is true: the rest has not been read.
func TestLoadInterrupted(t *testing.T) {
	const lines = 1000
	p := start(t)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, "load", "-", "--addr", p.addr)
	cmd.Env = environ()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range lines {
		if _, err := fmt.Fprintf(stdin, "key%d\tv\n", i); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, startLimit, "all lines are loaded", func() bool {
		return strings.HasPrefix(p.exchange(t, "DBSIZE\r\nQUIT\r\n"), fmt.Sprintf(":%d\r\n", lines))
	})
	status := interrupt(t, cmd)
	want := fmt.Sprintf("nitrokv: load: interrupted; %d keys were loaded, nothing is missing up to line %d; ", lines, lines)
	if status != 2 || !strings.HasPrefix(stderr.String(), want) || stdout.Len() > 0 {
		t.Errorf("status %d, stdout %q, stderr %q; want 2 and %q", status, stdout.String(), stderr.String(), want)
	}
}

// interrupt sends SIGINT and returns the exit status.
func interrupt(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the status says it
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(stopLimit):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("%q goes on after SIGINT", cmd.Args)
	}
	return cmd.ProcessState.ExitCode()
}

// An interrupted dump leaves the file that was there before, and nothing beside it.
func TestDumpInterrupted(t *testing.T) {
	p := start(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "keys.jsonl")
	if err := os.WriteFile(file, []byte("the old dump"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil { // so that the dump hangs when it has begun
		t.Fatal(err)
	}
	defer func() {
		if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	var stderr bytes.Buffer
	cmd := exec.Command(binary, "dump", file, "--addr", p.addr, "--timeout", "10m")
	cmd.Env, cmd.Stderr = environ(), &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, startLimit, "the dump has begun", func() bool {
		files, err := os.ReadDir(folder)
		return err == nil && len(files) == 2
	})
	status := interrupt(t, cmd)
	if want := "nitrokv: dump: interrupted; " + file + " is as it was\n"; status != 2 || stderr.String() != want {
		t.Errorf("status %d, stderr %q; want 2 and %q", status, stderr.String(), want)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "the old dump" {
		t.Errorf("the old dump is %q, %v", text, err)
	}
}

// source connects go-redis to the server that will be copied.
func source(t *testing.T, addr, password string, db int) (context.Context, *redis.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), transferLimit)
	c := redis.NewClient(&redis.Options{Addr: addr, Password: password, DB: db})
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing go-redis: %v", err)
		}
		cancel()
	})
	return ctx, c
}

// Every string of a Redis server is copied, byte by byte and with its expiry, and what is no string is counted.
func TestCopyRedis(t *testing.T) {
	const keys = 20_000
	addr := startReference(t, "")
	ctx, r := source(t, addr, "", 0)
	pipe := r.Pipeline()
	want := map[string]string{"": "the empty key", "empty": "", "\x00\xff\r\n": allBytes(), "large": strings.Repeat("v", 5<<20)}
	for i := range keys {
		want[fmt.Sprintf("key%d", i)] = strings.Repeat("v", i%100)
	}
	for key, value := range want {
		pipe.Set(ctx, key, value, 0)
	}
	for i := range 500 {
		pipe.PExpire(ctx, fmt.Sprintf("key%d", i), time.Hour+time.Duration(i)*time.Millisecond)
		pipe.RPush(ctx, fmt.Sprintf("list%d", i), "a", "b")
	}
	pipe.HSet(ctx, "hash", "field", "value")
	pipe.ZAdd(ctx, "zset", redis.Z{Score: 1, Member: "m"})
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}

	p := start(t)
	out := transfer(t, nil, "load", "redis://"+addr, "--addr", p.addr)
	if out.status != 0 || out.stderr != "" {
		t.Fatalf("load: %+v", out)
	}
	for _, text := range []string{fmt.Sprintf("loaded %d keys", len(want)), "only strings can be copied: 1 of type hash, 500 of type list, 1 of type zset\n"} {
		if !strings.Contains(out.stdout, text) {
			t.Errorf("no %q in %q", text, out.stdout)
		}
	}
	mustBeCopied(t, ctx, r, p, want)
}

// mustBeCopied compares what a server has with what it was to copy, the expiries too.
func mustBeCopied(t *testing.T, ctx context.Context, r *redis.Client, p *process, want map[string]string) {
	t.Helper()
	_, cl := dial(t, p)
	seen := 0
	for e, err := range cl.Scan(ctx, client.ScanOptions{Metadata: true}) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		value, err := cl.Get(ctx, e.Key)
		if err != nil || string(value) != want[e.Key] {
			t.Fatalf("%q: %.50q, %v; want %.50q", e.Key, value, err, want[e.Key])
		}
		if e.Expires.IsZero() {
			continue
		}
		at, err := r.PExpireTime(ctx, e.Key).Result()
		// A copy expires no later than the original, but for a rounded millisecond, and as much earlier as the copy took.
		if early := at.Milliseconds() - e.Expires.UnixMilli(); err != nil || early < -1 || early > transferLimit.Milliseconds() {
			t.Errorf("%q expires at %d ms, the original at %d, %v", e.Key, e.Expires.UnixMilli(), at.Milliseconds(), err)
		}
	}
	expiring := 0
	for e, err := range cl.Scan(ctx, client.ScanOptions{Metadata: true, Pattern: "key*"}) {
		if err == nil && !e.Expires.IsZero() {
			expiring++
		}
	}
	if seen != len(want) || expiring != 500 {
		t.Errorf("%d keys, %d of them expire; want %d and 500", seen, expiring, len(want))
	}
}

// A password comes from a file or a variable, and a database is chosen in the URL.
func TestCopyRedisWithPassword(t *testing.T) {
	const password = "se kret\"1"
	addr := startReference(t, password)
	ctx, r := source(t, addr, password, 3)
	if err := r.Set(ctx, "of database 3", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t)
	for name, args := range map[string][]string{"a file": {"--source-password-file", file}, "a variable": nil} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(binary, append([]string{"load", "redis://" + addr + "/3", "--addr", p.addr}, args...)...)
			cmd.Env = environ()
			if args == nil {
				cmd.Env = append(cmd.Env, "NITROKV_SOURCE_PASSWORD="+password)
			}
			if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "loaded 1 key,") {
				t.Errorf("%v\n%s", err, out)
			}
			check(t, "get", p.cli(t, "", "get", "of database 3").stdout, nil, "v")
		})
	}
	one(t, p.cli(t, "", "load", "redis://"+addr))
}

// Clients go on writing while a server is copied: every key that nobody touches is there, and no value is half of one and
// half of another.
func TestCopyRedisInUse(t *testing.T) {
	const still, busy = 5000, 200
	addr := startReference(t, "")
	ctx, r := source(t, addr, "", 0)
	pipe := r.Pipeline()
	for i := range still {
		pipe.Set(ctx, fmt.Sprintf("still%d", i), i, 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithCancel(ctx)
	written := make(chan error)
	go func() { written <- rewrite(writing, r, busy) }()

	p := start(t)
	out := transfer(t, nil, "load", "redis://"+addr, "--addr", p.addr)
	stop()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if out.status != 0 {
		t.Fatalf("load: %+v", out)
	}
	_, cl := dial(t, p)
	for i := range still {
		value, err := cl.Get(ctx, fmt.Sprintf("still%d", i))
		check(t, "a key that nobody touches", string(value), err, fmt.Sprint(i))
	}
	for e, err := range cl.Scan(ctx, client.ScanOptions{Pattern: "busy*", Metadata: true}) {
		if err != nil {
			t.Fatal(err)
		}
		value, err := cl.Get(ctx, e.Key)
		if err != nil || (string(value) == "expires") == e.Expires.IsZero() {
			t.Errorf("%s: %q with the expiry %v, %v", e.Key, value, e.Expires, err)
		}
	}
}

// rewrite sets keys with and without an expiry in turns, and removes them, until its context ends.
func rewrite(ctx context.Context, r *redis.Client, keys int) error {
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprint("busy", i%keys)
		err := r.Set(ctx, key, "expires", time.Hour).Err()
		if err == nil {
			err = r.Set(ctx, key, "stays", 0).Err()
		}
		if err == nil && i%7 == 0 {
			err = r.Del(ctx, key).Err()
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// A source that isn't there is told as the source, not as the target.
func TestCopyFromNobody(t *testing.T) {
	p := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r := p.cli(t, "", "load", "redis://"+addr)
	one(t, r)
	if !strings.Contains(r.stderr, "the source: connect to "+addr) {
		t.Errorf("stderr %q", r.stderr)
	}
}
