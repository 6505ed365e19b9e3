package engine

import (
	"errors"
	"fmt"
)

// LogState is the condition of the log.
type LogState uint8

// The states. LogFull heals when there is again what it lacks, LogFailed is final.
const (
	LogNone   LogState = iota // no log: nothing is kept
	LogOK                     // writes are taken
	LogFull                   // the log can't go on, see LogLack: writes fail with ErrLogFull
	LogFailed                 // a write or a sync has failed: writes fail with ErrReadOnly
)

// String returns "none", "ok", "full" or "failed".
func (s LogState) String() string { return [...]string{"none", "ok", "full", "failed"}[s&3] }

// LogLack is what a log that is full has too little of.
type LogLack uint8

// What it may be.
const (
	LackRoom    LogLack = iota // on the disk
	LackHandles                // for one more file: the process has too many open ones
	LackFiles                  // in ModeBitcask: there can't be more data files
)

// logFailure is what is said once the log is of no more use, by what the caller has asked for. The errors are made
// once: thousands may be waiting.
type logFailure struct {
	notDurable error // to reads, and to who waits for an LSN
	unknown    error // to writes in flight
	readOnly   error // to later writes
}

func newLogFailure(cause error) *logFailure {
	if errors.Is(cause, ErrClosed) {
		return &logFailure{notDurable: cause, unknown: cause, readOnly: cause}
	}
	wrap := func(e Error) error { return fmt.Errorf("%w: %w", e, cause) }
	return &logFailure{notDurable: wrap(ErrNotDurable), unknown: wrap(ErrUnknownOutcome), readOnly: wrap(ErrReadOnly)}
}

// changeState takes over the log's state. It reads it again under mu, so that of two that come together the later one
// does not leave the older state.
func (c *committer) changeState() {
	c.mu.Lock()
	v := c.log.look()
	state := v.state
	if state == LogFull || state == LogFailed {
		err := c.log.reason()
		c.trouble.Store(&err)
	}
	c.lack.Store(uint32(v.lack))
	c.state.Store(uint32(state)) // before failure: who has seen that finds LogFailed
	first := state == LogFailed && c.failure.Load() == nil
	if first {
		c.failure.Store(newLogFailure(*c.trouble.Load()))
		close(c.failed)
	}
	c.mu.Unlock()
	if first {
		c.settle()
	}
}

// refusal is why the log can't be used, or nil. The caller holds turn, writing or filling.
func (c *committer) refusal() error {
	if f := c.failure.Load(); f != nil {
		return f.notDurable
	}
	if !c.opened {
		return ErrLoading
	}
	return nil
}

// verdict is what a call of the log that returned err means to the one who made it.
func (c *committer) verdict(err error) error {
	if err != nil {
		if f := c.failure.Load(); f != nil {
			return f.notDurable
		}
	}
	return err
}

// unknown is what a write in flight is told that has waited in vain.
func (c *committer) unknown(err error) error {
	if f := c.failure.Load(); f != nil {
		return f.unknown
	}
	return err
}

// readOnly is what a write is told that the engine has refused.
func (c *committer) readOnly() error {
	if f := c.failure.Load(); f != nil {
		return f.readOnly
	}
	return ErrReadOnly // publish is about to see the failure
}

// LogState tells the condition of the log.
func (s *Store) LogState() LogState { return LogState(s.commit.state.Load()) }

// LogError says what has failed (LogFailed), or why there is no room (LogFull); nil in the other states.
func (s *Store) LogError() error {
	c := s.commit
	if err := c.trouble.Load(); err != nil && LogState(c.state.Load()) >= LogFull {
		return *err
	}
	return nil
}

// LogLack tells what the log has too little of, in the state LogFull.
func (s *Store) LogLack() LogLack { return LogLack(s.commit.lack.Load()) }

// Written is the LSN up to which killing the process loses nothing.
func (s *Store) Written() uint64 { return s.commit.written.Load() }

// Durable is the LSN up to which a power cut loses nothing.
func (s *Store) Durable() uint64 { return s.commit.durable.Load() }

// Appended is the newest LSN given out.
func (s *Store) Appended() uint64 {
	t, err := s.enter()
	if err != nil {
		return s.commit.written.Load()
	}
	defer s.gate.runlock(t)
	return s.commit.log.look().appended
}
