package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must happen; it is never waited for when it does.
const patience = time.Minute

// A session is nitrokv on a terminal, and what somebody who sits there sees and types.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	slave  *os.File // kept open, so that the terminal's mode can be looked at when the program has gone
	before unix.Termios

	writing sync.WaitGroup // pasted
	mu      sync.Mutex     // guards seen
	news    *sync.Cond     // more has come, or nothing will
	seen    string         // and not yet expected
	end     error          // of reading
}

// openTerminal makes a pair of pseudo terminals.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	raw, err := master.SyscallConn()
	if err == nil {
		var inner error
		err = raw.Control(func(fd uintptr) {
			inner = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
			if inner == nil {
				number, inner = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
			}
		})
		err = errors.Join(err, inner)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// sit starts this test binary as nitrokv on a new terminal. The process gets only the variables that it is given.
func sit(t *testing.T, env []string, args ...string) *session {
	t.Helper()
	s := &session{t: t, cmd: exec.Command(os.Args[0], args...)}
	s.news = sync.NewCond(&s.mu)
	s.master, s.slave = openTerminal(t)
	s.before = s.mode()
	s.cmd.Env = append([]string{asProgram + "=1", "TERM=xterm", "NITROKV_TIMEOUT=" + patience.String()}, env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = s.slave, s.slave, s.slave
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		s.read()
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // fails if it has ended, as it should have
		_ = s.master.Close()
		_ = s.slave.Close()
		<-read
		s.writing.Wait()
	})
	return s
}

func (s *session) read() {
	var b [4096]byte
	for {
		n, err := s.master.Read(b[:])
		s.mu.Lock()
		s.seen += string(b[:n])
		s.end = err
		s.news.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// expect waits until the terminal shows want, and returns what came up to there. What follows is left for the next call.
func (s *session) expect(want string) string {
	s.t.Helper()
	late := time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.end = errors.New("it takes too long")
		s.news.Broadcast()
	})
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if front, back, found := strings.Cut(s.seen, want); found {
			s.seen = back
			return front + want
		}
		if s.end != nil {
			s.t.Fatalf("waiting for %q: %v; the terminal shows %q", want, s.end, s.seen)
		}
		s.news.Wait()
	}
}

// typed sends keys.
func (s *session) typed(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// pasted sends more keys than the terminal holds, while the test reads what they do.
func (s *session) pasted(keys string) {
	s.writing.Go(func() {
		if _, err := s.master.WriteString(keys); err != nil {
			s.t.Errorf("paste: %v", err)
		}
	})
}

// line types a line when there is a prompt, and expects what is shown for it, and the next prompt.
func (s *session) line(line, shown string) {
	s.t.Helper()
	s.typed(line + "\r")
	s.expect(shown)
	s.prompt()
}

// prompt waits for one; it is followed by the sequence that empties the rest of the line.
func (s *session) prompt() {
	s.t.Helper()
	s.expect("> \x1b[0K")
}

func (s *session) mode() unix.Termios {
	s.t.Helper()
	mode, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *mode
}

// left waits for the program's end, and demands its status and a terminal that is as it was.
func (s *session) left(status int) {
	s.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.cmd.Wait() // the state tells all
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		s.t.Fatal("the program doesn't end")
	}
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Errorf("%v, want status %d", s.cmd.ProcessState, status)
	}
	if mode := s.mode(); mode != s.before {
		s.t.Errorf("the terminal's mode is %+v, and was %+v", mode, s.before)
	}
	s.expect("\x1b[?2004l") // pasting works as before
}
