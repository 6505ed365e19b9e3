package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/server"
)

// asProgram makes the test binary behave as nitrokv, for tests that need a process of its own.
const asProgram = "TEST_BINARY_IS_NITROKV"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// startServer serves on a free port until the test ends.
func startServer(t *testing.T) (addr string) {
	t.Helper()
	return startServerWith(t, server.Options{})
}

// startServerWith does so with some options.
func startServerWith(t *testing.T, opt server.Options) (addr string) {
	t.Helper()
	opt.Listen = []string{"127.0.0.1:0"}
	srv, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return srv.Addr().String()
}

// result is what a command line came to.
type result struct {
	status         int
	stdout, stderr string
}

// call runs a command line in this process.
func call(stdin string, env []string, args ...string) result {
	var out, errs bytes.Buffer
	status := run(args, terminal{strings.NewReader(stdin), &out, &errs, env})
	return result{status, out.String(), errs.String()}
}

// mustBeError demands status 2, one line on stderr that holds want, and nothing on stdout.
func mustBeError(t *testing.T, r result, want string) {
	t.Helper()
	if r.status != exitError || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "nitrokv: ") ||
		!strings.Contains(r.stderr, want) {
		t.Errorf("status %d, stdout %q, stderr %q; want status 2 and one line with %q", r.status, r.stdout, r.stderr, want)
	}
}

func TestPutGetDel(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	every := make([]byte, 1000) // all bytes, newlines among them
	for i := range every {
		every[i] = byte(i)
	}
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, every, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		stdin  string
		args   []string
		status int
		stdout string
	}{
		{"", []string{"put", "user_id", "42069"}, 0, ""},
		{"", []string{"get", "user_id"}, 0, "42069"},
		{"", []string{"PUT", "k", "-5"}, 0, ""},
		{"", []string{"Get", "k"}, 0, "-5"},
		{"", []string{"set", "k", "--", "--ttl"}, 0, ""},
		{"", []string{"get", "k"}, 0, "--ttl"},
		{string(every), []string{"put", "stdin", "-"}, 0, ""},
		{"", []string{"get", "stdin"}, 0, string(every)},
		{"", []string{"put", "file", "--file", file}, 0, ""},
		{"", []string{"get", "file"}, 0, string(every)},
		{"", []string{"put", "empty", ""}, 0, ""},
		{"", []string{"get", "empty"}, 0, ""},
		{"", []string{"put", "-", "dash"}, 0, ""},
		{"", []string{"get", "-"}, 0, "dash"},
		{"", []string{"put", "long", "v", "--ttl", "1h"}, 0, ""},
		{"", []string{"get", "long"}, 0, "v"},
		{"", []string{"get", "missing"}, 1, ""},
		{"", []string{"del", "missing"}, 1, ""},
		{"", []string{"del", "k", "user_id", "k"}, 0, ""},
		{"", []string{"delete", "empty", "missing"}, 1, ""},
		{"", []string{"get", "k"}, 1, ""},
	} {
		r := call(step.stdin, env, step.args...)
		if r.status != step.status || r.stdout != step.stdout || (r.stderr == "") != (step.status == 0) {
			t.Errorf("%q: status %d, stdout %q, stderr %q; want %d, %q", step.args, r.status, r.stdout, r.stderr, step.status, step.stdout)
		}
	}
}

// A key that expires is gone; the wait is for the condition, not for a time.
func TestPutTTL(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	if r := call("", env, "put", "k", "v", "--ttl", "30ms"); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r := call("", env, "get", "k"); r.status == exitNotFound {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the key is still there")
		}
	}
}

func TestStats(t *testing.T) {
	addr := startServer(t)
	r := call("", nil, "stats", "--addr", addr)
	if r.status != 0 || !strings.Contains(r.stdout, "nitrokv_version:") {
		t.Errorf("status %d, stdout %.200q, stderr %q", r.status, r.stdout, r.stderr)
	}
	part := call("", nil, "--addr", addr, "stats", "memory")
	if part.status != 0 || part.stdout == "" || len(part.stdout) >= len(r.stdout) {
		t.Errorf("one section has %d of %d bytes: %+v", len(part.stdout), len(r.stdout), part.status)
	}
}

func TestErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	busy := startServer(t)
	for _, test := range []struct {
		want string
		args []string
	}{
		{`start one with "nitrokv serve"`, []string{"get", "k", "--addr", nobody}},
		{`start one with "nitrokv serve"`, []string{"put", "k", "v", "--addr", nobody}},
		{`start one with "nitrokv serve"`, []string{"bench", "--addr", nobody}},
		{"--addr", []string{"get", "k", "--addr", "nowhere"}},
		{"needs one key", []string{"get"}},
		{"needs one key", []string{"get", "a", "b"}},
		{"needs a key and a value", []string{"put", "k"}},
		{"needs a key and a value", []string{"put", "k", "v", "w"}},
		{"use one of them", []string{"put", "k", "v", "--file", "f"}},
		{"no such file", []string{"put", "k", "--file", filepath.Join(t.TempDir(), "absent")}},
		{"at least one key", []string{"del"}},
		{"takes one section", []string{"stats", "a", "b"}},
		{"unknown option --tll (did you mean --ttl?)", []string{"put", "k", "--tll", "5s"}},
		{"--addr needs a value; write --addr HOST:PORT", []string{"get", "k", "--addr"}},
		{"--ttl", []string{"put", "k", "v", "--ttl", "soon"}},
		{"must be more than 0", []string{"get", "k", "--timeout", "0s"}},
		{"did you mean", []string{"gte", "k"}},
		{"unknown command", []string{"help", "nothing"}},
		{"unknown option --sgements (did you mean --segments?)", []string{"serve", "--sgements", "4"}},
		{"unknown option --nothing", []string{"--nothing"}},
		{"unexpected", []string{"serve", "now"}},
		{"NitroKV", []string{"serve", "--listen", busy, "--max-clients", "10", "--dir", "off"}},
		{"--insecure-no-auth", []string{"serve", "--listen", "0.0.0.0:0", "--max-clients", "10", "--dir", "off"}},
		{"--sync and --wal off", []string{"serve", "--wal", "off", "--sync", "always"}},
		{"--log-retention and --wal off", []string{"serve", "--wal", "off", "--log-retention", "24h"}},
		{"--save-interval and --dir off", []string{"serve", "--dir", "off", "--save-interval", "60"}},
		{"--pipeline", []string{"bench", "--pipeline", "0"}},
		{"use one", []string{"bench", "--requests", "5", "--duration", "5s"}},
		{"--threads", []string{"bench", "--threads", "8", "--clients", "4"}},
		{"only the binary protocol", []string{"bench", "--protocol", "resp", "--durability", "always"}},
	} {
		r := call("", nil, test.args...)
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			mustBeError(t, r, strings.Replace(test.want, "NitroKV", "nitrokv", 1))
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"serve", "bench", "completion"}},
		{[]string{"help"}, []string{"serve", "bench", "completion"}},
		{[]string{"help", "Put"}, []string{"--ttl DURATION", "NITROKV_ADDR", "also called: set"}},
		{[]string{"serve", "--help"}, []string{"--segments N", "(default 256)", "NITROKV_SEGMENTS"}},
		{[]string{"version"}, []string{"nitrokv ", "go1"}},
		{[]string{"--version"}, []string{"nitrokv ", "go1"}},
		{[]string{"options"}, []string{"| `--segments N` | `NITROKV_SEGMENTS` | `256` |"}},
		{[]string{"completion", "bash"}, []string{"nitrokv"}},
		{[]string{"completion", "zsh"}, []string{"nitrokv"}},
		{[]string{"completion", "fish"}, []string{"nitrokv"}},
		{[]string{"completion", "powershell"}, []string{"nitrokv"}},
		{[]string{"__complete", "ge"}, []string{"get\t"}},
		{[]string{"__complete", "serve", "--seg"}, []string{"--segments"}},
	} {
		r := call("", nil, test.args...)
		for _, want := range test.want {
			if r.status != 0 || !strings.Contains(strings.ToLower(r.stdout), strings.ToLower(want)) {
				t.Errorf("%q: status %d, no %q in %.300q, stderr %q", test.args, r.status, want, r.stdout, r.stderr)
			}
		}
	}
}

func TestBenchAgainstTheServer(t *testing.T) {
	addr := startServer(t)
	for _, protocol := range []string{"binary", "resp"} {
		r := call("", nil, "bench", "--addr", addr, "--protocol", protocol, "--clients", "8", "--pipeline", "16", "--threads", "2",
			"--keys", "500", "--value-size", "8-3000", "--requests", "20000", "--verify", "--json")
		var report struct {
			Requests, Errors, Misses, Mismatches int
			Verified                             bool
		}
		if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.status != 0 {
			t.Fatalf("%s: status %d, stdout %q, stderr %q: %v", protocol, r.status, r.stdout, r.stderr, err)
		}
		if report.Requests != 20000 || report.Errors+report.Misses+report.Mismatches != 0 || !report.Verified {
			t.Errorf("%s: %+v", protocol, report)
		}
	}
}

// A run with error replies has a report and fails.
func TestBenchFailsAfterErrors(t *testing.T) {
	srv := startServer(t)
	if r := call("", nil, "bench", "--addr", srv, "--protocol", "resp", "--requests", "100", "--value-size", "10"); r.status != 0 ||
		!strings.Contains(r.stdout, "p99.99") {
		t.Errorf("a good run: %+v", r)
	}
	limited := startProgram(t, "serve", "--port", "0", "--dir", "off", "--max-memory", "64KiB")
	r := call("", nil, "bench", "--addr", limited.addr, "--protocol", "resp", "--requests", "1000", "--value-size", "100")
	if r.status != exitError || !strings.Contains(r.stdout, "p99.99") || strings.Count(r.stderr, "\n") != 1 ||
		!strings.Contains(r.stderr, "error replies") {
		t.Errorf("a run with errors: %+v", r)
	}
	limited.stop(t, syscall.SIGTERM, 0)
}

// A program is a nitrokv server in a process of its own.
type program struct {
	cmd  *exec.Cmd
	addr string
	log  *bufio.Scanner
	said []string
}

// serveIn starts a server with a data folder, and waits until its data is loaded.
func serveIn(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	p := startProgram(t, append([]string{"serve", "--port", "0", "--segments", "4", "--dir", dir}, args...)...)
	if r := call("", nil, "get", "no such key", "--addr", p.addr); r.status != exitNotFound { // the client waits while it loads
		t.Fatalf("the server never loads: %+v", r)
	}
	return p
}

// programCommand is this test binary as nitrokv.
func programCommand(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// startProgram starts this test binary as nitrokv and waits until it has said where it listens and what it keeps.
func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{cmd: programCommand(append(args, "--http", "off")...)}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() }) // fails if it has ended, as it should have
	p.log = bufio.NewScanner(out)
	for p.log.Scan() {
		p.said = append(p.said, p.log.Text())
		var record struct{ Msg, Addr string }
		if err := json.Unmarshal(p.log.Bytes(), &record); err != nil {
			t.Fatalf("a log line is not JSON though stderr is no terminal: %s", p.log.Text())
		}
		if record.Msg == "listening" {
			p.addr = record.Addr
		}
		if p.addr != "" && (strings.HasPrefix(record.Msg, "nothing is kept") || record.Msg == "data folder") {
			return p
		}
	}
	t.Fatalf("the server ended: %q", p.said)
	return nil
}

// stop sends a signal and demands the exit status.
func (p *program) stop(t *testing.T, sig os.Signal, status int) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	p.ended(t, status)
}

// ended waits for the end and demands the exit status.
func (p *program) ended(t *testing.T, status int) {
	t.Helper()
	watchdog := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer watchdog.Stop()
	for p.log.Scan() {
		p.said = append(p.said, p.log.Text())
	}
	_ = p.cmd.Wait() // the status is looked at below
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d (%v), want %d; it said:\n%s", got, p.cmd.ProcessState, status, strings.Join(p.said, "\n"))
	}
}

func TestSignalsEndTheServer(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			p := startProgram(t, "serve", "--port", "0", "--dir", "off", "--segments", "4")
			if r := call("", nil, "put", "k", "v", "--addr", p.addr); r.status != 0 {
				t.Errorf("put: %+v", r)
			}
			p.stop(t, sig, 0)
		})
	}
}

// A client that doesn't take its reply keeps a graceful stop waiting; a second signal ends it.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startProgram(t, "serve", "--port", "0", "--dir", "off", "--segments", "4", "--shutdown-timeout", "1h", "--write-timeout", "1h")
	c := stuckClient(t, p.addr)
	defer c.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for p.log.Scan() { // wait until it is stopping
		if p.said = append(p.said, p.log.Text()); strings.Contains(p.log.Text(), `"shutting down"`) {
			break
		}
	}
	p.stop(t, syscall.SIGTERM, exitError)
	if last := p.said[len(p.said)-1]; !strings.Contains(last, "second signal") {
		t.Errorf("the last line is %q", last)
	}
}

func TestShutdownTimeoutCutsOff(t *testing.T) {
	p := startProgram(t, "serve", "--port", "0", "--dir", "off", "--segments", "4", "--shutdown-timeout", "50ms", "--write-timeout", "1h")
	c := stuckClient(t, p.addr)
	defer c.Close()
	p.stop(t, syscall.SIGTERM, exitError)
	if last := p.said[len(p.said)-1]; !strings.Contains(last, "--shutdown-timeout 50ms") {
		t.Errorf("the last line is %q", last)
	}
}

// stuckClient asks for more than the sockets hold and reads only the beginning.
func stuckClient(t *testing.T, addr string) net.Conn {
	t.Helper()
	if r := call(strings.Repeat("v", 64<<20), nil, "put", "big", "-", "--addr", addr); r.status != 0 {
		t.Fatalf("put: %+v", r)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET big\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	return c
}
