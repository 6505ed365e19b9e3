package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// A server inside its client
//
// With Options.Local a server opens no port: Dial is the one way to reach it. A connection is then a pair of sockets that
// the kernel connects to each other, so everything that a connection is works as it does over TCP, and nobody outside of
// the process can come in.

// stream is what a connection needs of its socket: one of TCP, or one end of a pair.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// localListener hands the other ends of pairs to the accept loop.
type localListener struct {
	calls  chan stream
	closed chan struct{}
	once   sync.Once
}

func newLocalListener() *localListener {
	return &localListener{calls: make(chan stream), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *localListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.calls:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *localListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *localListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// Dial connects to a server that was made with Options.Local. It waits until Serve runs, or ctx ends.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	if s.local == nil {
		return nil, errors.New("server: Dial is for a server that was made with Options.Local")
	}
	near, far, err := socketPair()
	if err != nil {
		return nil, fmt.Errorf("server: make a connection inside the process: %w", err)
	}
	select {
	case s.local.calls <- far:
		return near, nil
	case <-s.local.closed:
		err = ErrServerClosed
	case <-ctx.Done():
		err = fmt.Errorf("server: connect inside the process: %w", context.Cause(ctx))
	}
	return nil, errors.Join(err, near.Close(), far.Close())
}

// socketPair returns both ends of a connection.
func socketPair() (a, b stream, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	a, errA := streamOf(fds[0])
	b, errB := streamOf(fds[1])
	if err := errors.Join(errA, errB); err != nil {
		for _, s := range []stream{a, b} {
			if s != nil {
				err = errors.Join(err, s.Close())
			}
		}
		return nil, nil, err
	}
	return a, b, nil
}

// streamOf makes a connection of a socket's descriptor, which it takes over.
func streamOf(fd int) (stream, error) {
	f := os.NewFile(uintptr(fd), "socketpair")
	nc, err := net.FileConn(f) // has a descriptor of its own
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return nc.(*net.UnixConn), nil
}
