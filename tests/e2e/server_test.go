package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Limits for things that take milliseconds: reaching one means that something hangs.
const (
	startLimit = 20 * time.Second
	stopLimit  = 20 * time.Second
	callLimit  = 20 * time.Second
)

var binary string // the nitrokv that is tested

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := checkTestMode(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	if binary = os.Getenv("NITROKV_BIN"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "nitrokv-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: no folder for the binary:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "nitrokv")
	build := exec.Command("go", "build", "-o", binary, "./cmd/nitrokv")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: go build ./cmd/nitrokv: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A process is a running `nitrokv serve`.
type process struct {
	cmd    *exec.Cmd
	addr   string
	addrs  chan string // gets where it listens, once
	exited chan error  // gets what Wait returned, once
	gone   bool        // the test has ended it itself

	mu  sync.Mutex // guards log
	log bytes.Buffer
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

// start runs a server on a free port, over a data folder of its own unless the arguments say something else, and waits
// until it has loaded its data. The test's end stops it.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	if !slices.Contains(args, "--dir") {
		args = append([]string{"--dir", filepath.Join(t.TempDir(), "data")}, args...)
	}
	p := launch(t, args...)
	p.listening(t)
	p.mustBeNitro(t)
	p.loaded(t)
	return p
}

// launch runs a server and waits for nothing. The test's end stops it.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	return launchIn(t, "", nil, args...)
}

// launchIn is launch with a working directory and variables.
func launchIn(t *testing.T, dir string, vars []string, args ...string) *process {
	t.Helper()
	p := &process{exited: make(chan error, 1), addrs: make(chan string, 1)}
	p.cmd = exec.Command(binary, append([]string{"serve", "--port", "0", "--http", "off"}, inTestMode(args)...)...)
	p.cmd.Dir, p.cmd.Env = dir, append(environ(), vars...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", binary, err)
	}
	go func() { // ends with the process; its result is awaited by whoever ends that
		p.follow(stderr)
		p.exited <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		if !p.gone {
			p.stop(t)
		}
	})
	return p
}

// listening waits until the server has said where it listens.
func (p *process) listening(t *testing.T) {
	t.Helper()
	select {
	case p.addr = <-p.addrs:
	case err := <-p.exited:
		p.gone = true
		t.Fatalf("the server ended at once: %v\n%s", err, p.logged())
	case <-time.After(startLimit):
		p.kill(t)
		t.Fatalf("the server has not said where it listens:\n%s", p.logged())
	}
}

// loaded waits until the server answers requests about data.
func (p *process) loaded(t *testing.T) {
	t.Helper()
	eventually(t, startLimit, "the server has loaded its data", func() bool {
		return !strings.HasPrefix(p.exchange(t, "DBSIZE\r\nQUIT\r\n"), "-LOADING ")
	})
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

// kill ends the server as kill -9 does and waits until it is gone.
func (p *process) kill(t *testing.T) {
	t.Helper()
	// An error means that it has ended already; wait finds that too.
	_ = p.cmd.Process.Kill()
	p.wait(t)
}

// wait waits until the server has ended and returns its exit status, -1 if a signal ended it.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
		p.gone = true
	case <-time.After(stopLimit):
		t.Fatalf("the server has not ended within %v\n%s", stopLimit, p.logged())
	}
	return p.cmd.ProcessState.ExitCode()
}

// follow keeps the log and passes on the address of the first "listening" record.
func (p *process) follow(r io.Reader) {
	lines := bufio.NewScanner(r)
	sent := false
	for lines.Scan() {
		p.mu.Lock()
		p.log.Write(lines.Bytes())
		p.log.WriteByte('\n')
		p.mu.Unlock()
		var record struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &record) == nil && !sent && record.Msg == "listening" {
			p.addrs <- record.Addr
			sent = true
		}
	}
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop ends the server as a service manager does, and demands that it ends well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	select {
	case err := <-p.exited:
		p.gone = true
		if err != nil {
			t.Errorf("after SIGTERM the server ended with %v, want exit status 0\n%s", err, p.logged())
		}
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		t.Errorf("the server has not ended %v after SIGTERM\n%s", stopLimit, p.logged())
	}
}

// mustBeNitro makes sure that the address is this server's and not another one's that happens to run here.
func (p *process) mustBeNitro(t *testing.T) {
	t.Helper()
	reply := p.exchange(t, "INFO server\r\nQUIT\r\n")
	if want := fmt.Sprintf("process_id:%d\r\n", p.cmd.Process.Pid); !strings.Contains(reply, want) {
		t.Fatalf("at %s answers something else than process %d: %q", p.addr, p.cmd.Process.Pid, reply)
	}
	if !strings.Contains(reply, "nitrokv_version:") {
		t.Fatalf("at %s answers something else than nitrokv: %q", p.addr, reply)
	}
}

// exchange sends text on a connection of its own and returns everything until the server closes it.
func (p *process) exchange(t *testing.T, text string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.addr, callLimit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	reply, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("reading the reply to %q: %v (got %q)", text, err, reply)
	}
	return string(reply)
}

// A result is what a command printed, and how it ended.
type result struct {
	stdout, stderr string
	status         int
}

// command runs a program with input on stdin.
func command(t *testing.T, input, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = environ()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// cli runs a verb of the nitrokv binary against the server.
func (p *process) cli(t *testing.T, input string, args ...string) result {
	t.Helper()
	return command(t, input, binary, append([]string{"--addr", p.addr}, args...)...)
}
