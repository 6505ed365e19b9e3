package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/client"
	"github.com/nitrokv/nitrokv/server"
)

func TestCLIRunsOneCommand(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t)}
	for _, step := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{[]string{"cli", "set", "k", "-5"}, 0, "OK\n", ""},
		{[]string{"CLI", "GET", "k"}, 0, "-5\n", ""},
		{[]string{"cli", "get", "missing"}, 0, "\n", ""},
		{[]string{"cli", "set", "j", `{"a": "b c"}`}, 0, "OK\n", ""},
		{[]string{"cli", "--resp", "2", "mget", "k", "missing", "j"}, 0, "-5\n\n{\"a\": \"b c\"}\n", ""},
		{[]string{"cli", "strange"}, 1, "", "nitrokv: cli: ERR unknown command"},
		{[]string{"cli", "get"}, 1, "", "wrong number of arguments"},
		{[]string{"cli", "help", "get"}, 0, "GET key\n  Answers the value of a key.\n  group: string\n", ""},
		{[]string{"cli", "help", "strange"}, 2, "", "there is no command"},
		{[]string{"cli", "--resp", "4", "get", "k"}, 2, "", "--resp"},
		{[]string{"cli", "--history", "", "get", "k"}, 2, "", "--history"},
		{[]string{"cli", "get", "k", "--addr", "127.0.0.1:1"}, 2, "", `start one with "nitrokv serve"`},
	} {
		r := call("", env, step.args...)
		if r.status != step.status || r.stdout != step.stdout || !strings.Contains(r.stderr, step.stderr) || (r.stderr == "") != (step.stderr == "") {
			t.Errorf("%q: %+v; want %+v", step.args, r, step)
		}
	}
}

func TestCLIPassword(t *testing.T) {
	addr := startServerWith(t, server.Options{Password: "sesame"})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		env, args []string
		stdin     string
		status    int
		stdout    string
		stderr    string
	}{
		{[]string{"NITROKV_PASSWORD=sesame"}, []string{"set", "k", "v"}, "", 0, "OK\n", ""},
		{nil, []string{"--password-file", file, "get", "k"}, "", 0, "v\n", ""},
		{nil, []string{"--password-file", file, "--resp", "2", "get", "k"}, "", 0, "v\n", ""},
		{nil, []string{"get", "k"}, "", 1, "", "--password-file"},
		{nil, []string{"auth", "sesame"}, "", 2, "", "--password-file or set NITROKV_PASSWORD"},
		{nil, nil, "AUTH sesame\nGET k\n", 0, "OK\nv\n", ""},
		{[]string{"NITROKV_PASSWORD=guess"}, []string{"get", "k"}, "", 2, "", "WRONGPASS"},
	} {
		r := call(test.stdin, test.env, append([]string{"cli", "--addr", addr}, test.args...)...)
		if r.status != test.status || r.stdout != test.stdout || !strings.Contains(r.stderr, test.stderr) || (r.stderr == "") != (test.stderr == "") {
			t.Errorf("%q: %+v; want %+v", test.args, r, test)
		}
		if strings.Contains(r.stderr, "sesame") || strings.Contains(r.stderr, "guess") {
			t.Errorf("%q shows the password: %s", test.args, r.stderr)
		}
	}
}

// What is piped in runs without prompts and leaves no history.
func TestCLIReadsAPipe(t *testing.T) {
	home := t.TempDir()
	env := []string{"NITROKV_ADDR=" + startServer(t), "HOME=" + home}
	for _, test := range []struct {
		in     string
		status int
		stdout string
		stderr string
	}{
		{"SET a 1\nGET a\n", 0, "OK\n1\n", ""},
		{"SET a 1\r\nGET a", 0, "OK\n1\n", ""},
		{"SET b <<EOF\n{\n  \"x\": 1\n}\nEOF\nGET b\n", 0, "OK\n{\n  \"x\": 1\n}\n", ""},
		{"SET b <<END EX 100\nv\nEND\nTTL b\nEXIT\nGET b\n", 0, "OK\n100\n", ""},
		{"SET bytes \"\\x00\\xff\\n\"\nGET bytes\n", 0, "OK\n\x00\xff\n\n", ""},
		{"NOPE\nSET a 2\n\nGET a\n", 1, "OK\n2\n", "1 of 3 commands failed"},
		{"SET a {\"a\": 1}\nGET a\n", 1, "2\n", `type: SET a '{"a": 1}'`},
		{"SET \"k <<END\nSET evil 1\nEND\nGET evil\n", 1, "\n", "1 of 2 commands failed"},
		{"SET a <<WORD\nvalue", 2, "", "<<WORD"},
		{"", 0, "", ""},
	} {
		r := call(test.in, env, "cli")
		var replies []string
		for line := range strings.Lines(r.stdout) {
			if !strings.HasPrefix(line, "(error) ") {
				replies = append(replies, line)
			}
		}
		if r.status != test.status || strings.Join(replies, "") != test.stdout || !strings.Contains(r.stderr, test.stderr) || (r.stderr == "") != (test.stderr == "") {
			t.Errorf("%q: %+v; want %+v", test.in, r, test)
		}
	}
	if files, err := os.ReadDir(home); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestHistoryFile(t *testing.T) {
	for _, test := range []struct {
		given string
		env   []string
		want  string
	}{
		{"", []string{"HOME=/h"}, "/h/.local/state/nitrokv/history"},
		{"", []string{"HOME=/h", "XDG_STATE_HOME=/s"}, "/s/nitrokv/history"},
		{"", []string{"HOME=/h", "XDG_STATE_HOME=relative"}, "/h/.local/state/nitrokv/history"},
		{"", nil, ""},
		{"off", []string{"HOME=/h"}, ""},
		{"file", []string{"HOME=/h"}, "file"},
	} {
		cfg := cliConfig{history: test.given}
		if got := cfg.historyFile(test.env); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// One sitting: commands, hints, completion, the search, words that leave; and the next one, which remembers all but secrets.
func TestCLIOnATerminal(t *testing.T) {
	addr, state := startServer(t), t.TempDir()
	env := []string{"XDG_STATE_HOME=" + state, "NITROKV_ADDR=" + addr}
	s := sit(t, env, "cli")
	s.prompt()
	s.line("SET balance 42", "OK")
	s.line("INCR balance", "(integer) 43")
	s.line("GET balance", `"43"`)
	s.line("GET nothing", "(nil)")
	s.line("MGET balance nothing", "1) \"43\"\r\n2) (nil)")
	s.line("STRANGE", "(error) ERR unknown command")
	s.line("AUTH hunter2", "(error)")
	s.line("HELLO 3 AUTH default hunter2", "(error)")
	s.line("GET", "usage: GET key")
	s.line(`SET user {"name": "Al ice"}`, "type: SET user '{\"name\": \"Al ice\"}'")
	s.line("SET user '{\"name\": \"Al ice\"}'", "OK")
	s.typed("set x")
	s.expect(" value [NX|XX") // the hint
	s.typed("\x03")
	s.prompt()
	s.line("clien\tgetn\t", "(nil)")
	s.line("\x12INCR bal", "(integer) 44") // Ctrl-R
	s.line("\x1b[A", "(integer) 45")       // the same line again, by the arrow
	s.line("help set", "Sets the value of a key")
	s.typed("\x04") // Ctrl-D
	s.left(exitOK)

	kept, err := os.ReadFile(filepath.Join(state, "nitrokv", "history"))
	if err != nil || !strings.Contains(string(kept), "INCR balance\n") || strings.Contains(string(kept), "hunter2") {
		t.Errorf("history %q, %v", kept, err)
	}
	for _, word := range []string{"exit", "EXIT", "quit"} {
		s = sit(t, env, "cli")
		s.prompt()
		s.line("\x12GET nothi", "(nil)")
		s.typed(word + "\r")
		s.left(exitOK)
	}
}

// Values of several lines, pasted into a terminal that marks pasted text, and into one that doesn't.
func TestCLIPaste(t *testing.T) {
	addr := startServer(t)
	s := sit(t, []string{"NITROKV_ADDR=" + addr}, "cli")
	s.prompt()
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("\t\"field %d\": \"é <<X 'quoted' \\n %s\",", i, strings.Repeat("-", i%60)))
	}
	want := "{\n" + strings.Join(lines, "\n") + "\n\n}"
	for name, ends := range map[string][2]string{"marked": {"\x1b[200~", "\x1b[201~"}, "plain": {"", ""}} {
		block := ends[0] + "SET " + name + " <<END\r" + strings.ReplaceAll(want, "\n", "\r") + "\rEND\r" + ends[1]
		s.pasted(block)
		s.expect("OK\r\n")
		s.prompt()
		if got := fetch(t, addr, name); got != want {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("%s: stored %d bytes, want %d; from byte %d on %.80q instead of %.80q", name, len(got), len(want), at, got[at:], want[at:])
		}
	}
	long := strings.Repeat("0123456789", 10_000)
	s.pasted("\x1b[200~SET long '" + long + "'\x1b[201~\r") // would take minutes, key by key
	s.expect("OK\r\n")
	s.prompt()
	if got := fetch(t, addr, "long"); got != long {
		t.Errorf("a long line: %d of %d bytes", len(got), len(long))
	}
	s.typed("\x1b[200~SET tabs 'a\tb'\x1b[201~")
	s.line("", "OK")
	if got := fetch(t, addr, "tabs"); got != "a\tb" {
		t.Errorf("a pasted tab: %q", got)
	}
	s.line("SET dropped <<END", "\r\n")
	s.line("some text", "END")
	s.typed("\x03")
	s.prompt()
	s.line("GET dropped", "(nil)")
	s.line("SET dropped <<END", "\r\n")
	s.typed("\x04")
	s.expect("the input ends inside a block: <<END")
	s.prompt()
	s.typed("exit\r")
	s.left(exitOK)
}

func fetch(t *testing.T, addr, key string) string {
	t.Helper()
	c, err := client.Open(addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	value, err := c.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(value)
}

// A signal leaves the terminal as it was; a terminal that can only print gets prompts all the same.
func TestCLISignalsAndPlainTerminals(t *testing.T) {
	env := []string{"NITROKV_ADDR=" + startServer(t), "NITROKV_HISTORY=off"}
	s := sit(t, env, "cli")
	s.prompt()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.left(exitOK)

	s = sit(t, append(env, "TERM=dumb"), "cli")
	s.expect("> ")
	s.typed("SET k v\n")
	s.expect("OK\r\n")
	s.expect("> ")
	s.typed("exit\n")
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A server that goes away and comes back is noticed, and nothing is sent twice.
func TestCLIConnectsAgain(t *testing.T) {
	first := startProgram(t, "serve", "--port", "0", "--dir", "off")
	s := sit(t, []string{"NITROKV_ADDR=" + first.addr, "NITROKV_HISTORY=off"}, "cli")
	s.prompt()
	s.line("SET k 1", "OK")
	first.stop(t, syscall.SIGTERM, 0)
	s.typed("GET k\r")
	s.expect("the server has closed the connection")
	s.expect("no server answers")
	s.expect("not connected> ")
	second, err := server.New(server.Options{Listen: []string{first.addr}, MaxClients: 100})
	if err == nil {
		err = second.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- second.Serve() }()
	s.line("GET k", "(nil)")
	s.typed("quit\r")
	s.left(exitOK)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := second.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Ctrl-C ends a command that takes too long, not the program.
func TestCLIInterruptsACommand(t *testing.T) {
	addr, got := silentServer(t)
	s := sit(t, []string{"NITROKV_ADDR=" + addr, "NITROKV_HISTORY=off"}, "cli")
	s.prompt()
	s.typed("GET k\r")
	select {
	case <-got:
	case <-time.After(patience):
		t.Fatal("the command is not sent")
	}
	s.typed("\x03")
	s.expect("(error) interrupted; whether the command was carried out is not known")
	s.expect("connected again")
	s.prompt()
	s.typed("\x04")
	s.left(exitOK)
}

// silentServer refuses everything but GET, which it never answers; got tells that one has come.
func silentServer(t *testing.T) (addr string, got <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gets := make(chan struct{}, 10)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return // closed
			}
			serving.Go(func() { refuse(nc, gets) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		serving.Wait() // the clients have gone
	})
	return ln.Addr().String(), gets
}

// refuse serves a connection until its client closes it.
func refuse(nc net.Conn, gets chan<- struct{}) {
	defer nc.Close()
	lines := bufio.NewScanner(nc)
	for lines.Scan() {
		switch lines.Text() {
		case "HELLO", "COMMAND":
			if _, err := io.WriteString(nc, "-ERR unknown command\r\n"); err != nil {
				return
			}
		case "GET", "SNAPSHOT":
			gets <- struct{}{}
		}
	}
}
