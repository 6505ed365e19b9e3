package load

import (
	"errors"
	"fmt"
	"time"
)

// replies takes every complete reply from the connection's input and counts it.
func (l *loop) replies(c *conn, now int64) error {
	var done [opCount]int
	ordered := l.wire.ordered()
	for {
		r := l.wire.parse(c.in[c.start:c.end])
		if r.size == 0 {
			c.need = r.need
			break
		}
		if r.kind >= kindPart {
			if err := l.unusual(c, r); err != nil {
				return err
			}
			continue
		}
		if len(c.parts) > 0 {
			size := r.size
			r = c.join(r)
			r.size = size
		}
		s, err := l.take(c, r, ordered)
		if err != nil {
			return err
		}
		c.start += r.size
		switch {
		case r.kind == kindError: // how fast a server refuses is not what is measured
		case s.half:
			l.endModify(c, s.key, s.due, r.body)
		case l.plan.rate > 0:
			l.stats.record(s.op, time.Duration(now-s.due), 1)
		default:
			done[s.op]++
		}
	}
	if l.plan.rate == 0 {
		took := time.Duration(now - c.batchAt)
		for o, n := range done {
			l.stats.record(op(o), took, n)
		}
	}
	l.answered.Store(l.stats.requests())
	return nil
}

// unusual deals with what isn't a whole reply.
func (l *loop) unusual(c *conn, r reply) error {
	if r.kind == kindGarbage {
		return fmt.Errorf("not a reply of the %s protocol: %.80q", l.cfg.Protocol, r.body)
	}
	c.start += r.size
	return c.part(r)
}

// take finds the request that a reply belongs to.
func (l *loop) take(c *conn, r reply, ordered bool) (*slot, error) {
	s := c.answered(ordered, r.id)
	if s == nil {
		return nil, fmt.Errorf("a reply to nothing that was asked: %.80q", c.in[c.start:c.start+r.size])
	}
	l.underWay--
	if s.op == opSet && l.in != nil && s.key >= uint64(l.cfg.Keys) {
		l.in.answered(s.key)
	}
	return s, l.judge(c, s, r)
}

// judge counts one reply: hit, miss, error, or, when verifying, wrong.
func (l *loop) judge(c *conn, s *slot, r reply) error {
	switch {
	case r.kind == kindError:
		l.unchecked = true
		l.stats.fail(r.body)
	case !s.reads():
		if r.kind != kindStored {
			return fmt.Errorf("the reply to a SET is not an acknowledgement: %.80q", c.in[c.start:c.start+r.size])
		}
	case r.kind == kindMiss:
		l.stats.misses++
		if l.versions != nil {
			l.stats.mismatch(s.key, "missing, though it was written")
		}
	case r.kind == kindStored && l.wire.ordered():
		return errors.New("the reply to a GET is an acknowledgement, not a value")
	default:
		l.stats.valueBytes += int64(len(r.body))
		if l.versions != nil {
			l.verify(s, r.body)
		}
	}
	return nil
}

// verify checks a value that was read.
func (l *loop) verify(s *slot, got []byte) {
	want := s.want
	if l.unchecked {
		want = 0
	}
	if wrong := l.values.check(s.key, want, got); wrong != "" {
		l.stats.mismatch(s.key, wrong)
	}
}
