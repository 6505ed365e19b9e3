package load

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A poller is an epoll instance, level-triggered: what one read leaves behind is reported again.
type poller struct {
	fd     int
	coarse bool // the kernel is older than 5.11 and sleeps whole milliseconds only
	events [256]unix.EpollEvent
}

// spin is how close the next due request must be for the loop to stay awake: waking up takes about that long, and
// being late would count as the server's latency.
const spin = 50 * time.Microsecond

// sharpTimers lets this thread's sleeps end on time rather than up to 50 µs later.
func sharpTimers() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set the timer slack: %w", err)
	}
	return nil
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &poller{fd: fd}, nil
}

// add starts watching a connection for input. Events come back with Fd = c.at.
func (p *poller) add(c *conn) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.at)})
}

// watch says whether room to write is of interest, too.
func (p *poller) watch(c *conn, output bool) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.at)}
	if output {
		e.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, c.fd, &e)
}

// wait returns the events that are there within d, which may be none. They are borrowed until the next call.
func (p *poller) wait(d time.Duration) ([]unix.EpollEvent, error) {
	if d <= spin {
		return p.look()
	}
	if p.coarse {
		return p.result(unix.EpollWait(p.fd, p.events[:], int(d/time.Millisecond)))
	}
	ts := unix.NsecToTimespec(int64(d - spin))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno == unix.ENOSYS {
		p.coarse = true
		return nil, nil
	}
	if errno != 0 {
		return p.result(0, errno)
	}
	return p.result(int(n), nil)
}

// look returns what is there now, without telling the scheduler of a wait that doesn't happen.
func (p *poller) look() ([]unix.EpollEvent, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return p.result(0, errno)
	}
	return p.result(int(n), nil)
}

func (p *poller) result(n int, err error) ([]unix.EpollEvent, error) {
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, err
	}
	return p.events[:max(n, 0)], nil
}

func (p *poller) close() error { return unix.Close(p.fd) }
