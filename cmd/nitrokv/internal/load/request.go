package load

import "time"

// fillRequests appends what the connection may send now and reports whether that is anything.
func (l *loop) fillRequests(c *conn, now int64) bool {
	switch {
	case len(c.out) > 0: // the socket is full; what is due stays due
		return false
	case l.stop.Load():
		return false
	case l.plan.rate > 0:
		l.fillDue(c)
	case c.waiting > 0:
		return false
	case l.plan.sequential:
		l.fillSequential(c)
	case !l.over(now):
		l.fillRandom(c)
	}
	return len(c.out) > 0
}

// fillSequential makes a pipeline of the connection's next keys.
func (l *loop) fillSequential(c *conn) {
	for range l.cfg.Pipeline {
		key := int64(c.number) + c.next*int64(l.cfg.Clients)
		if key >= l.cfg.Keys {
			return
		}
		c.next++
		if l.plan.readShare > 0 {
			l.get(c, uint64(key), 0)
		} else {
			l.set(c, uint64(key), 0)
		}
	}
}

// fillRandom makes a pipeline of random requests.
func (l *loop) fillRandom(c *conn) {
	n := min(int64(l.cfg.Pipeline), l.plan.left)
	l.plan.left -= n
	for range n {
		l.random(c, 0)
	}
}

// fillDue makes requests that are due, as far as the pipeline has room.
func (l *loop) fillDue(c *conn) {
	for c.next < c.arrived && int(c.tail-c.head) < l.cfg.Pipeline {
		due := l.plan.due(c.next*int64(l.cfg.Clients) + int64(c.number))
		c.next++
		l.unsent--
		l.random(c, due)
	}
}

// random makes one request as the settings ask.
func (l *loop) random(c *conn, due int64) {
	o := l.drawOp()
	if o == opSet && l.in != nil {
		l.set(c, l.in.insert(), due)
		return
	}
	key := l.picker.pick(&l.rng)
	switch {
	case o == opGet:
		l.get(c, key, due)
	case o == opModify:
		l.beginModify(c, key, due)
	case l.versions != nil:
		l.set(c, l.ownKey(c, key), due)
	default:
		l.set(c, key, due)
	}
}

// drawOp chooses between a GET and the other operation.
func (l *loop) drawOp() op {
	if l.rng.next()>>32 < l.plan.readBits {
		return opGet
	}
	return l.other
}

// ownKey replaces a key by one close to it that the connection may write.
func (l *loop) ownKey(c *conn, key uint64) uint64 {
	clients := uint64(l.cfg.Clients)
	own := key/clients*clients + uint64(c.number)
	if own >= uint64(l.cfg.Keys) {
		own -= clients // the last row of keys is incomplete
	}
	return own
}

func (l *loop) owns(c *conn, key uint64) bool {
	return l.versions != nil && key%uint64(l.cfg.Clients) == uint64(c.number)
}

func (l *loop) get(c *conn, key uint64, due int64) {
	l.underWay++
	id, s := c.push()
	*s = slot{due: due, key: key, op: opGet}
	if l.owns(c, key) {
		s.want = l.versions[key]
	}
	c.out = l.wire.appendGet(c.out, id, key)
}

// beginModify asks for the value that endModify will change.
func (l *loop) beginModify(c *conn, key uint64, due int64) {
	l.underWay++
	id, s := c.push()
	*s = slot{due: due, key: key, op: opModify, half: true}
	c.out = l.wire.appendGet(c.out, id, key)
}

// endModify writes a value back with a field changed. For a missing one it writes a whole new value.
func (l *loop) endModify(c *conn, key uint64, due int64, value []byte) {
	l.underWay++
	id, s := c.push()
	*s = slot{due: due, key: key, op: opModify}
	if len(value) == 0 {
		value = l.values.random(&l.rng)
	}
	c.out = l.wire.appendSet(c.out, id, key, l.values.modified(&l.rng, value))
}

func (l *loop) set(c *conn, key uint64, due int64) {
	l.underWay++
	id, s := c.push()
	*s = slot{due: due, key: key, op: opSet}
	if l.versions == nil {
		c.out = l.wire.appendSet(c.out, id, key, l.values.random(&l.rng))
		return
	}
	l.versions[key]++
	c.out = l.wire.appendSet(c.out, id, key, l.values.checked(key, l.versions[key]))
}

// The open loop's requests are numbered over all connections: number i belongs to connection i mod clients. A loop's
// j-th request is that of its connection j mod (its number of connections).

// arrival returns the number of the loop's j-th request.
func (l *loop) arrival(j int64) int64 {
	own := int64(len(l.conns))
	return j/own*int64(l.cfg.Clients) + int64(l.conns[j%own].number)
}

// allArrived says that every request of a phase with a fixed number has become due.
func (l *loop) allArrived() bool {
	return l.plan.requests > 0 && l.arrival(l.plan.arrivals) >= l.plan.requests
}

// arrive finds the requests that have become due and sends those for which there is room.
func (l *loop) arrive(now int64) error {
	l.dirty = l.dirty[:0]
	own := int64(len(l.conns))
	until := min(now, l.plan.end-1)
	for !l.stop.Load() && !l.allArrived() && l.plan.due(l.arrival(l.plan.arrivals)) <= until {
		c := l.conns[l.plan.arrivals%own]
		l.plan.arrivals++
		c.arrived++
		l.unsent++
		if c.arrived == c.next+1 {
			l.dirty = append(l.dirty, c)
		}
	}
	for _, c := range l.dirty {
		if err := l.refill(c, now); err != nil {
			return err
		}
	}
	return nil
}

// abandon gives up the backlog. Each request is recorded with the time it has waited, which is less than it would have
// taken, so the percentiles don't forget what the server didn't manage.
func (l *loop) abandon(now int64) {
	for _, c := range l.conns {
		for ; c.next < c.arrived; c.next++ {
			waited := time.Duration(now - l.plan.due(c.next*int64(l.cfg.Clients)+int64(c.number)))
			l.stats.abandon(l.drawOp(), waited)
		}
	}
	l.unsent = 0
}
