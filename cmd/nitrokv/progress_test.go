package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestProgressText(t *testing.T) {
	for _, test := range []struct {
		done, total, keys int64
		want              string
	}{
		{0, 0, 500, "loading, 500 keys, 250 keys/s"},
		{512, 1024, 500, "loading [" + strings.Repeat("=", 15) + ">" + strings.Repeat(" ", 14) + "]  50 %, 2s left, 500 keys, 250 keys/s"},
		{1024, 1024, 500, "loading, 500 keys, 250 keys/s"},
	} {
		if got := progressText("loading", test.done, test.total, test.keys, 2*time.Second); got != test.want {
			t.Errorf("%d of %d: %q, want %q", test.done, test.total, got, test.want)
		}
	}
}

// shared is a buffer that two goroutines use.
type shared struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// On a terminal lines appear above the status, which goes away in the end; elsewhere there are only the lines.
func TestStatusLine(t *testing.T) {
	var out shared
	s := &statusLine{w: &out, terminal: true}
	drawn := make(chan struct{})
	var once sync.Once
	hide := s.show(func() string {
		once.Do(func() { close(drawn) })
		return "status"
	})
	<-drawn
	s.say("a line")
	hide()
	got := out.String()
	if !strings.Contains(got, eraseLine+"a line\n") || !strings.Contains(got, eraseLine+"status") || !strings.HasSuffix(got, eraseLine) {
		t.Errorf("got %q", got)
	}
	var plain shared
	s = newStatusLine(&plain)
	hide = s.show(func() string { return "status" })
	s.say("a line")
	hide()
	if plain.String() != "a line\n" {
		t.Errorf("without a terminal: %q", plain.String())
	}
}

// A read that waits for a pipe ends with its context, and one that has something to read gives it.
func TestCancelReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := &cancelReader{ctx, r}
	if _, err := io.WriteString(w, "some"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := in.Read(b); err != nil || string(b[:n]) != "some" {
		t.Errorf("%q, %v", b[:n], err)
	}
	ended := make(chan error)
	go func() {
		_, err := in.Read(b)
		ended <- err
	}()
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the read goes on after the end of its context")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&cancelReader{t.Context(), r}).Read(b); err != io.EOF {
		t.Errorf("at the end: %v, want EOF", err)
	}
}
