package server

import (
	"sync"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// Replies that wait
//
// A reply that acknowledges or shows what is not durable yet waits in its connection's queue, as encoded bytes with
// the LSN it waits for (its gate). The connection goes on reading and executing meanwhile, and its chunk goes back to
// the pool. Three parties work on a queue:
//
//	the connection's goroutine  adds replies, and writes those that need not wait (deliver.go)
//	the store's releaser        calls Durable after a sync: what has become ready goes straight to the socket
//	push, a goroutine           takes over from the releaser when the client's socket is full, so that one slow client
//	                            never keeps the others' replies back
//
// What keeps them apart, and the replies in order:
//
//	(1) The queue is changed under mu. Nothing that can block is done under it: tryWrite doesn't wait.
//	(2) Whoever writes to the socket without mu has set writing before. While it is set nobody else writes; who takes it
//	    back looks at the queue again, because Durable has left there what became ready meanwhile.
//	(3) While writing is not set, send is empty: what tryWrite didn't take belongs to push, which has set writing.
//	(4) RESP: replies leave in the order of their requests, so one that is ready stays behind one that waits, and
//	    the connection's goroutine writes past the queue only when it is empty. Binary: each leaves when it is ready.
//	(5) For each gate in the queue there is a Notify with that LSN or a larger one that has not been answered, or
//	    p.last is not below it: so somebody will call Durable when it is time. p.last is handed to the log before the
//	    connection's goroutine waits for anything (commit, ask).
//	(6) Once the log has failed, each waiting reply is replaced by an error of its own: "unknown" for a write, "not
//	    durable" for a read. It is looked at before the durable LSN, which does not move any more after a failure.
//	(7) After dead is set nothing is written, and the queue is empty for ever.
type pending struct {
	log    commits
	sock   socket
	binary bool
	delays *replyDelays

	// Gates that the log has not been told of: the smallest and the largest, 0 for none. The connection's goroutine's.
	first, last uint64

	mu      sync.Mutex // guards the fields below; order: Server.mu → mu
	changed sync.Cond  // somebody may find what he waits for: an empty queue, writing unset, dead
	writing bool       // see (2)
	dead    bool
	broken  bool     // the rest of a reply that has begun can't be sent: the connection ends behind what is released
	q       *replies // nil: nothing waits
	charged int64    // bytes, in steps
}

// commits is what a queue needs of the store.
type commits interface {
	LogState() engine.LogState
	Written() uint64
	Durable() uint64
	Notify(lsn uint64, w engine.Waiter)
	TryCommit(lsn uint64) bool
}

// socket is what a queue needs of its connection.
type socket interface {
	// tryWrite writes what the kernel takes at once; that it took fewer bytes is no error.
	tryWrite(p []byte) (int, error)
	// writeAll writes everything, waiting for the client if it must.
	writeAll(p []byte) error
	// cut ends a connection whose replies can't be delivered. It doesn't block.
	cut()
	// charge tells the engine about memory for replies, so that its limit covers it.
	charge(delta int64)
}

// Limits of a queue, beyond which the connection reads no more until the queue is empty.
const (
	pendingBytesMax   = 1 << 20
	pendingRepliesMax = 4096
)

// chargeStep is the unit in which a queue's memory is counted. Smaller queues are part of connBytes.
const chargeStep = 64 * 1024

// gated describes a reply in the queue, or a run of bytes that need not wait themselves.
type gated struct {
	lsn   uint64        // must be durable before; 0: nothing of its own to wait for
	since time.Duration // when it was ready, by Store.Elapsed
	n     uint32        // bytes
	id    uint16        // binary: the request's
	flags uint8         // binary: the request's
	kind  uint8         // gated… bits
}

const (
	gatedWrite = 1 << iota // the reply of a write
	gatedPart              // the reply goes on behind these bytes
	gatedRest              // the reply has begun before these bytes
)

// replies are the bytes of a queue: pooled, so that a connection has them only while something waits.
type replies struct {
	list []gated
	wait []byte // those of list, one after the other
	send []byte // released
}

var repliesPool = sync.Pool{New: func() any { return new(replies) }}

// What goes back to the pool is small: ten thousand connections that wait for one sync each hold one.
const (
	keepBytes   = 8 * 1024
	keepReplies = 256
)

func (q *replies) free() {
	if cap(q.wait) > keepBytes || cap(q.send) > keepBytes || cap(q.list) > keepReplies {
		return
	}
	q.list, q.wait, q.send = q.list[:0], q.wait[:0], q.send[:0]
	repliesPool.Put(q)
}

func newPending(log commits, sock socket, binary bool, delays *replyDelays) *pending {
	p := &pending{log: log, sock: sock, binary: binary, delays: delays}
	p.changed.L = &p.mu
	return p
}

// add queues bytes behind what waits. Durable or the next commit sends them.
func (p *pending) add(b []byte, g gated) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return
	}
	if p.q == nil {
		p.q = repliesPool.Get().(*replies)
	}
	if g.kind&gatedPart != 0 {
		// What follows comes directly behind it: nothing that waits now may go out in between.
		for i := range p.q.list {
			g.lsn = max(g.lsn, p.q.list[i].lsn)
		}
	}
	g.n = uint32(len(b))
	p.q.wait = append(p.q.wait, b...)
	for int64(len(p.q.wait)) > p.charged+chargeStep {
		p.charged += chargeStep
		p.sock.charge(chargeStep)
	}
	if n := len(p.q.list); g.lsn == 0 && n > 0 && p.q.list[n-1].lsn == 0 {
		p.q.list[n-1].n += g.n
		return
	}
	p.q.list = append(p.q.list, g)
	switch {
	case g.lsn != 0:
		p.last = max(p.last, g.lsn)
		if p.first == 0 || g.lsn < p.first {
			p.first = g.lsn
		}
	case len(p.q.list) == 1:
		p.advance() // what it was put behind has gone out in this moment, and nobody would come for it
	}
}

// addRun queues bytes that need not wait themselves.
func (p *pending) addRun(b []byte) {
	if len(b) > 0 {
		p.add(b, gated{})
	}
}

// waiting reports whether something is queued or being written by somebody else.
func (p *pending) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.q != nil || p.writing
}

// full reports whether the connection must stop reading.
func (p *pending) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.q != nil && (len(p.q.list) > pendingRepliesMax || len(p.q.wait)+len(p.q.send) > pendingBytesMax)
}

// bytes is how much waits for the disk or for the client.
func (p *pending) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.q == nil {
		return 0
	}
	return int64(len(p.q.wait) + len(p.q.send))
}

// commit is called when the connection has nothing else to do. In RESP, where nothing could overtake the queue anyway,
// it brings the log to the disk itself if nobody is at it: a lone client pays for no hand-over.
func (p *pending) commit() {
	if p.last != 0 && !p.binary && p.log.TryCommit(p.last) && p.sent() {
		p.first, p.last = 0, 0
		return
	}
	p.ask()
}

// sent sends what is ready and reports whether nothing waits any more.
func (p *pending) sent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance()
	return p.q == nil || len(p.q.list) == 0
}

// ask tells the log what is waited for, before the connection does something else.
func (p *pending) ask() {
	first, last := p.first, p.last
	if last == 0 {
		return
	}
	p.first, p.last = 0, 0
	// A sync that has begun covers at most what is written: gates on both sides of that become durable one sync apart.
	if w := p.log.Written(); first <= w && w < last {
		p.log.Notify(first, p)
	}
	p.log.Notify(last, p)
}

// Durable implements engine.Waiter: it sends what has become ready.
func (p *pending) Durable() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance()
}

// advance releases and sends; mu is held.
func (p *pending) advance() {
	if p.q == nil || p.writing || p.dead {
		return
	}
	p.release()
	if len(p.q.send) > 0 {
		n, err := p.sock.tryWrite(p.q.send)
		if err != nil {
			p.fail()
			return
		}
		if n < len(p.q.send) {
			p.q.send = append(p.q.send[:0], p.q.send[n:]...)
			p.writing = true
			go p.push()
			return
		}
		p.q.send = p.q.send[:0]
	}
	p.settled()
}

// push sends what the socket didn't take, and what becomes ready meanwhile.
func (p *pending) push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.dead && len(p.q.send) > 0 {
		send := p.q.send
		p.q.send = nil
		p.mu.Unlock()
		err := p.sock.writeAll(send)
		p.mu.Lock()
		if p.dead {
			break
		}
		if err != nil {
			p.fail()
			break
		}
		p.q.send = send[:0]
		p.release()
	}
	p.writing = false
	p.settled()
}

// settled ends a round of sending: everything released has been written; mu is held.
func (p *pending) settled() {
	if p.broken {
		p.fail()
	}
	if p.q != nil && len(p.q.list) == 0 {
		p.drop()
	}
	p.changed.Broadcast()
}

// drop gives the memory of the queue back; mu is held.
func (p *pending) drop() {
	p.q.free()
	p.q = nil
	if p.charged > 0 {
		p.sock.charge(-p.charged)
		p.charged = 0
	}
}

// release moves what may go out from wait to send; mu is held.
func (p *pending) release() {
	q := p.q
	failed := p.log.LogState() == engine.LogFailed // before the durable LSN: see (6)
	durable := p.log.Durable()
	waited := p.delays.begin()
	var from, to, kept int
	for _, g := range q.list {
		b := q.wait[from : from+int(g.n)]
		from += len(b)
		switch ready := g.lsn <= durable; {
		case p.broken: // what would follow a reply that can't be finished goes nowhere
		case kept > 0 && !p.binary, !ready && !failed:
			to += copy(q.wait[to:], b)
			q.list[kept] = g
			kept++
		case ready:
			q.send = append(q.send, b...)
			if g.lsn != 0 {
				waited.add(g.since)
			}
		default:
			q.send = p.appendFailure(q.send, g)
			p.delays.failed.Add(1)
		}
	}
	waited.end()
	q.list, q.wait = q.list[:kept], q.wait[:to]
}

// The words of the engine for the same things (NK_FAULTS in req_fault.h).
const (
	unknownText    = "the log has failed, the command may or may not be applied after a restart"
	notDurableText = "the log has failed before what this shows was durable"
)

// appendFailure encodes what a waiting reply becomes when the log has failed. The rest of a reply of which a part has
// been sent, or is about to come, can't be replaced: the connection ends.
func (p *pending) appendFailure(dst []byte, g gated) []byte {
	p.broken = p.broken || g.kind&(gatedPart|gatedRest) != 0
	if g.kind&gatedRest != 0 {
		return dst
	}
	status, word, text := proto.ENOTDURABLE, "NOTDURABLE", notDurableText
	if g.kind&gatedWrite != 0 {
		status, word, text = proto.EUNKNOWNOUTCOME, "UNKNOWN", unknownText
	}
	if p.binary {
		meta := proto.Meta{ID: g.id, Flags: proto.Flags(g.flags) & proto.FlagIntegrity}
		return proto.AppendErrorReply(dst, meta, status, text)
	}
	dst = append(append(dst, '-'), word...)
	return append(append(append(dst, ' '), text...), '\r', '\n')
}

// hold makes the caller the only one who writes to the socket, until letGo; false: the connection is dead.
func (p *pending) hold() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.writing && !p.dead {
		p.changed.Wait()
	}
	if p.dead {
		return false
	}
	p.writing = true
	return true
}

func (p *pending) letGo() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing = false
	p.advance()
	p.changed.Broadcast()
}

// drain waits until everything has been sent; false: it never will be.
func (p *pending) drain() bool {
	p.commit()
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.q != nil || p.writing) && !p.dead {
		p.changed.Wait()
	}
	return !p.dead
}

// fail ends a connection whose replies can't be sent; mu is held.
func (p *pending) fail() {
	p.end()
	p.sock.cut()
}

// end drops everything; mu is held.
func (p *pending) end() {
	p.dead = true
	if p.q != nil {
		p.drop()
	}
	p.changed.Broadcast()
}

// abandon makes the connection's goroutine stop waiting: it is being killed.
func (p *pending) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
}

// close ends the queue for good, and waits for push.
func (p *pending) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end()
	for p.writing {
		p.changed.Wait()
	}
}
