package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A runner is one run: its loops and the clock that they share.
type runner struct {
	cfg   Config
	base  time.Time
	stop  atomic.Bool
	loops []*loop
	in    *insertions // workload D; else nil
	total stats       // of the measured phase, and what went wrong in any
}

// Run loads the server as the settings say and reports what it saw. When ctx ends during the measurement, it reports
// on the time until then. An error means that there is no report: the server can't be reached, broke the connection or
// the protocol, or doesn't answer. Error replies and mismatches are in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.complete()
	r := &runner{cfg: cfg, base: time.Now()}
	if cfg.Workload.inserts() {
		r.in = newInsertions(cfg.Keys)
	}
	err := r.connect(ctx)
	var report *Report
	if err == nil {
		report, err = r.phases(ctx)
	}
	for _, l := range r.loops {
		err = errors.Join(err, l.close())
	}
	if err != nil {
		return nil, err
	}
	return report, nil
}

func (r *runner) clock() int64 { return int64(time.Since(r.base)) }

// connect makes the loops and their connections.
func (r *runner) connect(ctx context.Context) error {
	picker := newKeyPicker(&r.cfg)
	var versions []uint32
	if r.cfg.Verify {
		versions = make([]uint32, r.cfg.Keys)
	}
	for i := range r.cfg.Threads {
		l, err := r.newLoop(i, picker, versions)
		if err != nil {
			return err
		}
		r.loops = append(r.loops, l)
	}
	for i := range r.cfg.Clients {
		c, err := dial(ctx, &r.cfg, i)
		if err != nil {
			return err
		}
		l := r.loops[i%len(r.loops)]
		c.at = len(l.conns)
		l.conns = append(l.conns, c)
		if err := l.poll.add(c); err != nil {
			return fmt.Errorf("watch connection %d: %w", i+1, err)
		}
	}
	return nil
}

func (r *runner) newLoop(i int, picker keyPicker, versions []uint32) (*loop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	l := &loop{
		cfg: &r.cfg, number: i, clock: r.clock, stop: &r.stop, poll: poll, picker: picker.following(r.in), versions: versions,
		rng: rng{mix(r.cfg.Seed + uint64(i) + 1)}, values: newValues(&r.cfg), in: r.in, other: r.cfg.writeOp(),
	}
	if r.cfg.Protocol == Binary {
		l.wire = newBinaryWire(durabilityFlags[r.cfg.Durability], r.cfg.keyPrefix())
	} else {
		l.wire = newRESPWire(r.cfg.keyPrefix())
	}
	return l, nil
}

// phases goes through all of them. The context stops the loops by a flag that they look at, so that what is under way
// is still answered and counted.
func (r *runner) phases(ctx context.Context) (*Report, error) {
	defer context.AfterFunc(ctx, func() { r.stop.Store(true) })()
	var measured *phase
	for _, p := range r.cfg.phases() {
		if ctx.Err() != nil {
			break
		}
		s, err := r.phase(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		if p.drops {
			r.total.addCounts(s)
		} else {
			r.total.add(s)
			measured = p
		}
		if p.name == phaseLoad && s.errors > 0 {
			return nil, fmt.Errorf("%s: %d of %d keys were refused; the first time with %q", p.name, s.errors, r.cfg.Keys, s.firstError)
		}
	}
	if measured == nil {
		return nil, fmt.Errorf("ended before the measurement: %w", context.Cause(ctx))
	}
	return newReport(&r.cfg, measured, &r.total, ctx.Err() != nil), nil
}

// phase runs one phase on all loops and adds up what they counted. A loop that fails stops the others.
func (r *runner) phase(p *phase) (*stats, error) {
	p.begin(r.clock())
	results := make([]*stats, len(r.loops))
	errs := make([]error, len(r.loops))
	done := make(chan struct{})
	var shown sync.WaitGroup
	shown.Go(func() { r.progress(p, done) })
	var wg sync.WaitGroup
	for i, l := range r.loops {
		wg.Go(func() {
			if results[i], errs[i] = l.run(p); errs[i] != nil {
				r.stop.Store(true)
			}
		})
	}
	wg.Wait()
	close(done)
	shown.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	sum := &stats{}
	for _, s := range results {
		sum.add(s)
	}
	return sum, nil
}
