package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/nitrokv/nitrokv/proto"
)

const (
	idMax      = math.MaxUint16 // ids 1 … 65,535; errors about the connection itself come with id 0
	frameMax   = 8 << 20        // longer requests leave as chunks
	bigRequest = 64 << 10       // beyond this a request is encoded outside the lock, in its own buffer
	outKeep    = 1 << 20        // a write buffer that grew beyond this is not kept
)

// abandoned stands in conn.calls for a call whose caller has gone: its id stays taken until the reply has
// come, so that the reply can't be taken for another call's.
var abandoned = new(call)

// conn is one connection, multiplexed over the request ids.
//
// Two goroutines work for it: run reads replies and hands each to its call, writeLoop sends what callers
// have queued. Whichever meets an error closes the socket, which ends the other; run waits for both, then
// fails the calls that are left. By then nothing is in flight, so conn.written says exactly which
// requests had left: a request that had not is known not to have been carried out, for the server acts on
// whole requests only.
//
// INVARIANTS
//
//	(1) An id is in `free`, or in `calls` (not nil), or above every id used so far (`high`).
//	(2) A call in `calls` belongs to the caller; claim takes it out, and exactly one signal follows.
//	(3) end of a queued request ≤ queued; written ≤ queued; requests are written in the order queued.
type conn struct {
	addr      string
	net       net.Conn
	reader    *proto.Reader
	hello     proto.HelloReply
	checksums bool
	frameMax  uint32
	limit     int         // requests that may be under way
	broken    atomic.Bool // err is set; so that callers can pass by without the lock

	mu       sync.Mutex // guards the fields below; held for copying small requests, never for I/O
	ready    sync.Cond  // writeLoop waits here for output; uses mu
	idle     bool       // writeLoop does
	room     chan struct{}
	calls    []*call  // by id; grows to the largest id used
	free     []uint16 // ids that can be used again
	inflight int      // ids taken
	segments [][]byte // output in order, each full or large
	out      []byte   // then this, still growing
	spare    []byte   // the buffer that out is swapped with
	queued   int64    // bytes ever queued
	written  int64    // bytes that the socket took
	err      error    // why the connection is closed; nil while it works
}

func newConn(addr string, nc net.Conn, r *proto.Reader, hello proto.HelloReply, o *Options) *conn {
	cn := &conn{
		addr: addr, net: nc, reader: r, hello: hello, checksums: o.Checksums,
		frameMax: min(hello.FrameMax, frameMax),
		limit:    o.MaxPending,
		calls:    make([]*call, 1, 64), // id 0 is never used
	}
	if hello.PendingMax > 0 {
		cn.limit = min(cn.limit, int(hello.PendingMax))
	}
	cn.ready.L = &cn.mu
	return cn
}

// alive reports whether the connection still takes requests.
func (cn *conn) alive() bool { return !cn.broken.Load() }

// send queues the request and registers the call, which will be signalled exactly once if send returns nil.
// It waits while too many requests are under way. Any error means that nothing was queued.
func (cn *conn) send(ctx context.Context, r *request, ca *call) error {
	if err := r.check(cn.hello.ValueMax); err != nil {
		return err
	}
	cn.mu.Lock()
	for cn.err == nil && cn.inflight >= cn.limit {
		if err := cn.waitRoom(ctx); err != nil {
			return localError(r, err, false)
		}
	}
	if cn.err != nil {
		defer cn.mu.Unlock()
		return &lostError{addr: cn.addr, cause: cn.err}
	}
	ca.reset()
	cn.takeID(ca)
	if size := r.size(); size > bigRequest {
		cn.mu.Unlock()
		big := r.append(make([]byte, 0, size+size/1024), cn.meta(ca.id))
		cn.mu.Lock()
		cn.queueBig(ca, big)
	} else {
		before := len(cn.out)
		cn.out = r.append(cn.out, cn.meta(ca.id))
		cn.queued += int64(len(cn.out) - before)
		ca.end = cn.queued
	}
	cn.wake()
	cn.mu.Unlock()
	return nil
}

func (cn *conn) meta(id uint16) proto.Meta {
	m := proto.Meta{ID: id, FrameMax: cn.frameMax}
	if cn.checksums {
		m.Flags = proto.FlagIntegrity
	}
	return m
}

// waitRoom releases mu until a request has ended, and takes it again unless it fails.
func (cn *conn) waitRoom(ctx context.Context) error {
	if cn.room == nil {
		cn.room = make(chan struct{})
	}
	room := cn.room
	cn.mu.Unlock()
	select {
	case <-room:
		cn.mu.Lock()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeID registers the call under an unused id. The caller holds mu and has checked that there is one.
func (cn *conn) takeID(ca *call) {
	cn.inflight++
	ca.end = math.MaxInt64 // not queued yet
	if n := len(cn.free); n > 0 {
		ca.id = cn.free[n-1]
		cn.free = cn.free[:n-1]
		cn.calls[ca.id] = ca
		return
	}
	ca.id = uint16(len(cn.calls))
	cn.calls = append(cn.calls, ca)
}

// dropID makes the id usable again. The caller holds mu.
func (cn *conn) dropID(id uint16) {
	cn.calls[id] = nil
	cn.free = append(cn.free, id)
	cn.inflight--
	if cn.room != nil {
		close(cn.room)
		cn.room = nil
	}
}

// queueBig queues a request that has a buffer of its own. If the connection broke meanwhile, the call has
// been failed already, and nothing is left to do. The caller holds mu.
func (cn *conn) queueBig(ca *call, big []byte) {
	if cn.err != nil {
		return
	}
	if len(cn.out) > 0 {
		cn.segments = append(cn.segments, cn.out)
		cn.out = nil
	}
	cn.segments = append(cn.segments, big)
	cn.queued += int64(len(big))
	ca.end = cn.queued
}

// wake starts the writer if it waits. The caller holds mu.
func (cn *conn) wake() {
	if cn.idle {
		cn.idle = false
		cn.ready.Signal()
	}
}

// wait returns when the call has ended: nil if it was answered or its connection broke, the context's
// error if that came first.
func (cn *conn) wait(ctx context.Context, ca *call) error {
	if ctx.Done() == nil { // cheaper than select
		<-ca.done
		return nil
	}
	select {
	case <-ca.done:
		return nil
	case <-ctx.Done():
	}
	if cn.abandon(ca) {
		return ctx.Err()
	}
	<-ca.done // the reader has claimed it and is about to signal
	return nil
}

// abandon detaches the call from its id; false if the reader was faster.
func (cn *conn) abandon(ca *call) bool {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.calls[ca.id] != ca {
		return false
	}
	cn.calls[ca.id] = abandoned
	return true
}

// run reads replies until the connection breaks or is closed, then fails what is left.
func (cn *conn) run() {
	var writer sync.WaitGroup
	writer.Go(cn.writeLoop)
	for {
		m, err := cn.reader.Next()
		if err == nil {
			err = cn.dispatch(&m)
		}
		if err != nil {
			cn.close(readError(err))
			break
		}
	}
	writer.Wait()
	cn.sweep()
}

// readError words the ends of a stream, which io says in two letters.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("closed by the server (%w)", err)
	}
	return err
}

// dispatch hands a reply to its call.
func (cn *conn) dispatch(m *proto.Message) error {
	if m.ID == 0 {
		return fmt.Errorf("the server gives up: %s: %s", m.Status().Error(), m.Body)
	}
	if cn.checksums && m.Flags&proto.FlagIntegrity == 0 {
		return fmt.Errorf("reply %d has no checksum although its request had one", m.ID)
	}
	ca := cn.claim(m.ID)
	switch ca {
	case nil:
		return fmt.Errorf("the server answers request %d, which was not asked", m.ID)
	case abandoned:
	default:
		ca.answer(m)
	}
	return nil
}

// claim takes the call with the id out of the table.
func (cn *conn) claim(id uint16) *call {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if int(id) >= len(cn.calls) || cn.calls[id] == nil {
		return nil
	}
	ca := cn.calls[id]
	cn.dropID(id)
	return ca
}

// close closes the socket; the first error stays. It doesn't wait: run does.
func (cn *conn) close(cause error) {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	if cn.err != nil {
		return
	}
	cn.err = cause
	cn.broken.Store(true)
	cn.ready.Broadcast()
	// Whatever closing reports, the connection is of no more use; the cause is what callers must see.
	_ = cn.net.Close()
}

// sweep fails the calls that got no reply.
func (cn *conn) sweep() {
	cn.mu.Lock()
	left := cn.calls
	cn.calls = make([]*call, len(left)) // abandon must find nothing
	written, lost := cn.written, &lostError{addr: cn.addr, cause: cn.err}
	if cn.room != nil {
		close(cn.room)
		cn.room = nil
	}
	cn.mu.Unlock()
	for _, ca := range left {
		if ca != nil && ca != abandoned {
			ca.fail(lost, ca.end > written)
		}
	}
}

// writeLoop sends what is queued, as much as there is in one write.
func (cn *conn) writeLoop() {
	for {
		segments, out, ok := cn.takeOutput()
		if !ok {
			return
		}
		n, err := cn.write(segments, out)
		cn.mu.Lock()
		cn.written += n
		if cap(out) <= outKeep {
			cn.spare = out[:0]
		}
		cn.mu.Unlock()
		if err != nil {
			cn.close(err)
			return
		}
	}
}

// takeOutput waits for output and takes all of it; false when the connection is closed.
func (cn *conn) takeOutput() (segments [][]byte, out []byte, ok bool) {
	cn.mu.Lock()
	defer cn.mu.Unlock()
	for cn.err == nil && len(cn.segments) == 0 && len(cn.out) == 0 {
		cn.idle = true
		cn.ready.Wait()
	}
	if cn.err == nil && cn.inflight > 1 && len(cn.segments) == 0 {
		// Others are at it: let those that can run now queue their requests for the same write.
		cn.mu.Unlock()
		runtime.Gosched()
		cn.mu.Lock()
	}
	if cn.err != nil {
		return nil, nil, false
	}
	segments, out = cn.segments, cn.out
	cn.segments, cn.out, cn.spare = nil, cn.spare, nil
	return segments, out, true
}

func (cn *conn) write(segments [][]byte, out []byte) (int64, error) {
	if len(segments) == 0 {
		n, err := cn.net.Write(out)
		return int64(n), err
	}
	if len(out) > 0 {
		segments = append(segments, out)
	}
	buffers := net.Buffers(segments)
	return buffers.WriteTo(cn.net)
}
