package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// TestLoading holds recovery back and asks for everything: data is refused, the rest works.
func TestLoading(t *testing.T) {
	dir := t.TempDir()
	before := startLogged(t, Options{Dir: dir})
	dial(t, before).check(status("OK"), "SET", "k", "v")
	must(t, before.Shutdown(context.Background()))

	release := make(chan struct{})
	var once sync.Once
	letGo := func() { once.Do(func() { close(release) }) }
	s, err := New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100, Dir: dir})
	must(t, err)
	s.load.hold = release
	serve(t, s)
	t.Cleanup(letGo) // before the server is stopped
	c := dial(t, s)
	loading := respError(loadingText)
	for args, want := range map[string]any{
		"GET k": loading, "SET k x": loading, "DEL k": loading, "MGET k": loading, "MSET k x": loading, "INCR n": loading,
		"EXPIRE k 1": loading, "TTL k": loading, "EXISTS k": loading, "SCAN 0": loading, "DBSIZE": loading, "TYPE k": loading,
		"FLUSHALL": loading, "FLUSHDB ASYNC": loading, "WAITAOF 1 0 0": loading,
		"PING": status("PONG"), "ECHO x": "x", "SELECT 0": status("OK"), "CLIENT SETNAME x": status("OK"),
		"CLIENT DURABILITY": "always", "CONFIG GET appendonly": []any{"appendonly", "yes"},
		"COMMAND COUNT": int64(len(s.commands)),
	} {
		c.check(want, strings.Fields(args)...)
	}
	if _, ok := c.do("HELLO", "3").(respMap); !ok {
		t.Error("HELLO is not answered")
	}
	info := c.do("INFO").(string)
	if !strings.Contains(info, "loading:1\r\n") || !strings.Contains(info, "loading_loaded_bytes:") {
		t.Errorf("INFO: %s", info)
	}
	b := dial(t, s)
	r := proto.NewReader(b.br, proto.KindReply, proto.Limits{})
	askBinary(t, b, r, proto.AppendHello(nil, proto.Meta{}, proto.Hello{Min: 1, Max: 1}), proto.OK)
	for _, frame := range [][]byte{proto.AppendGet(nil, proto.Meta{}, "k"), proto.AppendSet(nil, proto.Meta{}, "k", "x"),
		proto.AppendFlush(nil, proto.Meta{}), proto.AppendSync(nil, proto.Meta{}), proto.AppendCount(nil, proto.Meta{})} {
		askBinary(t, b, r, frame, proto.ELOADING)
	}
	askBinary(t, b, r, proto.AppendNoop(nil, proto.Meta{}), proto.OK)
	letGo()
	waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
	c.check("v", "GET", "k")
}

// TestShutdownWhileLoading ends without waiting for what it can't hurry.
func TestShutdownWhileLoading(t *testing.T) {
	s, err := New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100, Dir: t.TempDir()})
	must(t, err)
	release := make(chan struct{})
	s.load.hold = release
	must(t, s.Listen())
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	dial(t, s).check(respError(loadingText), "GET", "k")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "still being loaded") {
		t.Errorf("shutdown: %v", err)
	}
	must(t, <-served)
	close(release)
	s.workers.Wait()
}

// TestFolderInUse: the second server does not start, and says who has the folder.
func TestFolderInUse(t *testing.T) {
	s := startLogged(t, Options{})
	_, err := New(Options{MaxClients: 10, Dir: s.opt.Dir})
	if !errors.Is(err, engine.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second server: %v", err)
	}
}

// TestDamagedFolder: Serve ends with what is wrong, and the connections with it.
func TestDamagedFolder(t *testing.T) {
	dir := t.TempDir()
	s := startLogged(t, Options{Dir: dir})
	c := dial(t, s)
	for i := range 100 {
		c.check(status("OK"), "SET", fmt.Sprint(i), strings.Repeat("v", 100))
	}
	must(t, s.Shutdown(context.Background()))
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	must(t, err)
	flip(t, slices.Min(logs), 4096+2000)
	s, err = New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 10, Dir: dir})
	if err == nil {
		must(t, s.Listen())
		err = s.Serve()
		must(t, s.Shutdown(context.Background()))
	}
	if !errors.Is(err, engine.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(slices.Min(logs))) {
		t.Errorf("a damaged folder: %v", err)
	}
}

// flip changes one byte of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	must(t, err)
	b[0] ^= 0xff
	_, err = f.WriteAt(b, at)
	must(t, err)
	must(t, f.Close())
}

// breakLog puts a file that takes every write and cannot be synced in the place of the log's current file, where writes go:
// the next sync fails. The filler has a descriptor of its own, behind that one, and goes on.
func breakLog(t *testing.T, dir string) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	current, target := "", -1
	for _, e := range fds {
		name, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || filepath.Dir(name) != dir || filepath.Ext(name) != ".log" {
			continue // closed meanwhile, or something else
		}
		fd, err := strconv.Atoi(e.Name())
		must(t, err)
		if target < 0 || name < current || name == current && fd < target {
			current, target = name, fd
		}
	}
	if target < 0 {
		t.Fatalf("no file of %s is open", dir)
	}
	must(t, syscall.Dup3(int(null.Fd()), target, syscall.O_CLOEXEC))
	must(t, null.Close())
}

// TestFailedLogReadOnly: who waits gets the truth, reads of durable data go on, writes are refused.
func TestFailedLogReadOnly(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	s, c := startToBreak(t, Options{Dir: dir, OnIOError: IOErrorReadOnly})
	c.check(status("OK"), "SET", "durable", "1")
	n := dial(t, s)
	n.check(status("OK"), "CLIENT", "DURABILITY", "never")
	b := dial(t, s)
	r := proto.NewReader(b.br, proto.KindReply, proto.Limits{})
	askBinary(t, b, r, proto.AppendGet(nil, proto.Meta{}, "durable"), proto.OK)

	n.check(status("OK"), "SET", "big", strings.Repeat("b", 200_000)) // written; nothing syncs it for seconds
	breakLog(t, dir)
	c.ask(resp("SET", "k", "x")+resp("GET", "k")+resp("GET", "durable"),
		"-UNKNOWN "+unknownText+"\r\n-NOTDURABLE "+notDurableText+"\r\n$1\r\n1\r\n")
	c.check("1", "GET", "durable")
	c.check(respError("NOTDURABLE "+notDurableText), "GET", "k")
	for _, args := range [][]string{{"SET", "k", "y"}, {"DEL", "durable"}, {"MSET", "a", "1", "b", "2"}, {"FLUSHALL"}} {
		if e, ok := c.do(args...).(respError); !ok || !strings.HasPrefix(string(e), "MISCONF Errors writing to the AOF file: ") {
			t.Errorf("%v: %q", args, e)
		}
	}
	c.check(respError("NOTDURABLE "+notDurableText), "WAITAOF", "1", "0", "0")
	n.check("1", "GET", "durable")

	// A large value is not in the reply buffer: what can be said of it is said, and the connection ends.
	big := dial(t, s)
	big.ask(resp("GET", "big"), "-NOTDURABLE "+notDurableText+"\r\n")
	big.expectEnd()
	askBinary(t, b, r, proto.AppendGet(nil, proto.Meta{}, "durable"), proto.OK)
	askBinary(t, b, r, proto.AppendGet(nil, proto.Meta{}, "k"), proto.ENOTDURABLE)
	askBinary(t, b, r, proto.AppendSet(nil, proto.Meta{}, "k", "z"), proto.EREADONLY)
	askBinary(t, b, r, proto.AppendSync(nil, proto.Meta{}), proto.ENOTDURABLE)
	info := c.do("INFO", "persistence").(string)
	for _, want := range []string{"aof_last_write_status:err\r\n", "log_status:failed\r\n", "log_error:",
		"log_on_io_error:readonly\r\n"} {
		if !strings.Contains(info, want) {
			t.Errorf("%q is not in %s", want, info)
		}
	}
	if err := s.Shutdown(context.Background()); err == nil || !strings.Contains(err.Error(), "not stopped cleanly") {
		t.Errorf("shutdown: %v", err)
	}
}

// startToBreak is startLogged for a server that will not end well.
func startToBreak(t *testing.T, opt Options) (*Server, *client) {
	t.Helper()
	opt.Listen, opt.MaxClients = []string{"127.0.0.1:0"}, 100
	s, err := New(opt)
	must(t, err)
	must(t, s.Listen())
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background()) // the test has looked at what it says
		if err := <-served; err != nil && !errors.Is(err, ErrLogFailed) {
			t.Error(err)
		}
	})
	waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
	return s, dial(t, s)
}

// TestFailedLogExits: Serve ends by itself, after the clients have got their errors.
func TestFailedLogExits(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	s, err := New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100, Dir: dir})
	must(t, err)
	must(t, s.Listen())
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
	a, idle := dial(t, s), dial(t, s)
	a.check(status("OK"), "SET", "k", "1")
	idle.check("1", "GET", "k")
	breakLog(t, dir)
	a.ask(resp("SET", "k", "2"), "-UNKNOWN "+unknownText+"\r\n")
	a.expectEnd()
	idle.expectEnd()
	if err := <-served; !errors.Is(err, ErrLogFailed) {
		t.Errorf("serve: %v", err)
	}
	if err := s.Shutdown(context.Background()); err == nil {
		t.Error("the store claims to have stopped cleanly")
	}
}

func TestIOErrorPolicy(t *testing.T) {
	for _, p := range []IOErrorPolicy{IOErrorExit, IOErrorReadOnly} {
		if got, err := ParseIOErrorPolicy(strings.ToUpper(p.String())); err != nil || got != p {
			t.Errorf("%v: %v, %v", p, got, err)
		}
	}
	if _, err := ParseIOErrorPolicy("retry"); err == nil || !strings.Contains(err.Error(), "exit or readonly") {
		t.Errorf("retry: %v", err)
	}
}
