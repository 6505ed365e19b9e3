package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/cmd/nitrokv/internal/resp"
)

// patience is for what takes milliseconds.
const patience = 30 * time.Second

// A fake answers what its handler says, and HELLO by itself.
type fake struct {
	addr   string
	answer func(args []string) string
}

func newFake(t *testing.T, answer func(args []string) string) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{ln.Addr().String(), answer}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	return f
}

func (f *fake) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		args, err := request(in)
		if err != nil {
			return
		}
		reply := "%0\r\n"
		if args[0] != "HELLO" {
			reply = f.answer(args)
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

// request reads one in the form that resp.Conn sends.
func request(in *bufio.Reader) ([]string, error) {
	n, err := header(in, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := header(in, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func header(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q begins no %c", line, kind)
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

// holding answers as a server does that holds a snapshot file.
func holding(file []byte) func(args []string) string {
	return func(args []string) string {
		switch strings.Join(args[:min(2, len(args))], " ") {
		case "SNAPSHOT OPEN":
			return fmt.Sprintf("*6\r\n:7\r\n:%d\r\n:42\r\n:1700000000123\r\n:3\r\n$4\r\nbeef\r\n", len(file))
		case "SNAPSHOT READ":
			at, _ := strconv.Atoi(args[3])
			n, _ := strconv.Atoi(args[4])
			if args[2] != "7" || at+n > len(file) {
				return "-ERR no\r\n"
			}
			return fmt.Sprintf("$%d\r\n%s\r\n", n, file[at:at+n])
		}
		return "+OK\r\n"
	}
}

// A file of any size arrives byte by byte, also one that ends at the border of a piece.
func TestCopy(t *testing.T) {
	for _, size := range []int{1, pieceBytes, piecesAhead*pieceBytes + 12345, 7 * pieceBytes} {
		file := make([]byte, size)
		for i := range file {
			file[i] = byte(i * i >> 7)
		}
		job := New(newFake(t, holding(file)).addr, resp.Options{Timeout: patience})
		var got bytes.Buffer
		info, err := job.Run(t.Context(), &got)
		if err != nil || !bytes.Equal(got.Bytes(), file) {
			t.Fatalf("%d bytes: got %d, %v", size, got.Len(), err)
		}
		want := Info{LSN: 42, Time: time.UnixMilli(1700000000123), Keys: 3, Size: int64(size), Hash: "beef"}
		if info != want {
			t.Errorf("info %+v, want %+v", info, want)
		}
		if done, all := job.Progress(); done != int64(size) || all != int64(size) {
			t.Errorf("progress %d of %d", done, all)
		}
	}
}

// What a server answers wrongly is an error, and so is what it refuses.
func TestBadAnswers(t *testing.T) {
	file := make([]byte, 3*pieceBytes)
	for name, test := range map[string]struct {
		verb, reply, want string
	}{
		"refused":      {"OPEN", "-ERR no folder\r\n", "no folder"},
		"not an array": {"OPEN", "+OK\r\n", "not of the form"},
		"too short":    {"OPEN", "*2\r\n:1\r\n:2\r\n", "not of the form"},
		"no number":    {"OPEN", "*6\r\n:1\r\n+x\r\n:1\r\n:1\r\n:1\r\n+x\r\n", "part 2 is no number"},
		"negative":     {"OPEN", "*6\r\n:1\r\n:-5\r\n:1\r\n:1\r\n:1\r\n+x\r\n", "part 2 is no number"},
		"short piece":  {"READ", "$3\r\nabc\r\n", "at byte 0 of"},
		"failed piece": {"READ", "-ERR input/output error\r\n", "input/output error"},
		"failed close": {"CLOSE", "-ERR closed\r\n", "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			good := holding(file)
			f := newFake(t, func(args []string) string {
				if len(args) > 1 && args[1] == test.verb {
					return test.reply
				}
				return good(args)
			})
			_, err := New(f.addr, resp.Options{Timeout: patience}).Run(t.Context(), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if refused := errors.As(err, new(*RefusedError)); refused != strings.HasPrefix(test.reply, "-") {
				t.Errorf("%v is a refusal: %v", err, refused)
			}
		})
	}
}

// A server that is loading is asked again, as long as the timeout.
func TestLoadingServer(t *testing.T) {
	good, asked := holding([]byte("snapshot")), 0 // by one connection at a time
	f := newFake(t, func(args []string) string {
		if len(args) > 1 && args[1] == "OPEN" {
			if asked++; asked < 3 {
				return "-LOADING the data\r\n"
			}
		}
		return good(args)
	})
	if _, err := New(f.addr, resp.Options{Timeout: patience}).Run(t.Context(), io.Discard); err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	asked = -1 << 30
	if _, err := New(f.addr, resp.Options{Timeout: time.Millisecond}).Run(t.Context(), io.Discard); err == nil {
		t.Error("it waits for ever")
	}
}

// A write that fails is the error.
func TestWriteFails(t *testing.T) {
	f := newFake(t, holding(make([]byte, pieceBytes)))
	if _, err := New(f.addr, resp.Options{Timeout: patience}).Run(t.Context(), fullDisk{}); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// A snapshot may take longer than the timeout, as long as the server is alive.
func TestSlowSnapshot(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second
	pings := make(chan struct{}, 1000)
	good := holding([]byte("snapshot"))
	f := newFake(t, func(args []string) string {
		switch {
		case args[0] == "PING":
			pings <- struct{}{}
		case args[1] == "OPEN":
			for range timeout/watchEvery + 1 { // so many signs of life take longer than the timeout
				<-pings
			}
		}
		return good(args)
	})
	start := time.Now()
	if _, err := New(f.addr, resp.Options{Timeout: timeout}).Run(t.Context(), io.Discard); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took < timeout {
		t.Errorf("it took %v: this test says nothing", took)
	}
}

// A server that is silent altogether is given up.
func TestSilentServer(t *testing.T) {
	gone := make(chan struct{})
	defer close(gone)
	good := holding([]byte("snapshot"))
	f := newFake(t, func(args []string) string {
		if args[0] == "PING" || len(args) > 1 && args[1] == "OPEN" {
			<-gone
		}
		return good(args)
	})
	_, err := New(f.addr, resp.Options{Timeout: 50 * time.Millisecond}).Run(t.Context(), io.Discard)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// The end of the context ends the wait for a snapshot.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	defer close(gone)
	f := newFake(t, func(args []string) string {
		if len(args) > 1 && args[1] == "OPEN" {
			cancel()
			<-gone
		}
		return "+OK\r\n"
	})
	if _, err := New(f.addr, resp.Options{Timeout: patience}).Run(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
