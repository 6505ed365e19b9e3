package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// listenAll binds every address or none. Those that other machines can reach must be allowed.
func listenAll(addrs []string, open bool) (ls []*net.TCPListener, err error) {
	defer func() {
		if err != nil {
			for _, l := range ls {
				_ = l.Close() // the first error is the one to report
			}
			ls = nil
		}
	}()
	for _, addr := range addrs {
		tcp, err := resolve(addr, open)
		if err != nil {
			return ls, err
		}
		l, err := listenOne(tcp)
		if err != nil {
			return ls, fmt.Errorf("server: cannot listen on %s: %w", addr, explainListen(tcp, err))
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// resolve makes an address of its text, unless others than this machine can reach it and it is not open to them.
func resolve(addr string, open bool) (*net.TCPAddr, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("server: %q is no address to listen on: %w (want host:port, for example %s)",
			addr, err, DefaultListen)
	}
	if !open && !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("server: other machines can reach %s and nobody would have to give a password: "+
			"set one with --password-file or NITROKV_PASSWORD, listen on 127.0.0.1, or allow it with "+
			"--insecure-no-auth if the network is trusted", addr)
	}
	return tcp, nil
}

// listenOne binds one address. Keep-alive probes are set per connection, because the setting can change.
func listenOne(addr *net.TCPAddr) (*net.TCPListener, error) {
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// explainListen adds to a failed bind what the user can do about it.
func explainListen(addr *net.TCPAddr, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w: %s answers there; stop it, or choose another port with --port", err, whoAnswers(addr))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: ports below 1024 need privileges; choose another port with --port", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: this machine has no such address; choose another with --listen", err)
	}
	return err
}

// probeTimeout is how long a start that has failed anyway waits to learn what occupies the port.
const probeTimeout = 300 * time.Millisecond

// whoAnswers asks whatever listens on addr for its name in the language of Redis, which other servers answer in a
// recognisable way too.
func whoAnswers(addr *net.TCPAddr) string {
	target := *addr
	if target.IP == nil || target.IP.IsUnspecified() {
		target.IP = net.IP(netip.MustParseAddr("127.0.0.1").AsSlice())
	}
	c, err := net.DialTimeout("tcp", target.String(), probeTimeout)
	if err != nil {
		return "another program"
	}
	defer func() { _ = c.Close() }() // nothing was changed over it
	if c.SetDeadline(time.Now().Add(probeTimeout)) != nil {
		return "another program"
	}
	if _, err := c.Write([]byte("INFO server\r\n")); err != nil {
		return "another program"
	}
	answer := make([]byte, 4096)
	n, _ := c.Read(answer) // n alone says whether something came
	return nameOf(answer[:n])
}

// nameOf guesses a server from its answer to INFO.
func nameOf(answer []byte) string {
	text := string(answer)
	switch {
	case len(answer) == 0:
		return "a program that doesn't speak Redis's protocol"
	case strings.Contains(text, "nitrokv_version:"):
		return "nitrokv " + field(answer, "nitrokv_version:")
	case strings.Contains(text, "valkey_version:"):
		return "valkey " + field(answer, "valkey_version:")
	case strings.Contains(text, "redis_version:"):
		return "redis " + field(answer, "redis_version:")
	case strings.HasPrefix(text, "-NOAUTH"):
		return "a Redis-compatible server with a password"
	case strings.HasPrefix(text, "HTTP/"):
		return "a web server"
	case strings.HasPrefix(text, "ERROR"):
		return "memcached"
	}
	return "another program"
}

// field returns the rest of the line after name.
func field(text []byte, name string) string {
	_, rest, _ := bytes.Cut(text, []byte(name))
	line, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(line)
}

// temporaryAcceptError tells failures of accept that pass from those that stay.
func temporaryAcceptError(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.EPERM, syscall.EPROTO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
