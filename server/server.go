package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// Server serves one store. Life: New → Listen → Serve (in a goroutine of the caller's) → Shutdown. Its methods may be
// called from any goroutine.
type Server struct {
	opt     Options
	log     *slog.Logger
	store   *engine.Store
	runID   string // 40 hexadecimal digits, new at every start
	replID  string // likewise: the name of this server's history, for INFO
	started time.Time
	live    settings
	total   totals
	load    loader
	auth    auth
	rates   rates
	slow    slowlog
	delays  replyDelays
	web     *web           // nil: no HTTP; set by Listen
	local   *localListener // nil: ports are listened on

	logged     bool          // there is a log, so replies may have gates
	sweepEvery time.Duration // the constant, but for tests
	damaged    uint64        // data files whose damage has been logged; the sweeper's

	commands []command // what COMMAND describes

	stop    chan struct{}  // closed by Shutdown: the sweeper ends
	workers sync.WaitGroup // accept loops, sweeper and loader, owned by Serve
	conns   sync.WaitGroup // one for each connection, owned by Shutdown
	aborted chan struct{}  // closed when abort is done

	mu        sync.Mutex // guards the fields below
	listeners []net.Listener
	clients   clientList
	closing   bool  // nobody new is let in
	shut      bool  // Shutdown has been called
	fatal     error // what made abort end the server
}

// totals count over all connections; those of open connections are in the connections.
type totals struct {
	accepted atomic.Uint64
	rejected atomic.Uint64
	nextID   atomic.Uint64
	denied   atomic.Uint64 // wrong users and passwords
	blocked  atomic.Int64  // connections that wait in WAITAOF, SAVE and the like now

	disk diskUse

	snapshots    atomic.Int64 // that clients read (SNAPSHOT OPEN) now
	nextSnapshot atomic.Uint64

	requests, bytesIn, bytesOut atomic.Uint64 // of closed connections
}

// ErrServerClosed is returned by Listen and Shutdown after Shutdown.
var ErrServerClosed = errors.New("server: it has been shut down")

// New opens the store and returns a server that does not listen yet. With Options.Dir the folder is locked and looked at;
// what it holds is loaded by Serve. The errors are about options, the folder, file descriptors and memory; nothing
// needs to be released after one.
func New(opt Options) (*Server, error) {
	opt = opt.withDefaults()
	if err := opt.validate(); err != nil {
		return nil, err
	}
	if err := ensureDescriptors(opt.MaxClients); err != nil {
		return nil, err
	}
	// Before the data folder is made: a start that is refused leaves nothing behind.
	for _, addr := range opt.Listen {
		if _, err := resolve(addr, opt.InsecureNoAuth || opt.Password != ""); err != nil {
			return nil, err
		}
	}
	if err := checkHTTP(opt); err != nil {
		return nil, err
	}
	maxMemory, why := effectiveMaxMemory(opt.MaxMemory)
	password := opt.Password
	opt.Password = "" // a digest of it is enough
	s := &Server{opt: opt, log: opt.Logger, runID: newID(), replID: newID(), started: time.Now(), auth: newAuth(password),
		sweepEvery: sweepEvery, logged: opt.Dir != "" && !opt.WALOff, commands: newCommandTable(), stop: make(chan struct{}),
		aborted: make(chan struct{})}
	if opt.Local {
		s.local = newLocalListener()
	}
	s.noteTraffic(s.started)
	s.live.init(opt, maxMemory)
	s.slow.init(opt)
	if err := s.openStore(maxMemory); err != nil {
		return nil, fmt.Errorf("server: the store cannot be opened: %w", err)
	}
	s.delays.elapsed = s.store.Elapsed
	s.log.Info("store opened", "segments", opt.Segments, "max_memory", maxMemory, "because", why, "dir", opt.Dir)
	return s, nil
}

func newID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails: it would crash the program first
	return hex.EncodeToString(b[:])
}

// Listen binds every address of Options.Listen, or none. A busy port's error says what answers there. With Options.Local
// it opens no port, and has to be called all the same.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return ErrServerClosed
	}
	if len(s.listeners) > 0 {
		return errors.New("server: it is listening already")
	}
	if s.local != nil {
		s.listeners = []net.Listener{s.local}
		return nil
	}
	ls, err := listenAll(s.opt.Listen, s.opt.InsecureNoAuth || s.auth.required)
	if err != nil {
		return err
	}
	if err := s.listenHTTP(); err != nil {
		for _, l := range ls {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	for _, l := range ls {
		s.listeners = append(s.listeners, l)
		s.log.Info("listening", "addr", l.Addr().String(), "password", s.auth.required)
		if addr := l.Addr().(*net.TCPAddr); !s.auth.required && !addr.IP.IsLoopback() {
			s.log.Warn("there is no password: everybody who reaches this address can read, change and delete all data",
				"addr", addr.String())
		}
	}
	return nil
}

// Addr is the first bound address; nil before Listen.
func (s *Server) Addr() net.Addr {
	if all := s.Addrs(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// Addrs are all bound addresses.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []net.Addr
	for _, l := range s.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// Serve loads the store, accepting connections meanwhile, and serves until Shutdown; then it returns nil, at once if
// Shutdown came first. Any other end is an error: ErrLogFailed, or why the store could not be loaded. Shutdown must be
// called after an error too.
func (s *Server) Serve() error {
	errs, n, err := s.startWorkers()
	for range n {
		err = errors.Join(err, <-errs)
	}
	s.mu.Lock()
	fatal := s.fatal
	s.mu.Unlock()
	if fatal != nil {
		<-s.aborted
	}
	return errors.Join(err, fatal)
}

// startWorkers starts an accept loop per listener, whose results come through errs, the sweeper and the loader.
func (s *Server) startWorkers() (errs <-chan error, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil, 0, nil
	}
	if len(s.listeners) == 0 {
		return nil, 0, errors.New("server: Serve needs a successful Listen before")
	}
	results := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		s.workers.Go(func() { results <- s.accept(l) })
	}
	s.web.start(s.log)
	s.workers.Go(s.sweep)
	if s.hasFolder() {
		s.workers.Go(s.loadStore)
	} else {
		s.workers.Go(s.opt.Ready)
	}
	return results, len(s.listeners), nil
}

// accept takes connections from one listener until it is closed.
func (s *Server) accept(l net.Listener) error {
	var pause time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.welcome(nc.(stream))
		case errors.Is(err, net.ErrClosed):
			return nil
		case temporaryAcceptError(err):
			// No descriptors or memory left: wait for some connection to end, rather than spin or die.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("cannot accept a connection", "addr", l.Addr().String(), "error", err, "retry_in", pause)
			select {
			case <-time.After(pause):
			case <-s.stop:
			}
		default:
			return fmt.Errorf("server: accept on %v: %w", l.Addr(), err)
		}
	}
}

// welcome starts serving a connection, or turns it away when there are too many.
func (s *Server) welcome(nc stream) {
	s.total.accepted.Add(1)
	c := newConn(s, nc)
	switch s.register(c) {
	case nil:
		go c.serve()
	case errTooManyClients:
		s.total.rejected.Add(1)
		refuse(nc)
	default:
		closeQuietly(nc)
	}
}

// refuse tells a surplus client why, without waiting for it.
func refuse(nc stream) {
	if rc, err := nc.SyscallConn(); err == nil {
		// A client that can't take even this gets the close alone.
		_ = rc.Control(func(fd uintptr) { _, _ = tryWrite(fd, []byte("-ERR max number of clients reached\r\n")) })
	}
	closeQuietly(nc)
}

// closeQuietly closes a connection of which nothing is expected any more, so that an error tells nothing.
func closeQuietly(nc stream) { _ = nc.Close() }

// Shutdown stops accepting, lets running requests finish and their replies go out, closes idle connections, and stops the
// store cleanly: everything is on disk when it returns nil. When ctx ends first, the remaining connections are cut and
// ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.shut = true
	n, err := s.dismiss()
	web := s.web
	s.mu.Unlock()
	s.log.Info("shutting down", "connections", n)

	close(s.stop)
	err = errors.Join(err, s.drain(ctx))
	web.leaveStore()
	err = errors.Join(err, s.closeStore(ctx))
	web.stop(s.log)
	s.log.Info("stopped", "requests", s.total.requests.Load(), "uptime", time.Since(s.started).Round(time.Millisecond).String())
	return err
}

// dismiss lets nobody in any more and asks everybody to finish; mu is held. A second call has nothing left to do.
func (s *Server) dismiss() (connections int, err error) {
	if s.closing {
		return s.clients.count, nil
	}
	s.closing = true
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	for c := s.clients.first; c != nil; c = c.next {
		c.wake(wakeShutdown)
	}
	return s.clients.count, err
}

// abortLimit is how long clients may take to get their last replies when the server has to end.
const abortLimit = time.Second

// abort makes Serve return err, after the clients have got their last replies.
func (s *Server) abort(err error) {
	s.mu.Lock()
	if s.closing { // it ends already
		s.mu.Unlock()
		return
	}
	s.fatal = err
	_, closeErr := s.dismiss()
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), abortLimit)
	defer cancel()
	if err := errors.Join(closeErr, s.drain(ctx)); err != nil {
		s.log.Warn("not every client has got its last replies", "error", err)
	}
	close(s.aborted)
}

// drain waits for all connections to end, and cuts them when ctx ends.
func (s *Server) drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.conns.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	n := s.clients.count
	for c := s.clients.first; c != nil; c = c.next {
		c.wake(wakeKill)
	}
	s.mu.Unlock()
	<-done
	if n == 0 {
		return nil
	}
	return fmt.Errorf("server: %d connections were cut: %w", n, context.Cause(ctx))
}
