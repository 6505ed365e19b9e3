package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nitrokv/nitrokv/engine"
)

// The life of a connection
//
// A connection is one goroutine, and that goroutine is one call of RawConn.Read: the runtime's poller calls readable
// whenever something may have come, and parks the goroutine when readable returns false. Compared with conn.Read in a
// loop this saves the per-call bookkeeping, and it tells when there is something to read before a buffer is needed:
//
//	readable: take a chunk → read → prepare → execute → write → … until read says EAGAIN → give the chunk back → park
//
// So a parked connection owns this struct, a small stack, and a session in C; the big buffers belong to the
// connections that are being served at this moment. What it holds in addition, by need:
//
//   - stash: the beginning of a request, up to 4 KiB, whose rest has not come yet;
//   - chunk: the same for longer beginnings. Its size follows what has arrived, not what was announced, and the engine
//     counts it against the memory limit;
//   - pend: replies that wait for the disk (pending.go, deliver.go).
//
// A client that doesn't read its replies stops here, inside write: nothing more of it is read, so that one
// chunk's replies and a bounded queue are all that waits, and after the write timeout it is closed.
type conn struct {
	srv *Server
	nc  stream
	rc  syscall.RawConn
	ss  *engine.Session
	id  uint64

	prev, next *conn // guarded by Server.mu

	chunk *engine.Chunk // kept while parked; nil most of the time
	stash []byte        // likewise

	wakes  atomic.Uint32 // why a parked connection was woken: wake…
	active atomic.Int64  // store time of the last input
	born   int64         // store time

	// The sweeper's (sweep.go): skipped is set to the current round when the connection parks without having
	// seen EAGAIN; swept is the sweeper's own note.
	skipped atomic.Uint32
	swept   uint32
	rounds  uint32

	hosted  uint64 // requests that ran in Go: the session doesn't count them
	flushed uint64 // LSN of the newest write that ran in Go: the session doesn't know it
	resumed bool   // the chunk's replies may begin with the rest of one that has been sent in part

	// While the client has not proved who it is (auth.go):
	lockedAt  atomic.Int64 // store time since when; 0: it is known, or nobody asks
	lockedOut uint64       // bytesOut at that time

	guessing atomic.Bool // in guard.judge, where the sweeper looks whether the client is still there

	watch stopwatch // how long requests take

	pend atomic.Pointer[pending] // replies that wait for the disk; nil until the first one does
	snap *openSnapshot           // SNAPSHOT OPEN; nil most of the time

	// Written by the connection, read by INFO and CLIENT LIST.
	requests, bytesIn, bytesOut atomic.Uint64
	proto                       atomic.Uint32 // engine.Protocol after the last round
	queryBytes, replyBytes      atomic.Int64  // input and output that waits for the client

	killed atomic.Bool // by CLIENT KILL: to other clients it is gone, although its goroutine may need a moment more

	over   bool // the connection ends after this round
	linger bool // and input may still be under way: see finish

	mu     sync.Mutex // guards the fields below; a leaf
	meta   *clientMeta
	cancel context.CancelFunc // ends what the connection waits for (WAITAOF, SAVE, AUTH, …); nil most of the time
}

// clientMeta is what a client says about itself; most say nothing.
type clientMeta struct{ name, libName, libVer string }

// Reasons to wake a parked connection.
const (
	wakeShutdown = 1 << iota // finish what has been read, then close
	wakeKill                 // close at once
	wakeIdle                 // close if nothing has come meanwhile
	wakeRead                 // something may have been missed: read again
)

func newConn(s *Server, nc stream) *conn {
	now := s.store.Now()
	c := &conn{srv: s, nc: nc, born: now}
	c.active.Store(now)
	return c
}

// serve owns the connection from its registration to its end.
func (c *conn) serve() {
	defer c.srv.conns.Done()
	defer c.srv.unregister(c)
	defer closeQuietly(c.nc)
	if err := c.open(); err != nil {
		c.srv.log.Warn("a connection could not be set up", "client", c.id, "error", err)
		return
	}
	defer c.ss.Close()
	c.loop()
	if c.chunk != nil {
		c.chunk.Release()
		c.chunk = nil
	}
	c.closeSnapshot()
	c.endQueue()
	if c.linger {
		c.finish()
	}
}

func (c *conn) open() (err error) {
	if c.rc, err = c.nc.SyscallConn(); err != nil {
		return err
	}
	if err := c.setKeepAlive(); err != nil {
		return err
	}
	if c.ss, err = c.srv.store.NewSession(c.id); err != nil {
		return err
	}
	c.ss.SetLevel(c.srv.opt.Level)
	c.lock()
	return nil
}

func (c *conn) setKeepAlive() error {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok {
		return nil // the other end is in this process
	}
	idle := c.srv.live.keepAlive()
	if idle <= 0 {
		return tcp.SetKeepAlive(false)
	}
	// Dead clients are found after the idle time and as long again, as Redis does.
	return tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: idle, Interval: max(idle/3, time.Second), Count: 3,
	})
}

// loop runs readable until the connection ends. RawConn.Read comes back earlier only when somebody has woken the
// connection by setting its read deadline.
func (c *conn) loop() {
	readable := c.readable
	for {
		err := c.rc.Read(readable)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		// The order matters: whoever sets a reason sets the deadline afterwards, so either the reason is seen here, or
		// its deadline comes after this one and wakes the connection again.
		if c.nc.SetReadDeadline(time.Time{}) != nil || c.ended(c.wakes.Swap(0)) {
			return
		}
	}
}

// ended decides whether the reasons for a wake-up end the connection.
func (c *conn) ended(reasons uint32) bool {
	if reasons&(wakeKill|wakeShutdown) != 0 {
		return true
	}
	limit := c.srv.live.idleTimeout()
	return reasons&wakeIdle != 0 && limit > 0 && c.srv.store.Now()-c.active.Load() >= limit.Milliseconds()
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// wake makes a parked connection come back to loop. Errors mean that it is closed already.
func (c *conn) wake(reason uint32) {
	c.wakes.Or(reason)
	if reason&(wakeKill|wakeShutdown) != 0 {
		c.interrupt()
	}
	if reason != wakeKill {
		_ = c.nc.SetReadDeadline(past)
		return
	}
	_ = c.nc.SetDeadline(past)
	if p := c.pend.Load(); p != nil {
		p.abandon()
	}
}

// readable serves what has come. It returns true when the connection ends, false to wait for more.
func (c *conn) readable(fd uintptr) bool {
	ch, err := c.takeChunk()
	if err != nil {
		c.refuseWork(fd, err)
		return true
	}
	for {
		space := ch.Space()
		n, err := read(fd, space)
		if err == syscall.EAGAIN {
			c.rest(ch)
			return false
		}
		if err != nil || n == 0 {
			ch.Release()
			return true
		}
		ch.Added(n)
		c.bytesIn.Store(c.bytesIn.Load() + uint64(n))
		c.round(fd, ch)
		if c.over {
			ch.Release()
			return true
		}
		if c.pend.Load() != nil {
			if ch = c.catchUp(ch); ch == nil {
				return true
			}
		}
		if n < len(space) && c.maySkip() {
			c.rest(ch)
			c.skipped.Store(c.rounds | 1)
			return false
		}
	}
}

// skipAfter is the number of rounds after which a connection is taken for one that will go on: from then on, a
// read that didn't fill the buffer is believed to have emptied the socket, and the read that would only say
// EAGAIN is left out. What this can lose, and how it is found again, is told in sweep.go.
const skipAfter = 64

func (c *conn) maySkip() bool {
	c.rounds++
	return c.rounds > skipAfter
}

// takeChunk returns the connection's chunk: the kept one, or one from the pool with the stash in it.
func (c *conn) takeChunk() (*engine.Chunk, error) {
	if ch := c.chunk; ch != nil {
		c.chunk = nil
		return ch, nil
	}
	ch, err := c.srv.store.Acquire()
	if err != nil || c.stash == nil {
		return ch, err
	}
	ch.Added(copy(ch.Space(), c.stash))
	c.stash = nil
	return ch, nil
}

// park gives the chunk back, or keeps what has been read of an incomplete request.
func (c *conn) park(ch *engine.Chunk) {
	n := ch.Unread()
	if int64(n) != c.queryBytes.Load() {
		c.queryBytes.Store(int64(n))
	}
	if n > 0 && n <= engine.StashMax {
		stash := make([]byte, n)
		if ch.Stash(stash) == n {
			c.stash = stash
			n = 0
		}
	}
	if n > 0 {
		c.chunk = ch
		return
	}
	ch.Release()
}

// round runs the requests in the chunk, and writes or queues their replies. Afterwards the chunk has room to read into,
// or over is set.
func (c *conn) round(fd uintptr, ch *engine.Chunk) {
	if c.srv.logged {
		c.beforeRound()
	}
	now, elapsed := c.srv.store.Times()
	c.watch.mark = elapsed
	if now != c.active.Load() { // an atomic store costs as much as reading the clock does, and says nothing new
		c.active.Store(now)
	}
	for more := true; more && !c.over; more = ch.More() {
		if err := ch.Prepare(c.ss, now); err != nil {
			c.refuseWork(fd, err)
			return
		}
		c.run(fd, ch, now)
		if ch.Closing() {
			c.over, c.linger = true, true
		}
		if c.ss.Locked() {
			c.limitLocked(ch)
		}
	}
	// Counted before the replies go out: whoever has seen a reply finds the request in INFO.
	c.requests.Store(c.ss.Requests() + c.hosted)
	if p := uint32(c.ss.Protocol()); p != c.proto.Load() {
		c.proto.Store(p)
	}
	if !c.deliver(fd, ch, nil) {
		return
	}
	if c.wakes.Load()&(wakeKill|wakeShutdown) != 0 {
		c.over = true
	}
	if !c.over {
		c.makeRoom(fd, ch)
	}
}

// run executes the prepared requests, stop by stop.
func (c *conn) run(fd uintptr, ch *engine.Chunk, now int64) {
	for !c.over {
		stop := ch.Execute(c.ss, now)
		c.account(ch)
		switch stop {
		case engine.StopDone:
			return
		case engine.StopHost:
			c.host(fd, ch)
			c.hosted++
			ch.Skip()
		case engine.StopBig:
			c.deliverBig(fd, ch)
			c.resume()
		case engine.StopOut:
			c.deliverOut(fd, ch)
			c.resume()
		case engine.StopBusy: // KEYS of a large store, or somebody who keeps changing what this one wants to change
			c.over = c.wakes.Load()&wakeKill != 0
		case engine.StopRoom:
			c.waitForRoom(ch)
			c.resume()
		default:
			c.srv.log.Error("the engine stopped for a reason that this server does not know", "client", c.id)
			c.over = true
		}
	}
}

// makeRoom prepares the chunk for the next read; an incomplete request that fills the buffer gets a larger one.
func (c *conn) makeRoom(fd uintptr, ch *engine.Chunk) {
	ch.Compact()
	if len(ch.Space()) > 0 {
		return
	}
	if err := ch.Grow(); err != nil {
		c.refuseWork(fd, err)
	}
}

// refuseWork answers a request that there is no memory to read, and closes: where it ends is not known.
func (c *conn) refuseWork(fd uintptr, err error) {
	c.over, c.linger = true, true
	c.srv.log.Warn("a request cannot be read", "client", c.id, "error", err)
	if c.drain() {
		c.send(fd, outOfMemory(c.ss.Protocol(), err), nil)
	}
}
