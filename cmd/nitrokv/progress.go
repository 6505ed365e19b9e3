package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// progressStep is how often a progress line is drawn anew.
const progressStep = 200 * time.Millisecond

// A statusLine is the last line of a terminal, which is drawn again and again, below the lines that are said meanwhile.
type statusLine struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex // guards text, and the order of what is written
	text string     // what stands there
}

func newStatusLine(w io.Writer) *statusLine { return &statusLine{w: w, terminal: isTerminal(w)} }

// show draws what text returns until hide is called, if this is a terminal.
func (s *statusLine) show(text func() string) (hide func()) {
	if !s.terminal {
		return func() {}
	}
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		again := time.NewTicker(progressStep)
		defer again.Stop()
		for {
			select {
			case <-done:
				s.draw("")
				return
			case <-again.C:
				s.draw(text())
			}
		}
	})
	return func() {
		close(done)
		drawing.Wait()
	}
}

func (s *statusLine) draw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
	// A terminal that can't be written shows in other ways; a progress line is no reason to stop.
	_, _ = io.WriteString(s.w, eraseLine+text)
}

// say writes a line above.
func (s *statusLine) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		line = eraseLine + line
	}
	_, _ = io.WriteString(s.w, line+"\n"+s.text) // as above
}

// progressText is for example "loading [=====>    ]  35 %, 4s left, 35000 keys, 12000 keys/s". total 0: it isn't known.
func progressText(verb string, done, total, keys int64, elapsed time.Duration) string {
	text := verb
	if done < total {
		text = barText(verb, uint64(done), uint64(total), elapsed)
	}
	return fmt.Sprintf("%s, %d keys, %.0f keys/s", text, keys, float64(keys)/max(elapsed.Seconds(), 1e-3))
}

// A cancelReader reads a file that may have nothing for a long time, such as stdin, until its context ends. A read of a
// terminal or a pipe can't be ended from outside, so it waits for something to read before.
type cancelReader struct {
	ctx context.Context
	f   *os.File
}

// cancelStep is how long it takes to notice that the context has ended.
const cancelStep = 100 * time.Millisecond

// Read implements io.Reader.
func (r *cancelReader) Read(b []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		ready := []unix.PollFd{{Fd: int32(r.f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, int(cancelStep/time.Millisecond))
		if err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("wait for input: %w", err)
		}
		if n > 0 {
			return r.f.Read(b)
		}
	}
}
