package repl

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A tty is the terminal's mode. It is never one in which the kernel edits lines, except before and after the session: what
// is pasted while a command runs would be cut after 4096 bytes without a newline, and shown twice.
type tty struct {
	fd int

	mu     sync.Mutex // guards closed, and lets nothing follow restore
	before unix.Termios
	closed bool
}

func newTTY(f *os.File) (*tty, error) {
	t := &tty{fd: int(f.Fd())}
	before, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read the terminal's mode: %w", err)
	}
	t.before = *before
	return t, nil
}

// edit lets every key be read as it is.
func (t *tty) edit() error { return t.set(0) }

// run lets Ctrl-C, Ctrl-Z and Ctrl-\ be signals, while a command is carried out.
func (t *tty) run() error { return t.set(unix.ISIG) }

func (t *tty) set(local uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	mode := t.before
	mode.Iflag &^= unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	mode.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	mode.Lflag |= local
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(t.fd, unix.TCSETS, &mode)
}

// restore brings back the mode that was found, for good.
func (t *tty) restore() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return unix.IoctlSetTermios(t.fd, unix.TCSETS, &t.before)
}

// size is the terminal's width and height; one that doesn't know is taken for an ordinary one.
func (t *tty) size() (width, height int) {
	size, err := unix.IoctlGetWinsize(t.fd, unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}
