package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// patience is how long a test waits for something that must happen; it is never waited for when it does.
const patience = 20 * time.Second

// start serves on a free port until the test ends, and then demands a clean end.
func start(t testing.TB, opt Options) *Server {
	t.Helper()
	opt = inTestMode(t, opt)
	if opt.Listen == nil {
		opt.Listen = []string{"127.0.0.1:0"}
	}
	if opt.MaxClients == 0 {
		opt.MaxClients = 2000
	}
	s, err := New(opt)
	must(t, err)
	serve(t, s)
	if opt.Mode == engine.ModeBitcask {
		waitFor(t, "the data", func() bool { return !s.load.busy.Load() })
	}
	return s
}

// inTestMode makes mode bitcask of a server that keeps everything in memory, or a log without more, if NK_TEST_MODE says so: with
// files that are as small as they may be, and merged when anything in them is dead, a small cache and compression. "make race-bitcask" names the tests that can be
// run so.
func inTestMode(t testing.TB, opt Options) Options {
	t.Helper()
	switch mode := os.Getenv("NK_TEST_MODE"); {
	case mode == "" || mode == "memory" || opt.Mode != engine.ModeDefault || opt.WALOff:
		return opt
	case mode != "bitcask":
		t.Fatalf("NK_TEST_MODE is %q; use memory or bitcask", mode)
	}
	if opt.Dir == "" {
		opt.Dir, opt.Level = t.TempDir(), engine.LevelNever
	}
	opt.CacheBytes, opt.ValueCompression, opt.MapFiles = 64<<10, engine.ValueCompressionLZ4, true
	opt.Mode, opt.MaxFileBytes, opt.LogFileBytes, opt.Merge.DeadPercent = engine.ModeBitcask, 64<<10, 0, 1
	return opt
}

// serve runs a server that New has returned.
func serve(t testing.TB, s *Server) {
	t.Helper()
	must(t, s.Listen())
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := s.Shutdown(ctx)
		if errors.Is(err, ErrServerClosed) {
			return // the test has ended it
		}
		if err := errors.Join(err, <-served); err != nil {
			t.Error(err)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logBuffer holds log lines of any goroutine.
type logBuffer struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// client is a raw connection: tests choose the bytes.
type client struct {
	t testing.TB
	*net.TCPConn
	br *bufio.Reader
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr().String())
	must(t, err)
	c := &client{t: t, TCPConn: nc.(*net.TCPConn), br: bufio.NewReader(nc)}
	must(t, c.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = c.Close() }) // tests may have closed it
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.TCPConn, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// expect reads exactly want.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.br, got)
	if err != nil || string(got) != want {
		at := 0
		for at < n && got[at] == want[at] {
			at++
		}
		c.t.Fatalf("got %.100q, %v, want %.100q (from byte %d of %d on)", got[at:n], err, want[at:], at, len(want))
	}
}

// ask sends s and expects want.
func (c *client) ask(s, want string) {
	c.t.Helper()
	c.send(s)
	c.expect(want)
}

// expectEnd demands that the server closes the connection without another byte.
func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(io.LimitReader(c.br, 1<<20))
	if len(rest) != 0 {
		c.t.Fatalf("%.100q before the end", rest)
	}
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatal("the connection stays open")
	}
}

// do sends a command and returns its reply as Go values.
func (c *client) do(args ...string) any {
	c.t.Helper()
	c.send(resp(args...))
	v, err := readReply(c.br)
	if err != nil {
		c.t.Fatalf("%.100q: %v", strings.Join(args, " "), err)
	}
	return v
}

// check sends a command and compares the reply.
func (c *client) check(want any, args ...string) {
	c.t.Helper()
	if got := c.do(args...); !reflect.DeepEqual(got, want) {
		c.t.Errorf("%.100q: got %.200q, want %.200q", strings.Join(args, " "), fmt.Sprint(got), fmt.Sprint(want))
	}
}

func resp(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// The Go values of RESP's types: string (bulk, verbatim), status, respError, int64, nil, []any (array, set), respMap.
type (
	status    string
	respError string
	respMap   []any // alternating
)

func readReply(br *bufio.Reader) (any, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || !strings.HasSuffix(line, "\r\n") {
		return nil, fmt.Errorf("not a line of RESP: %q", line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return status(rest), nil
	case '-':
		return respError(rest), nil
	case '_':
		return nil, nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", line, err)
	}
	switch {
	case kind == ':':
		return n, nil
	case n < 0:
		return nil, nil
	case kind == '$' || kind == '=':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(br, b); err != nil {
			return nil, err
		}
		b = b[:n]
		if kind == '=' {
			b = bytes.TrimPrefix(b, []byte("txt:"))
		}
		return string(b), nil
	case kind == '%':
		list, err := readList(br, 2*n)
		return respMap(list), err
	case kind == '*' || kind == '~':
		return readList(br, n)
	}
	return nil, fmt.Errorf("unknown type in %q", line)
}

func readList(br *bufio.Reader, n int64) ([]any, error) {
	list := []any{}
	for range n {
		v, err := readReply(br)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// waitFor waits for a condition that somebody else brings about.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	tooLong := time.After(patience)
	for !done() {
		select {
		case <-look.C:
		case <-tooLong:
			t.Fatalf("waited too long for %s", what)
		}
	}
}
