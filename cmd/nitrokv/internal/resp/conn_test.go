package resp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/server"
)

// patience is how long a test waits for what must happen; it is never waited for when it does.
const patience = 30 * time.Second

// A script is a server that answers the i-th request that it gets with the i-th text, and notes what it was asked.
type script struct {
	addr string
	done chan struct{}

	mu    sync.Mutex // guards asked
	asked []string
}

// play serves one connection; it ends the connection behind the last reply unless hold is set.
func play(t *testing.T, hold bool, replies ...string) *script {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &script{addr: ln.Addr().String(), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		d := newDecoder(nc)
		for _, reply := range replies {
			v, err := d.value()
			if err != nil {
				return
			}
			s.note(v)
			if _, err := io.WriteString(nc, reply); err != nil {
				return
			}
		}
		if hold {
			_, _ = io.Copy(io.Discard, nc) // until the client closes
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-s.done
	})
	return s
}

func (s *script) note(v Value) {
	var words []string
	for _, e := range v.Elems {
		words = append(words, e.Text)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, strings.Join(words, " "))
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, addr string, opt Options) *Conn {
	t.Helper()
	if opt.Timeout == 0 {
		opt.Timeout = patience
	}
	c, err := Dial(context.Background(), addr, opt)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const helloReply = "%1\r\n+proto\r\n:3\r\n"

func TestHandshake(t *testing.T) {
	const unknown = "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"
	for _, test := range []struct {
		name    string
		opt     Options
		replies []string
		asked   []string
		fails   string
	}{
		{"plain", Options{}, []string{helloReply}, []string{"HELLO 3"}, ""},
		{"RESP2", Options{Protocol: 2}, []string{"*2\r\n+proto\r\n:2\r\n"}, []string{"HELLO 2"}, ""},
		{"password", Options{Password: "p"}, []string{helloReply}, []string{"HELLO 3 AUTH default p"}, ""},
		{"user", Options{User: "u", Password: "p"}, []string{helloReply}, []string{"HELLO 3 AUTH u p"}, ""},
		{"wrong password", Options{Password: "p"}, []string{"-WRONGPASS invalid\r\n"}, []string{"HELLO 3 AUTH default p"}, "WRONGPASS"},
		{"password missing", Options{}, []string{"-NOAUTH HELLO must be called\r\n"}, []string{"HELLO 3"}, ""},
		{"no such protocol", Options{}, []string{"-NOPROTO unsupported\r\n"}, []string{"HELLO 3"}, ""},
		{"old server", Options{}, []string{unknown}, []string{"HELLO 3"}, ""},
		{"old server, password", Options{Password: "p"}, []string{unknown, "+OK\r\n"}, []string{"HELLO 3 AUTH default p", "AUTH p"}, ""},
		{"old server, user", Options{User: "u", Password: "p"}, []string{unknown, "+OK\r\n"}, []string{"HELLO 3 AUTH u p", "AUTH u p"}, ""},
		{"old server, wrong password", Options{Password: "p"}, []string{unknown, "-ERR invalid password\r\n"}, []string{"HELLO 3 AUTH default p", "AUTH p"}, "invalid password"},
		{"full", Options{}, []string{"-ERR max number of clients reached\r\n"}, []string{"HELLO 3"}, "max number"},
		{"no Redis", Options{}, []string{"HTTP/1.1 400 Bad Request\r\n"}, []string{"HELLO 3"}, "Redis-compatible"},
		{"closes", Options{}, []string{""}, []string{"HELLO 3"}, "closed the connection"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := play(t, false, test.replies...)
			test.opt.Timeout = patience
			c, err := Dial(context.Background(), s.addr, test.opt)
			if err == nil {
				defer c.Close()
			}
			<-s.done
			if got := s.requests(); fmt.Sprint(got) != fmt.Sprint(test.asked) {
				t.Errorf("asked %q, want %q", got, test.asked)
			}
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("error %v, want %q", err, test.fails)
			}
			if err != nil && test.opt.Password == "p" && strings.Contains(err.Error(), " p ") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestDialErrors(t *testing.T) {
	if _, err := Dial(context.Background(), "127.0.0.1:1", Options{Protocol: 4}); err == nil || !strings.Contains(err.Error(), "use 2 or 3") {
		t.Error(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := ln.Addr().String()
	must(t, ln.Close())
	if _, err := Dial(context.Background(), nobody, Options{}); err == nil || !strings.Contains(err.Error(), nobody) {
		t.Error(err)
	}
}

func TestPushesAreOutOfBand(t *testing.T) {
	s := play(t, true, helloReply, ">1\r\n+news\r\n:5\r\n", ">1\r\n+news\r\n:6\r\n")
	c := dial(t, s.addr, Options{})
	if v, err := c.Do(context.Background(), "GET", "k"); err != nil || v.Int != 5 {
		t.Errorf("Do: %+v, %v", v, err)
	}
	c.Send("GET", "k")
	must(t, c.Flush(context.Background()))
	for _, want := range []byte{Push, Int} {
		if v, err := c.Receive(context.Background()); err != nil || v.Kind != want {
			t.Errorf("Receive: %+v, %v; want kind %c", v, err, want)
		}
	}
}

// A context that ends during a read ends the read, and with it the connection: the reply may still come.
func TestCancel(t *testing.T) {
	s := play(t, true, helloReply)
	c := dial(t, s.addr, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	c.Send("GET", "k")
	must(t, c.Flush(ctx))
	ended := make(chan error)
	go func() {
		_, err := c.Receive(ctx)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// Receive may have met the end before it had begun, which does no harm; a read that has begun can't be taken back.
	if _, err := c.Do(ctx, "GET", "k"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCancelledBeforeDoesNoHarm(t *testing.T) {
	s := play(t, true, helloReply, "+OK\r\n")
	c := dial(t, s.addr, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Do(ctx, "GET", "k"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if v, err := c.Do(context.Background(), "GET", "k"); err != nil || v.Text != "OK" || c.Lost() {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestSilenceIsLimited(t *testing.T) {
	s := play(t, true, helloReply)
	c := dial(t, s.addr, Options{Timeout: time.Second})
	_, err := c.Do(context.Background(), "GET", "k")
	if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "1s") || !c.Lost() {
		t.Errorf("%v, lost %v", err, c.Lost())
	}
	if _, again := c.Do(context.Background(), "GET", "k"); again == nil || again.Error() != err.Error() {
		t.Errorf("then %v, first %v", again, err)
	}
}

// The timeout may change between two requests.
func TestSetTimeout(t *testing.T) {
	s := play(t, true, helloReply)
	c := dial(t, s.addr, Options{Timeout: patience})
	c.SetTimeout(time.Millisecond)
	if _, err := c.Do(context.Background(), "GET", "k"); !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "1ms") {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	s := play(t, true, helloReply)
	c := dial(t, s.addr, Options{})
	must(t, c.Close())
	must(t, c.Close())
	if _, err := c.Do(context.Background(), "GET", "k"); !errors.Is(err, ErrClosed) || !c.Lost() {
		t.Error(err)
	}
}

// A server that has gone away between two requests is noticed before the next one is sent.
func TestLost(t *testing.T) {
	for _, last := range []string{helloReply, helloReply + "-ERR idle for too long\r\n"} {
		s := play(t, false, last)
		c := dial(t, s.addr, Options{})
		<-s.done
		for end := time.Now().Add(patience); !c.Lost(); { // the kernel may take its time
			if time.Now().After(end) {
				t.Fatalf("%q: the end of the stream is never noticed", last)
			}
		}
	}
	s := play(t, true, helloReply, "+OK\r\n")
	c := dial(t, s.addr, Options{})
	if c.Lost() {
		t.Error("a connection that works is lost")
	}
	if v, err := c.Do(context.Background(), "GET", "k"); err != nil || v.Text != "OK" {
		t.Errorf("%+v, %v", v, err)
	}
}

// A connection may be of another kind than TCP: to a server in this process, whose end is noticed as well.
func TestDialInside(t *testing.T) {
	srv, err := server.New(server.Options{Local: true, MaxClients: 2, Segments: 4})
	must(t, err)
	must(t, srv.Listen())
	served := make(chan error, 1)
	go func() { served <- srv.Serve() }()
	c := dial(t, "inside", Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return srv.Dial(ctx) }})
	if v, err := c.Do(context.Background(), "INCR", "n"); err != nil || v.Int != 1 || c.Lost() {
		t.Errorf("%+v, %v, lost %v", v, err, c.Lost())
	}
	must(t, srv.Shutdown(context.Background()))
	must(t, <-served)
	if !c.Lost() {
		t.Error("the end of the server is not noticed")
	}
}

// Against the real server: both protocols, a pipeline with a reader of its own, any bytes.
func TestServer(t *testing.T) {
	addr := startServer(t)
	for _, protocol := range []int{2, 3} {
		c := dial(t, addr, Options{Protocol: protocol})
		ctx := context.Background()
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		if v, err := c.Do(ctx, "SET", "k", string(every)); err != nil || v.Text != "OK" {
			t.Errorf("SET: %+v, %v", v, err)
		}
		if v, err := c.Do(ctx, "GET", "k"); err != nil || v.Kind != Bulk || v.Text != string(every) {
			t.Errorf("GET: %+v, %v", v, err)
		}
		if v, err := c.Do(ctx, "GET", "missing"); err != nil || v.Kind != Null {
			t.Errorf("GET of nothing: %+v, %v", v, err)
		}
		if v, err := c.Do(ctx, "no such verb"); err != nil || v.Kind != Error {
			t.Errorf("a bad verb: %+v, %v", v, err)
		}
		want := byte(Array)
		if protocol == 3 {
			want = Map
		}
		if v, err := c.Do(ctx, "COMMAND", "DOCS", "set"); err != nil || v.Kind != want {
			t.Errorf("COMMAND DOCS: kind %c, %v", v.Kind, err)
		}
		pipeline(t, c, 20_000)
	}
}

// pipeline sends from here and receives in another goroutine.
func pipeline(t *testing.T, c *Conn, n int) {
	t.Helper()
	if v, err := c.Do(context.Background(), "SET", "n", "0"); err != nil || v.Text != "OK" {
		t.Fatalf("SET: %+v, %v", v, err)
	}
	failed := make(chan error)
	go func() {
		for i := range n {
			v, err := c.Receive(context.Background())
			if err != nil || v.Int != int64(i)+1 {
				failed <- fmt.Errorf("reply %d: %+v, %v", i, v, err)
				return
			}
		}
		failed <- nil
	}()
	for i := range n {
		if c.Send("INCR", "n"); i%500 == 499 {
			must(t, c.Flush(context.Background()))
		}
	}
	must(t, c.Flush(context.Background()))
	must(t, <-failed)
}

func startServer(t *testing.T) string {
	t.Helper()
	srv, err := server.New(server.Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 100, Segments: 4})
	must(t, err)
	must(t, srv.Listen())
	served := make(chan error, 1)
	go func() { served <- srv.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(srv.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return srv.Addr().String()
}

// The decoder's buffer is the longest line that it takes.
func TestLongestLine(t *testing.T) {
	in := "+" + strings.Repeat("a", maxLine-3) + "\r\n"
	v, err := newDecoder(bufio.NewReader(strings.NewReader(in))).value()
	if err != nil || len(v.Text) != maxLine-3 {
		t.Errorf("%d bytes, %v", len(v.Text), err)
	}
}
