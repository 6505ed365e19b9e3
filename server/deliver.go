package server

import (
	"context"

	"github.com/nitrokv/nitrokv/engine"
)

// Delivering replies
//
// The engine leaves replies in the chunk, and beside them a gate for each that must not go out yet. Without a log there
// are no gates, and deliver is one comparison and one write. With one:
//
//	a gate below always   what the reply shows must be written: that is waited for here, one pwrite shared with
//	                      everybody who has appended meanwhile; then the reply is like one without a gate
//	a gate at always      what it shows must be durable: the reply goes into the queue (pending.go)
//
// In RESP everything behind a queued reply is queued too. In the binary protocol what needs not wait goes out at once
// and overtakes; a fence (NOOP) has a gate that is not below any other's, and so leaves behind all of them.
//
// Replies that don't fit into the chunk (StopOut within a reply, StopBig) can't be queued: the connection waits until
// its queue is empty and goes on with them itself.

// deliver sends what is in the chunk, and big behind it, or queues what must wait. false: the connection is over.
func (c *conn) deliver(fd uintptr, ch *engine.Chunk, big []byte) bool {
	var ok bool
	switch {
	case ch.Gates() == 0 && c.pend.Load() == nil:
		ok = c.write(fd, ch.Out()) && c.write(fd, big)
	case c.ss.Protocol() == engine.ProtocolBinary:
		ok = c.deliverBinary(fd, ch, big)
	default:
		ok = c.deliverText(fd, ch) && (len(big) == 0 || c.drain() && c.send(fd, big, nil))
	}
	ch.ClearOut()
	c.resumed = false
	return ok
}

// deliverOut empties a full chunk in the middle of a round.
func (c *conn) deliverOut(fd uintptr, ch *engine.Chunk) {
	part := endsInPart(ch)
	ok := c.deliver(fd, ch, nil)
	if p := c.pend.Load(); ok && p != nil && (part || p.full()) {
		c.drain()
	}
	c.resumed = true
}

// deliverBig writes a large value from where it lies, directly behind what is in the chunk.
func (c *conn) deliverBig(fd uintptr, ch *engine.Chunk) {
	c.deliver(fd, ch, ch.Big())
	c.resumed = true
}

// endsInPart reports whether the last reply in the chunk has to wait and goes on in the next one.
func endsInPart(ch *engine.Chunk) bool {
	n := ch.Gates()
	return n > 0 && ch.Gate(n-1).Part
}

// deliverText sends the replies in front of the first that has to wait, and queues the others.
func (c *conn) deliverText(fd uintptr, ch *engine.Chunk) bool {
	out, gates := ch.Out(), ch.Gates()
	w := c.settleWritten(ch)
	i, at := 0, 0
	if p := c.pend.Load(); p == nil || !p.waiting() {
		for i < gates && w.until(ch.Gate(i)) == 0 {
			i++
		}
		at = len(out)
		if i < gates {
			at = ch.Gate(i).From
		}
		if !c.send(fd, out[:at], nil) || at == len(out) {
			return !c.over
		}
	}
	p := c.queue()
	for ; i < gates; i++ {
		g := ch.Gate(i)
		p.addRun(out[at:g.From])
		p.add(out[g.From:g.To], c.describeGate(g, w.until(g)))
		at = g.To
	}
	p.addRun(out[at:])
	return true
}

// deliverBinary queues the replies that have to wait, moves the others together, and sends them. big follows the frame's
// head at the end of out; nobody may get between the two.
func (c *conn) deliverBinary(fd uintptr, ch *engine.Chunk, big []byte) bool {
	out := ch.Out()
	w := c.settleWritten(ch)
	kept, from := 0, 0
	headWaits := false
	for i := range ch.Gates() {
		g := ch.Gate(i)
		lsn := w.until(g)
		if lsn == 0 {
			continue
		}
		kept += copy(out[kept:], out[from:g.From])
		c.queue().add(out[g.From:g.To], c.describeGate(g, lsn))
		from, headWaits = g.To, g.Part
	}
	kept += copy(out[kept:], out[from:])
	if headWaits && len(big) > 0 {
		return c.send(fd, out[:kept], nil) && c.drain() && c.send(fd, big, nil)
	}
	return c.send(fd, out[:kept], big)
}

// waterline is how far the log was when a chunk's replies were looked at.
type waterline struct{ written, durable uint64 }

// until is the LSN that must be durable before the reply may go out, 0 if it may now. A reply below always has waited
// for its write already: if that is missing, the log has failed, and the queue is where it becomes an error.
func (w waterline) until(g engine.Gate) uint64 {
	if g.LSN <= w.durable || g.Level != engine.LevelAlways && g.LSN <= w.written {
		return 0
	}
	return g.LSN
}

// settleWritten waits for the write of everything that replies below level always show.
func (c *conn) settleWritten(ch *engine.Chunk) waterline {
	var upto [engine.LevelAlways]uint64
	for i := range ch.Gates() {
		if g := ch.Gate(i); g.Level < engine.LevelAlways {
			upto[g.Level] = max(upto[g.Level], g.LSN)
		}
	}
	for level, lsn := range upto {
		if lsn == 0 {
			continue
		}
		// An error is the log's failure: the LSN stays above what is written, which the caller sees.
		if c.srv.store.WaitWritten(lsn, engine.Level(level)) != nil {
			break
		}
	}
	return waterline{written: c.srv.store.Written(), durable: c.srv.store.Durable()}
}

// describeGate turns a gate of the chunk into an entry of the queue.
func (c *conn) describeGate(g engine.Gate, lsn uint64) gated {
	d := gated{lsn: lsn, since: c.watch.mark, id: g.ID, flags: g.Flags}
	if g.Wrote {
		d.kind |= gatedWrite
	}
	if g.Part {
		d.kind |= gatedPart
	}
	if c.resumed && g.From == 0 {
		d.kind |= gatedRest
	}
	return d
}

// queue returns the connection's queue, new with the first reply that has to wait.
func (c *conn) queue() *pending {
	p := c.pend.Load()
	if p == nil {
		p = newPending(c.srv.store, newConnSocket(c), c.ss.Protocol() == engine.ProtocolBinary, &c.srv.delays)
		c.pend.Store(p)
	}
	return p
}

// send writes a and b, one directly behind the other, past the queue.
func (c *conn) send(fd uintptr, a, b []byte) bool {
	p := c.pend.Load()
	if p == nil || len(a)+len(b) == 0 {
		return c.write(fd, a) && c.write(fd, b)
	}
	if !p.hold() {
		c.over = true
		return false
	}
	defer p.letGo()
	return c.write(fd, a) && c.write(fd, b)
}

// drain waits until the queue is empty; false: the connection is over.
func (c *conn) drain() bool {
	p := c.pend.Load()
	if p == nil || p.drain() {
		return true
	}
	c.over = true
	return false
}

// rest gives the chunk back and sees to what waits: there is nothing more to read at the moment.
func (c *conn) rest(ch *engine.Chunk) {
	c.park(ch)
	if p := c.pend.Load(); p != nil {
		p.commit()
	}
}

// catchUp stops a connection with too many replies waiting until they are gone. It returns the chunk to go on with,
// nil if the connection is over.
func (c *conn) catchUp(ch *engine.Chunk) *engine.Chunk {
	if !c.pend.Load().full() {
		return ch
	}
	c.park(ch)
	if !c.drain() {
		return nil
	}
	ch, err := c.takeChunk()
	if err != nil {
		c.srv.log.Warn("closing a client: no memory to go on", "client", c.id, "error", err)
		return nil
	}
	return ch
}

// beforeRound tells the log what waits, since the connection has something else to do, and slows down a writer whose
// level promises that no write stays off the disk for more than a second.
func (c *conn) beforeRound() {
	if p := c.pend.Load(); p != nil {
		p.ask()
	}
	if c.ss.Level() == engine.LevelEverysec {
		c.srv.store.Throttle(engine.LevelEverysec)
	}
}

// waitForRoom waits until the log has room for the next request. When the disk is full, or the log has failed, the
// engine knows too: it answers the request with the error.
func (c *conn) waitForRoom(ch *engine.Chunk) {
	if p := c.pend.Load(); p != nil {
		p.ask()
	}
	if err := c.srv.store.MakeRoom(ch.RoomBytes()); err != nil {
		c.srv.log.Debug("a request finds no room in the log", "client", c.id, "error", err)
	}
}

// endQueue sends what waits, unless the connection was killed: a client may have closed its half behind its last
// request.
func (c *conn) endQueue() {
	p := c.pend.Load()
	if p == nil {
		return
	}
	if c.wakes.Load()&wakeKill == 0 {
		c.drain()
	}
	p.close()
}

// blockOn lets wake end the context: while the connection's goroutine waits for something else than its client.
func (c *conn) blockOn(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	c.mu.Lock()
	c.cancel = cancel
	c.mu.Unlock()
	if c.wakes.Load()&(wakeKill|wakeShutdown) != 0 {
		cancel()
	}
	return ctx, func() {
		c.mu.Lock()
		c.cancel = nil
		c.mu.Unlock()
		cancel()
	}
}

// interrupt ends what the connection waits for.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}
