package engine

import "time"

// everything is an LSN that is never reached: up to it, all that has been appended is written.
const everything = 1<<64 - 2

// fillRetry is how often the filler looks for room on a full disk.
const fillRetry = 500 * time.Millisecond

// MakeRoom gets room in the log for `need` more bytes, after a request has stopped with StopRoom, or waits until
// somebody else has. Nil: try the request again. ErrLogFull: the disk is full, and so is what the engine answers
// until the filler has found room, which it looks for twice a second. ErrNotDurable: the log has failed.
func (s *Store) MakeRoom(need uint64) error {
	c := s.commit
	seen, before := c.fills.Load(), c.written.Load()
	// It may be the commit buffer that is full: a write empties it.
	if err := c.writeUpTo(everything); err != nil {
		return err
	}
	if LogState(c.state.Load()) == LogFull && !c.manual {
		if c.written.Load() != before {
			return nil
		}
		return ErrLogFull
	}
	c.filling.Lock()
	defer c.filling.Unlock()
	if c.fills.Load() != seen {
		return nil // somebody has filled since; if that was not enough, the request stops again
	}
	return c.fill(need)
}

// fill gets room ahead of the appends. The caller holds filling.
func (c *committer) fill(need uint64) error {
	if err := c.refusal(); err != nil {
		return err
	}
	err := c.log.fill(need)
	c.fills.Add(1)
	c.publish()
	return c.verdict(err)
}

// fillAhead is the filler's work. It reports whether the disk is full, so that it has to be tried again.
func (c *committer) fillAhead() (full bool) {
	c.filling.Lock()
	defer c.filling.Unlock()
	// What keeps it from succeeding is in the log's state, and met by who needs the room.
	_ = c.fill(0)
	return LogState(c.state.Load()) == LogFull
}
