package differ

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Limits for things that take milliseconds: reaching one means that something hangs.
const (
	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
	waitLimit  = 30 * time.Second
)

var binary string // the nitrokv that is tested

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if binary = os.Getenv("NITROKV_BIN"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "nitrokv-differ-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "differ: no folder for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "nitrokv")
	build := exec.Command("go", "build", "-o", binary, "./cmd/nitrokv")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "differ: go build ./cmd/nitrokv: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A server is a process that the tests connect to.
type server struct {
	name          string
	network, addr string
	exited        chan error // gets what Wait returned, once
}

func (s *server) dial(t *testing.T) *conn {
	t.Helper()
	c, err := dial(s.network, s.addr)
	if err != nil {
		t.Fatalf("connecting to %s: %v", s.name, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// launch starts a program whose log goes to the writer, and ends it with the test.
func launch(t *testing.T, s *server, log io.Writer, path string, args ...string) {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = environ()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", s.name, err)
	}
	s.exited = make(chan error, 1)
	go func() { s.exited <- cmd.Wait() }() // ends with the process, which the cleanup ends
	t.Cleanup(func() {
		// An error means that it has ended already, which is not how a server's test should end.
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("SIGTERM to %s: %v", s.name, err)
		}
		select {
		case err := <-s.exited:
			if err != nil {
				t.Errorf("%s ended with %v, want exit status 0", s.name, err)
			}
		case <-time.After(stopLimit):
			t.Errorf("%s has not ended %v after SIGTERM", s.name, stopLimit)
			_ = cmd.Process.Kill()
			<-s.exited
		}
	})
}

// environ is the environment without settings of nitrokv, so that a developer's own don't change the tests.
func environ() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "NITROKV_") {
			env = append(env, v)
		}
	}
	return env
}

// startRedis runs the distribution's redis-server, with one database as nitrokv has. It listens on a Unix
// socket, for which no port has to be guessed.
func startRedis(t *testing.T) *server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not installed; type: make deps")
	}
	dir, err := os.MkdirTemp("", "differ-") // t.TempDir makes names that can be too long for a socket's
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var log bytes.Buffer // written until Wait returns, read after that
	s := &server{name: "redis-server", network: "unix", addr: filepath.Join(dir, "redis.sock")}
	_, store := stores(t)
	launch(t, s, &log, path, append([]string{"--port", "0", "--unixsocket", s.addr, "--databases", "1", "--save", "", "--dir", dir,
		"--daemonize", "no", "--loglevel", "warning"}, store...)...)
	eventually(t, startLimit, "redis-server listens", func() bool {
		select {
		case err := <-s.exited:
			s.exited <- err
			t.Fatalf("redis-server ended at once: %v\n%s", err, log.String())
		default:
		}
		c, err := dial(s.network, s.addr)
		return err == nil && c.Close() == nil
	})
	return s
}

// stores returns the options of the stores that are compared: without a log; with NK_TEST_MODE=bitcask nitrokv's in mode bitcask,
// with files that are as small as they may be and merged when anything in them is dead, so that values move all the time, a small cache and compression,
// and Redis's with the log that corresponds.
func stores(t *testing.T) (nitro, redis []string) {
	t.Helper()
	switch mode := os.Getenv("NK_TEST_MODE"); mode {
	case "", "memory":
		return []string{"--dir", "off"}, []string{"--appendonly", "no"}
	case "bitcask":
		return []string{"--dir", filepath.Join(t.TempDir(), "data"), "--mode", "bitcask", "--max-file-size", "64KiB",
			"--merge-dead-percent", "1", "--sync", "never", "--cache-size", "64KiB", "--mmap", "on", "--value-compression", "lz4"}, []string{"--appendonly", "yes", "--appendfsync", "no"}
	default:
		t.Fatalf("NK_TEST_MODE is %q; use memory or bitcask", mode)
		return nil, nil
	}
}

// startNitro runs nitrokv without a memory limit, as the Redis beside it.
func startNitro(t *testing.T) *server {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // ours; the process has its own
	f := &follower{addr: make(chan string, 1), ended: make(chan struct{})}
	go f.follow(in) // ends when nobody can write to the pipe any more
	t.Cleanup(func() {
		if t.Failed() {
			<-f.ended
			t.Logf("the log of nitrokv:\n%s", f.log.String())
		}
	})
	s := &server{name: "nitrokv", network: "tcp"}
	store, _ := stores(t)
	launch(t, s, out, binary, append([]string{"serve", "--port", "0", "--http", "off", "--max-memory", "off"}, store...)...)
	select {
	case s.addr = <-f.addr:
	case err := <-s.exited:
		s.exited <- err
		t.Fatalf("nitrokv ended at once: %v", err)
	case <-time.After(startLimit):
		t.Fatal("nitrokv has not said where it listens")
	}
	c := s.dial(t)
	eventually(t, startLimit, "nitrokv has loaded its data", func() bool {
		replies, err := c.exchange([]command{{args: []string{"DBSIZE"}}})
		if err != nil {
			t.Fatalf("asking nitrokv: %v", err)
		}
		return !bytes.HasPrefix(replies[0], []byte("-LOADING "))
	})
	return s
}

// A follower reads nitrokv's log and finds the address in it.
type follower struct {
	addr  chan string   // gets the address, once
	ended chan struct{} // closed when the process has; log is complete then
	log   bytes.Buffer
}

func (f *follower) follow(r io.ReadCloser) {
	defer close(f.ended)
	defer r.Close()
	sent := false
	for lines := bufio.NewScanner(r); lines.Scan(); {
		f.log.Write(append(lines.Bytes(), '\n'))
		var record struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &record) == nil && !sent && record.Msg == "listening" {
			f.addr <- record.Addr
			sent = true
		}
	}
}

// eventually waits until a condition holds. It asks often, so that what it waits for is what takes the time.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("%v are over, and it isn't so that %s", limit, what)
		case <-again.C:
		}
	}
}
