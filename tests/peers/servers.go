package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const readyLimit = time.Minute // loading a log included

// A kind of server: how it is started, and which text protocol it speaks.
type kind struct {
	name   string
	wire   wire
	stores bool // false: a ceiling, nothing to preload
	argv   func(b *bench, port int) []string
}

var (
	nitrokvKind = kind{"nitrokv", respWire, true, func(b *bench, port int) []string {
		return []string{b.cfg.nitrokv, "serve", "--port", strconv.Itoa(port), "--dir", "off", "--http", "off",
			"--max-clients", strconv.Itoa(b.cfg.idleConns + spareClients)}
	}}
	redisKind  = kind{"redis", respWire, true, redisArgs("redis-server")}
	valkeyKind = kind{"valkey", respWire, true, redisArgs("valkey-server")}
	// -m is only a limit; one thread, as the load is on one connection a time and the server on one CPU.
	memcachedKind = kind{"memcached", memcachedWire, true, func(b *bench, port int) []string {
		return []string{"memcached", "-l", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "0", "-m", "16384",
			"-c", strconv.Itoa(b.cfg.idleConns + spareClients), "-u", "root", "-t", "1"}
	}}
	echoKind     = kind{"echo ceiling", echoWire, false, ceilingArgs("echo")}
	constantKind = kind{"constant ceiling", respWire, false, ceilingArgs("constant")}
)

const spareClients = 200 // beyond the idle connections: the loader's and the benchmark's

func redisArgs(binary string) func(*bench, int) []string {
	return func(b *bench, port int) []string {
		return []string{binary, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
			"--daemonize", "no", "--maxclients", strconv.Itoa(b.cfg.idleConns + spareClients)}
	}
}

func ceilingArgs(subcommand string) func(*bench, int) []string {
	return func(b *bench, port int) []string { return []string{b.self, subcommand, "-port", strconv.Itoa(port)} }
}

// A server is a running process that has answered.
type server struct {
	*process
	kind kind
	addr string
}

// bench is one run of this program: where things are, and what is running.
type bench struct {
	cfg       config
	root      string // of the checkout
	self      string // this program, for its subcommands
	dir       string // for logs and compiled programs; removed at the end
	serverCPU int
	loadCPU   int
	servers   []*server
	cleanup   []func() error // at the end, after the servers
	progress  func(format string, args ...any)
	ticks     func() (ticks, error)
	disturbed disturbances // in the row that is measured
}

// start runs a server on cpu and waits until it answers.
func (b *bench) start(ctx context.Context, k kind, cpu int) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := start(b.dir, k.name, cpu, k.argv(b, port)...)
	if err != nil {
		return nil, err
	}
	s := &server{process: p, kind: k, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	b.servers = append(b.servers, s)
	return s, s.waitReady(ctx)
}

// stop ends one server.
func (b *bench) stop(s *server) {
	s.process.stop()
	for i, other := range b.servers {
		if other == s {
			b.servers = append(b.servers[:i], b.servers[i+1:]...)
			return
		}
	}
}

// close ends every server that is still running and removes the run's files.
func (b *bench) close() error {
	for _, s := range b.servers {
		s.process.stop()
	}
	b.servers = nil
	var errs []error
	for _, f := range b.cleanup {
		errs = append(errs, f())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// waitReady asks until the server answers in its own protocol and has loaded its data.
func (s *server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.ping(ctx)
		if err == nil {
			err = s.loaded(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return s.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer on %s after %v: %w: %s", s.name, s.addr, readyLimit, err, s.lastWords())
		case <-tick.C:
		}
	}
}

// loaded is nil if the server answers requests about data. (While it loads Redis refuses a PING too, nitrokv doesn't.)
func (s *server) loaded(ctx context.Context) error {
	if !s.kind.stores || s.kind.wire.name != respWire.name {
		return nil
	}
	reply, err := ask(ctx, s.addr, "DBSIZE")
	if err == nil && strings.HasPrefix(reply, "-LOADING") {
		err = errors.New(reply[1:])
	}
	return err
}

func (s *server) ping(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(s.kind.wire.ping)); err != nil {
		return err
	}
	reply := make([]byte, 256)
	n, err := conn.Read(reply)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(reply[:n], []byte(s.kind.wire.pong)) {
		return fmt.Errorf("unexpected reply %q to a ping", reply[:n])
	}
	return nil
}

// fill preloads a server with the keys that the load will ask for.
func (b *bench) fill(ctx context.Context, s *server) error {
	l, err := newLoader(ctx, s.kind.wire, s.addr, b.cfg.keys)
	if err != nil {
		return err
	}
	return errors.Join(l.fill(ctx, b.cfg.valueSize), l.close())
}

// freePort returns a port that nobody listened on a moment ago.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := ln.Addr().(*net.TCPAddr).Port
	return port, ln.Close()
}

// installed says whether a program is on the PATH.
func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
