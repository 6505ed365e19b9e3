package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// The phases of a memory run; each is a row.
type phase int

const (
	fillPhase      phase = iota // bytes per key beyond key and value
	overwritePhase              // the same after overwriting with other sizes
	deletePhase                 // resident by live bytes, ten seconds after deleting 90 %
	phases
)

const (
	overwritesPerKey = 5
	overwriteMin     = 16 // bytes of a value
	overwriteMax     = 512
	deleteWait       = 10 * time.Second
	settleWait       = time.Second // for a server's own housekeeping before its memory is read
)

// A memoryRun holds what filling, overwriting and deleting did to each server's resident memory.
type memoryRun struct {
	order  []string
	values map[string][]float64 // by server, then phase
}

// memoryRow reads one phase; large stores are only filled.
func memoryRow(large bool, p phase) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		keys, last := s.cfg.keys, deletePhase
		if large {
			keys, last = s.cfg.manyKeys, fillPhase
		}
		run := s.memory[keys]
		if run == nil {
			var err error
			if run, err = s.measureMemory(ctx, keys, last); err != nil {
				return result{}, err
			}
			s.memory[keys] = run
		}
		return run.result(p, keys)
	}
}

func (r *memoryRun) result(p phase, keys int) (result, error) {
	unit := "B/key"
	if p == deletePhase {
		unit = "resident/live"
	}
	res := result{notes: []string{fmt.Sprintf("%d keys of %d bytes", keys, keySize)}}
	for _, name := range r.order {
		values := r.values[name]
		if int(p) >= len(values) {
			return result{}, fmt.Errorf("%s has no sample of this phase", name)
		}
		res.series = append(res.series, series{name, unit, values[p : p+1]})
		if name == nitroTarget {
			res.value = values[p]
		}
	}
	return res, nil
}

// measureMemory runs the phases on one server after the other, each fresh and alone under load.
func (s *session) measureMemory(ctx context.Context, keys int, last phase) (*memoryRun, error) {
	run := &memoryRun{values: map[string][]float64{}}
	for _, k := range contenders() {
		if !k.stores {
			continue
		}
		srv, err := s.start(ctx, k, s.serverCPU)
		if err != nil {
			return nil, err
		}
		values, err := s.memoryPhases(ctx, srv, keys, last)
		s.stop(srv)
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", k.name, err)
		}
		run.order = append(run.order, k.name)
		run.values[k.name] = values
	}
	return run, nil
}

// memoryPhases fills, overwrites and deletes, and reads the resident growth after each.
func (s *session) memoryPhases(ctx context.Context, srv *server, keys int, last phase) (values []float64, err error) {
	if err := wait(ctx, settleWait); err != nil {
		return nil, err
	}
	empty, err := residentBytes(srv.pid())
	if err != nil {
		return nil, err
	}
	l, err := newLoader(ctx, srv.kind.wire, srv.addr, keys)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for p := fillPhase; p <= last; p++ {
		if err := l.runPhase(ctx, p, s.cfg.valueSize); err != nil {
			return nil, err
		}
		now, err := residentBytes(srv.pid())
		if err != nil {
			return nil, err
		}
		n, live := l.live()
		growth := float64(now - empty)
		if p == deletePhase {
			values = append(values, growth/float64(live))
		} else {
			values = append(values, (growth-float64(live))/float64(n))
		}
	}
	return values, nil
}

// runPhase changes the store, then waits as long as the phase allows the server to tidy up.
func (l *loader) runPhase(ctx context.Context, p phase, valueSize int) error {
	pause := settleWait
	var err error
	switch p {
	case fillPhase:
		err = l.fill(ctx, valueSize)
	case overwritePhase:
		err = l.overwrite(ctx, overwritesPerKey*len(l.size), overwriteMin, overwriteMax)
	case deletePhase:
		err = l.deleteMost(ctx)
		pause = deleteWait
	}
	if err != nil {
		return err
	}
	return wait(ctx, pause)
}

// wait is a pause that is part of what is measured, and ends early when ctx does.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// idleRow opens many connections that each send one SET and then nothing.
func idleRow(ctx context.Context, s *session) (result, error) {
	var res result
	for _, k := range contenders() {
		if !k.stores {
			continue
		}
		perConn, err := s.idleBytes(ctx, k)
		if err != nil {
			return result{}, fmt.Errorf("idle connections of %s: %w", k.name, err)
		}
		if k.name == nitroTarget {
			res.value = perConn
		}
		res.series = append(res.series, series{k.name, "B/connection", []float64{perConn}})
	}
	res.notes = []string{fmt.Sprintf("%d connections", s.cfg.idleConns)}
	return res, nil
}

func (s *session) idleBytes(ctx context.Context, k kind) (float64, error) {
	srv, err := s.start(ctx, k, s.serverCPU)
	if err != nil {
		return 0, err
	}
	defer s.stop(srv)
	if err := wait(ctx, settleWait); err != nil {
		return 0, err
	}
	before, err := residentBytes(srv.pid())
	if err != nil {
		return 0, err
	}
	conns := make([]net.Conn, 0, s.cfg.idleConns)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	request := k.wire.appendSet(nil, appendKey(nil, 0), make([]byte, s.cfg.valueSize))
	for range s.cfg.idleConns {
		c, err := connectAndSet(ctx, srv, request)
		if err != nil {
			return 0, fmt.Errorf("connection %d: %w", len(conns)+1, err)
		}
		conns = append(conns, c)
	}
	if err := wait(ctx, settleWait); err != nil {
		return 0, err
	}
	after, err := residentBytes(srv.pid())
	return float64(after-before) / float64(s.cfg.idleConns), err
}

// connectAndSet opens a connection and waits for the reply to one SET.
func connectAndSet(ctx context.Context, srv *server, request []byte) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", srv.addr)
	if err != nil {
		return nil, err
	}
	reply := make([]byte, 64)
	err = c.SetDeadline(time.Now().Add(readyLimit))
	if err == nil {
		_, err = c.Write(request)
	}
	n := 0
	if err == nil {
		n, err = c.Read(reply)
	}
	if err == nil && string(reply[:n]) != srv.kind.wire.setReply {
		err = fmt.Errorf("unexpected reply %q to a SET", reply[:n])
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
