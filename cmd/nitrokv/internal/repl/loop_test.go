package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// typing is Lines that were written down: a line is what somebody types, an error what happens instead.
type typing struct {
	lines      []any
	prompts    []string
	remembered []string
}

func (l *typing) ReadText(prompt string) (string, error) {
	l.prompts = append(l.prompts, prompt)
	if len(l.lines) == 0 {
		return "", io.EOF
	}
	next := l.lines[0]
	l.lines = l.lines[1:]
	if err, failed := next.(error); failed {
		return "", err
	}
	return next.(string), nil
}

func (l *typing) ReadCommand(prompt string) (string, error) { return l.ReadText(prompt) }
func (l *typing) Remember(line string)                      { l.remembered = append(l.remembered, line) }

// A fakeServer answers SET and GET, and breaks as it is told.
type fakeServer struct {
	data    map[string]string
	sent    []string // commands, joined by |
	dials   int
	refuse  bool // connections
	conn    *fakeConn
	docs    bool // knows COMMAND DOCS
	breakAt string
}

type fakeConn struct {
	s    *fakeServer
	gone bool
}

func (s *fakeServer) dial(context.Context) (Conn, error) {
	s.dials++
	if s.refuse {
		return nil, errors.New("no server answers")
	}
	s.conn = &fakeConn{s: s}
	return s.conn, nil
}

func (c *fakeConn) Lost() bool   { return c.gone }
func (c *fakeConn) Close() error { c.gone = true; return nil }

func (c *fakeConn) Do(_ context.Context, args ...string) (resp.Value, error) {
	if c.gone {
		return resp.Value{}, errors.New("used though it is gone")
	}
	if args[0] == "COMMAND" {
		if c.s.docs {
			return dict(text("get"), dict(text("summary"), text("From the server."))), nil
		}
		return resp.Value{Kind: resp.Error, Text: "ERR unknown command"}, nil
	}
	c.s.sent = append(c.s.sent, strings.Join(args, "|"))
	if args[0] == c.s.breakAt {
		c.gone = true
		return resp.Value{}, fmt.Errorf("the server has closed the connection: %w", io.EOF)
	}
	switch {
	case strings.EqualFold(args[0], "SET") && len(args) == 3:
		c.s.data[args[1]] = args[2]
		return resp.Value{Kind: resp.Status, Text: "OK"}, nil
	case strings.EqualFold(args[0], "GET") && len(args) == 2:
		if v, ok := c.s.data[args[1]]; ok {
			return text(v), nil
		}
		return resp.Value{Kind: resp.Null}, nil
	case strings.EqualFold(args[0], "INFO"):
		return text("# Server\r\nx:1\r\n"), nil
	case strings.EqualFold(args[0], "AUTH"):
		return resp.Value{Kind: resp.Error, Text: "NOAUTH log in"}, nil
	case strings.EqualFold(args[0], "SET"), strings.EqualFold(args[0], "GET"):
		return resp.Value{Kind: resp.Error, Text: fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(args[0]))}, nil
	}
	return resp.Value{Kind: resp.Error, Text: "ERR unknown command"}, nil
}

// A stage is a session with everything it touches.
type stage struct {
	*Session
	server *fakeServer
	lines  *typing
	out    strings.Builder
	errs   strings.Builder
}

func newStage(terminal bool, lines ...any) *stage {
	s := &stage{server: &fakeServer{data: map[string]string{}}, lines: &typing{lines: lines}}
	s.Session = &Session{
		Addr: "host:1", Dial: s.server.dial, Lines: s.lines, Out: &s.out, Err: &s.errs, Pretty: terminal, Terminal: terminal, Commands: some(),
	}
	return s
}

func TestSession(t *testing.T) {
	for _, test := range []struct {
		name     string
		terminal bool
		lines    []any
		out      string
		sent     string
		err      string
	}{
		{"a terminal", true, []any{"SET k v", "GET k", "GET nothing", "FOO"}, "OK\n\"v\"\n(nil)\n(error) ERR unknown command\n", "SET|k|v GET|k GET|nothing FOO", ""},
		{"a script", false, []any{"SET k v", "GET k", "GET nothing"}, "OK\nv\n\n", "SET|k|v GET|k GET|nothing", ""},
		{"a script goes on after errors", false, []any{"FOO", "SET k v", "BAR"}, "(error) ERR unknown command\nOK\n(error) ERR unknown command\n", "FOO SET|k|v BAR", "2 of 3 commands failed"},
		{"nothing typed", true, []any{"", "  ", "\t"}, "", "", ""},
		{"exit", true, []any{"exit", "GET k"}, "", "", ""},
		{"EXIT", true, []any{"EXIT", "GET k"}, "", "", ""},
		{"quit", true, []any{" Quit ", "GET k"}, "", "", ""},
		{"exit in a script", false, []any{"exit", "GET k"}, "", "", ""},
		{"exit with arguments is a command", true, []any{"exit now"}, "(error) ERR unknown command\n", "exit|now", ""},
		{"Ctrl-C drops a line", true, []any{ErrInterrupted, "GET k"}, "(nil)\n", "GET|k", ""},
		{"clear", true, []any{"clear"}, "\x1b[H\x1b[2J", "", ""},
		{"clear in a script", false, []any{"CLEAR"}, "", "", ""},
		{"help", true, []any{"help get"}, "GET key\n  Gets.\n  group: string\n", "", ""},
		{"help for nothing", true, []any{"help what"}, "(error) there is no command \"what\"; help lists them\n", "", ""},
		{"a block", true, []any{"SET k <<EOF", "a", "  b", "EOF", "GET k"}, "OK\n\"a\\n  b\"\n", "SET|k|a\n  b GET|k", ""},
		{"an empty block", false, []any{"SET k <<E", "E"}, "OK\n", "SET|k|", ""},
		{"a block of one empty line", false, []any{"SET k <<E", "", "E"}, "OK\n", "SET|k|", ""},
		{"a block that ends with an empty line", false, []any{"SET k <<E", "a", "", "E"}, "OK\n", "SET|k|a\n", ""},
		{"the word in a longer line", false, []any{"SET k <<E", " E", "EE", "E "}, "", "", "line 1: the input ends inside a block: <<E"},
		{"a block from Windows", false, []any{"SET k <<E\r", "a\r", "b\r", "E\r"}, "OK\n", "SET|k|a\r\nb", ""},
		{"two blocks", false, []any{"SET <<K <<V", "key", "K", "value", "V"}, "OK\n", "SET|key|value", ""},
		{"a block with an argument behind it", true, []any{"SET k <<E x", "v", "E"}, "(error) ERR wrong number of arguments for 'set' command\n", "SET|k|v|x", ""},
		{"no block in quotes", false, []any{"SET k '<<E'"}, "OK\n", "SET|k|<<E", ""},
		{"no block without a word", false, []any{"SET k <<"}, "OK\n", "SET|k|<<", ""},
		{"commands inside a block are text", false, []any{"SET k <<E", "exit", "AUTH p", "E", "GET k"}, "OK\nexit\nAUTH p\n", "SET|k|exit\nAUTH p GET|k", ""},
		{"a block of help", false, []any{"help get <<E", "SET evil 1", "E"}, "(error) line 1: there is no command \"get <<E\"; help lists them\n", "", "1 of 1 commands failed"},
		{"a block behind a wrong quote", false, []any{`SET "k <<END`, "SET evil 1", "END", "GET evil"},
			"(error) line 1: this quote is not closed; close it, or put quotes that belong to the value inside '…'\n\n", "GET|evil", "1 of 2 commands failed"},
		{"two blocks behind a wrong quote", false, []any{`SET "k <<A x <<B`, "SET evil 1", "A", "SET evil 2", "B", "GET evil"},
			"(error) line 1: this quote is not closed; close it, or put quotes that belong to the value inside '…'\n\n", "GET|evil", "1 of 2 commands failed"},
		{"a block whose word has a quote", false, []any{`SET k <<"END`, "SET evil 1", "END", "GET evil"},
			"(error) line 1: this quote is not closed; close it, or put quotes that belong to the value inside '…'\n\n", "GET|evil", "1 of 2 commands failed"},
		{"a block behind JSON", false, []any{`SET k {"a": 1} <<E`, "SET evil 1", "E"}, "(error) line 1: JSON is one argument only inside '…'\n", "", "1 of 1 commands failed"},
		{"no block in a wrong quote", false, []any{`SET k "<<E`, "GET k"},
			"(error) line 1: this quote is not closed; close it, or put quotes that belong to the value inside '…'\n\n", "GET|k", "1 of 2 commands failed"},
		{"the end in a block behind a wrong quote", false, []any{`SET "k <<E`, "SET evil 1"},
			"(error) line 1: this quote is not closed; close it, or put quotes that belong to the value inside '…'\n", "", "line 1: the input ends inside a block: <<E"},
		{"Ctrl-C in a block behind a wrong quote", true, []any{`SET "k <<E`, "a", ErrInterrupted, "GET k"},
			"(error) this quote is not closed; close it, or put quotes that belong to the value inside '…'\n  SET \"k <<E\n      ^\n(nil)\n", "GET|k", ""},
		{"Ctrl-C in a block", true, []any{"SET k <<E", "a", ErrInterrupted, "GET k"}, "(nil)\n", "GET|k", ""},
		{"Ctrl-D in a block", true, []any{"SET k <<E", "a", io.EOF, "GET k"},
			"(error) the input ends inside a block: <<E needs a line that is E and nothing else; the command was not sent\n(nil)\n", "GET|k", ""},
		{"the end in a block", false, []any{"SET k <<WORD", "a"}, "", "", "<<WORD"},
		{"a line behind a block", false, []any{"SET k <<E", "a", "E", "", `GET "k`}, "OK\n(error) line 5: this quote is not closed; close it, or put quotes that belong to the value inside '…'\n", "SET|k|a", "1 of 2 commands failed"},
		{"text for people", true, []any{"INFO"}, "# Server\nx:1\n", "INFO", ""},
		{"text for programs", false, []any{"INFO"}, "# Server\r\nx:1\r\n", "INFO", ""},
		{"bad quotes", true, []any{`SET k "a`}, "(error) this quote is not closed; close it, or put quotes that belong to the value inside '…'\n  SET k \"a\n        ^\n", "", ""},
		{"JSON", true, []any{`SET k {"a": "b c"}`}, "(error) JSON is one argument only inside '…'\n  SET k {\"a\": \"b c\"}\n         ^\ntype: SET k '{\"a\": \"b c\"}'\n", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStage(test.terminal, test.lines...)
			err := s.Run(context.Background())
			got := s.out.String()
			if i := strings.Index(got, "usage:"); i >= 0 {
				got = got[:i]
			}
			if got != test.out || strings.Join(s.server.sent, " ") != test.sent {
				t.Errorf("out %q, sent %q; want %q, %q", s.out.String(), s.server.sent, test.out, test.sent)
			}
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if s.server.conn == nil || !s.server.conn.gone {
				t.Error("the connection is left open")
			}
		})
	}
}

// Only what the server has refused makes ErrRefused; its words are the text.
func TestOne(t *testing.T) {
	for _, test := range []struct {
		args    []string
		out     string
		err     string
		refused bool
	}{
		{[]string{"SET", "k", "v"}, "OK\n", "", false},
		{[]string{"GET", "nothing"}, "\n", "", false},
		{[]string{"FOO"}, "", "ERR unknown command", true},
		{[]string{"help", "get"}, "GET key\n  Gets.\n  group: string\n", "", false},
		{[]string{"Help", "what"}, "", "there is no command", false},
	} {
		s := newStage(false)
		err := s.One(context.Background(), test.args)
		if s.out.String() != test.out || errors.Is(err, ErrRefused) != test.refused || (err != nil) != (test.err != "") ||
			err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q: %q, %v", test.args, s.out.String(), err)
		}
	}
	s := newStage(false)
	s.server.refuse = true
	if err := s.One(context.Background(), []string{"GET", "k"}); err == nil || errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

// A password in the arguments is refused before anything is sent, and not repeated.
func TestOneTakesNoPassword(t *testing.T) {
	for _, args := range [][]string{{"auth", "hunter2"}, {"HELLO", "3", "AUTH", "me", "hunter2"}, {"config", "set", "requirepass", "hunter2"}, {"auth hunter2"}} {
		s := newStage(false)
		err := s.One(context.Background(), args)
		if err == nil || errors.Is(err, ErrRefused) || s.server.dials > 0 {
			t.Fatalf("%q: %v after %d dials", args, err, s.server.dials)
		}
		if text := err.Error(); strings.Contains(text, "hunter2") || !strings.Contains(text, "--password-file") || !strings.Contains(text, "NITROKV_PASSWORD") {
			t.Errorf("%q: %s", args, text)
		}
	}
}

func TestPrompts(t *testing.T) {
	s := newStage(true, "SET k <<WORD", "v", "WORD")
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.lines.prompts, "|"); got != "host:1> |WORD> |WORD> |host:1> " {
		t.Error(got)
	}
}

// Passwords are neither kept nor shown again, not even when the line is wrong.
func TestSecretsStaySecret(t *testing.T) {
	s := newStage(true, "AUTH hunter2", `AUTH "hunter2`, `HELLO 3 AUTH default 'hunter2'x`, "GET k")
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.out.String()+s.errs.String(), "hunter2") || strings.Join(s.lines.remembered, "|") != "GET k" {
		t.Errorf("out %q, remembered %q", s.out.String(), s.lines.remembered)
	}
	if !strings.Contains(s.out.String(), "--password-file") {
		t.Errorf("no word on how to log in: %q", s.out.String())
	}
}

// A refusal that comes from wrong arguments is explained: by the usage, and by JSON that was split without anybody's will.
func TestAdvice(t *testing.T) {
	s := newStage(true, "GET", "set k [1, 2]")
	if err := s.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"usage: GET key\n", "  set k [1, 2]\n        ^\ntype: set k '[1, 2]'\n"} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("no %q in %q", want, s.out.String())
		}
	}
	s = newStage(false, "set k [1, 2]")
	if err := s.Run(context.Background()); !errors.Is(err, ErrRefused) || strings.Contains(s.out.String(), "type:") || !strings.Contains(s.errs.String(), "type: set k '[1, 2]'") {
		t.Errorf("%v, out %q, err %q", err, s.out.String(), s.errs.String())
	}
}

// A connection that was closed while nothing was under way is opened again, once, and the command is carried out.
func TestConnectsAgain(t *testing.T) {
	for _, terminal := range []bool{true, false} {
		s := newStage(terminal)
		s.Session.Lines = &script{s.lines, []func() string{
			func() string { return "SET k v" },
			func() string { s.server.conn.gone = true; return "GET k" },
		}}
		if err := s.Run(context.Background()); err != nil {
			t.Error(err)
		}
		if s.server.dials != 2 || !strings.Contains(s.errs.String(), "connecting again") || strings.Join(s.server.sent, " ") != "SET|k|v GET|k" {
			t.Errorf("%d dials, %q, sent %q", s.server.dials, s.errs.String(), s.server.sent)
		}
	}
}

// script is Lines that are made when they are asked for.
type script struct {
	*typing
	next []func() string
}

func (l *script) ReadCommand(prompt string) (string, error) {
	l.prompts = append(l.prompts, prompt)
	if len(l.next) == 0 {
		return "", io.EOF
	}
	line := l.next[0]()
	l.next = l.next[1:]
	return line, nil
}

// While there is no server each command says so and was not sent; when there is one again, they work.
func TestServerAway(t *testing.T) {
	s := newStage(true)
	lines := &script{s.lines, []func() string{
		func() string { s.server.conn.gone, s.server.refuse = true, true; return "SET k 1" },
		func() string { return "SET k 2" },
		func() string { s.server.refuse = false; return "SET k 3" },
	}}
	s.Session.Lines = lines
	if err := s.Run(context.Background()); err != nil {
		t.Error(err)
	}
	if strings.Join(s.server.sent, " ") != "SET|k|3" || strings.Count(s.out.String(), "(error) no server answers; the command was not sent\n") != 2 {
		t.Errorf("sent %q, out %q", s.server.sent, s.out.String())
	}
	if got := strings.Join(lines.prompts, "|"); got != "host:1> |not connected> |not connected> |host:1> " {
		t.Errorf("prompts %s", got)
	}
}

// A command whose connection breaks is not sent twice, and nobody claims to know what became of it.
func TestBrokenInTheMiddle(t *testing.T) {
	s := newStage(true, "INCR n", "GET k")
	s.server.breakAt = "INCR"
	if err := s.Run(context.Background()); err != nil {
		t.Error(err)
	}
	if strings.Join(s.server.sent, " ") != "INCR|n GET|k" || !strings.Contains(s.out.String(), "is not known\nconnected again\n") {
		t.Errorf("sent %q, out %q", s.server.sent, s.out.String())
	}
	s = newStage(false, "SET k v", "INCR n", "GET k")
	s.server.breakAt = "INCR"
	err := s.Run(context.Background())
	if err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "line 2:") || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("a script: %v", err)
	}
	if strings.Join(s.server.sent, " ") != "SET|k|v INCR|n" {
		t.Errorf("a script goes on: %q", s.server.sent)
	}
}

func TestNoServerAtTheStart(t *testing.T) {
	s := newStage(true, "GET k")
	s.server.refuse = true
	if err := s.Run(context.Background()); err == nil || errors.Is(err, ErrRefused) || len(s.lines.prompts) > 0 {
		t.Errorf("%v after %q", err, s.lines.prompts)
	}
}

// The server's own description of its commands replaces the built-in one; if it has none, that stays.
func TestDescriptions(t *testing.T) {
	for _, docs := range []bool{true, false} {
		s := newStage(true, "help get")
		s.server.docs = docs
		if err := s.Run(context.Background()); err != nil || strings.Contains(s.out.String(), "From the server.") != docs || !docs && !strings.Contains(s.out.String(), "Gets.") {
			t.Errorf("docs %v: %q, %v", docs, s.out.String(), err)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestOutputThatFails(t *testing.T) {
	s := newStage(false, "SET k v", "SET k w")
	s.Session.Out = full{}
	if err := s.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "no room") || len(s.server.sent) != 1 {
		t.Errorf("%v after %q", err, s.server.sent)
	}
}

func TestCancelledSessionEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := newStage(true)
	s.Session.Lines = &script{s.lines, []func() string{func() string { cancel(); return "GET k" }, func() string { t.Error("asked for more"); return "" }}}
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}
