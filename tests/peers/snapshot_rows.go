package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The rows snap-… are about snapshots, nitrokv's and Redis's RDB files, with servers that keep nothing else.

const (
	snapPoll   = 20 * time.Millisecond  // how often the state is asked for
	snapWatch  = 500 * time.Millisecond // and memory, which takes the kernel a walk through all of it
	textValues = 200                    // bytes of a text-like value, about
)

// savedKind is nitrokv without a log, whose snapshots lie in a folder and are taken on command.
func savedKind(dir string, args ...string) kind {
	return kind{nitroTarget, respWire, true, func(b *bench, port int) []string {
		return append([]string{b.cfg.nitrokv, "serve", "--port", strconv.Itoa(port), "--http", "off", "--dir", dir,
			"--wal", "off", "--save-interval", "0"}, args...)
	}}
}

// rdbKind is Redis that saves on command.
func rdbKind(dir string) kind {
	return kind{redisTarget, respWire, true, func(_ *bench, port int) []string {
		return []string{"redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no",
			"--dir", dir, "--appendonly", "no"}
	}}
}

// savers makes both kinds with new folders; stop removes these.
func (s *session) savers(args ...string) (ours, theirs string, kinds []kind, remove func() error, err error) {
	ours, err1 := s.folder("nitrokv")
	theirs, err2 := s.folder("redis")
	remove = func() error { return errors.Join(os.RemoveAll(ours), os.RemoveAll(theirs)) }
	return ours, theirs, []kind{rdbKind(theirs), savedKind(ours, args...)}, remove, errors.Join(err1, err2)
}

// saveNow is SAVE, which must work.
func saveNow(ctx context.Context, addr string) error {
	reply, err := ask(ctx, addr, "SAVE")
	if err == nil && reply != "+OK" {
		err = fmt.Errorf("SAVE was answered with %q", reply)
	}
	return err
}

// ---- loading -----------------------------------------------------------------------------------

// snapLoadRow starts both servers on a snapshot of the same keys and measures until they answer requests about data.
func snapLoadRow(ctx context.Context, s *session) (res result, err error) {
	_, _, kinds, remove, err := s.savers()
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for _, k := range kinds {
		if err := s.fillAndSave(ctx, k, s.cfg.manyKeys); err != nil {
			return result{}, err
		}
	}
	values := map[string][]float64{}
	for range s.cfg.rounds {
		for _, k := range kinds {
			took, err := undisturbed(s.bench, func() (time.Duration, error) { return s.startLoaded(ctx, k, s.cfg.manyKeys) })
			if err != nil {
				return result{}, fmt.Errorf("load by %s: %w", k.name, err)
			}
			values[k.name] = append(values[k.name], float64(s.cfg.manyKeys)/took.Seconds())
		}
	}
	return result{value: median(values[nitroTarget]) / median(values[redisTarget]), series: []series{
		{redisTarget, "keys/s", values[redisTarget]}, {nitroTarget, "keys/s", values[nitroTarget]}},
		notes: []string{fmt.Sprintf("%d keys, values of %d bytes, all CPUs", s.cfg.manyKeys, s.cfg.valueSize)}}, nil
}

func (s *session) fillAndSave(ctx context.Context, k kind, keys int) error {
	srv, err := s.start(ctx, k, anyCPU)
	if err != nil {
		return err
	}
	defer s.stop(srv)
	l, err := newLoader(ctx, k.wire, srv.addr, keys)
	if err != nil {
		return err
	}
	return errors.Join(l.fill(ctx, s.cfg.valueSize), l.close(), saveNow(ctx, srv.addr))
}

// startLoaded starts a server on its data, which is over when it has loaded that, checks that all keys are there, and ends it.
func (s *session) startLoaded(ctx context.Context, k kind, keys int) (time.Duration, error) {
	began := time.Now()
	srv, err := s.start(ctx, k, anyCPU)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	defer s.stop(srv)
	reply, err := ask(ctx, srv.addr, "DBSIZE")
	if want := fmt.Sprintf(":%d", keys); err == nil && reply != want {
		err = fmt.Errorf("DBSIZE was answered with %q, want %q", reply, want)
	}
	return took, err
}

// ---- overwriting during a snapshot -------------------------------------------------------------

// overwriting is what was measured while keys were overwritten at full rate, before and during snapshots.
type overwriting struct {
	growth, p99 map[string][]float64 // by server; p99 is during by before
	before      map[string][]float64 // µs
	ops         map[string][]float64 // during by before
}

// snapMemoryRow reads the growth of resident memory, snapLatencyRow the p99 of the writes; both come from the same rounds.
func snapMemoryRow(ctx context.Context, s *session) (result, error) {
	o, err := s.overwriteRun(ctx)
	if err != nil {
		return result{}, err
	}
	return result{value: median(o.growth[nitroTarget]), series: []series{
		{redisTarget, "growth, its child's own pages included", o.growth[redisTarget]}, {nitroTarget, "growth", o.growth[nitroTarget]}},
		notes: []string{fmt.Sprintf("%d keys, values of %d bytes, snapshots one after the other for the whole load", s.cfg.manyKeys, s.cfg.valueSize)}}, nil
}

func snapLatencyRow(ctx context.Context, s *session) (result, error) {
	o, err := s.overwriteRun(ctx)
	if err != nil {
		return result{}, err
	}
	return result{value: median(o.p99[nitroTarget]), series: []series{
		{redisTarget, "p99 during/before", o.p99[redisTarget]}, {nitroTarget, "p99 during/before", o.p99[nitroTarget]},
		{nitroTarget, "µs p99 before", o.before[nitroTarget]}, {redisTarget, "µs p99 before", o.before[redisTarget]},
		{nitroTarget, "ops during/before", o.ops[nitroTarget]}, {redisTarget, "ops during/before", o.ops[redisTarget]}}}, nil
}

func (s *session) overwriteRun(ctx context.Context) (*overwriting, error) {
	if s.overwrites != nil {
		return s.overwrites, nil
	}
	o := &overwriting{growth: map[string][]float64{}, p99: map[string][]float64{}, before: map[string][]float64{}, ops: map[string][]float64{}}
	_, _, kinds, remove, err := s.savers()
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		if err := s.overwriteOne(ctx, k, o); err != nil {
			return nil, errors.Join(fmt.Errorf("overwrite on %s: %w", k.name, err), remove())
		}
	}
	s.overwrites = o
	return o, remove()
}

// overwriteOne fills one server, and then in each round loads it without and with snapshots.
func (s *session) overwriteOne(ctx context.Context, k kind, o *overwriting) error {
	srv, err := s.start(ctx, k, anyCPU)
	if err != nil {
		return err
	}
	defer s.stop(srv)
	l, err := newLoader(ctx, k.wire, srv.addr, s.cfg.manyKeys)
	if err != nil {
		return err
	}
	if err := errors.Join(l.fill(ctx, s.cfg.valueSize), l.close()); err != nil {
		return err
	}
	t := target{name: k.name, server: srv, protocol: respWire.name}
	p := plan{mix: onlyWrites, pipeline: 1, length: s.cfg.openLoop, cpu: anyCPU, keys: s.cfg.manyKeys}
	if _, err := s.measure(ctx, t, p); err != nil { // to warm up
		return err
	}
	for range s.cfg.rounds {
		before, err := s.measure(ctx, t, p)
		if err != nil {
			return err
		}
		resident, err := familyBytes(srv.pid())
		if err != nil {
			return err
		}
		during, peak, err := s.whileSaving(ctx, srv, func() (sample, error) { return s.measure(ctx, t, p) })
		if err != nil {
			return err
		}
		o.growth[k.name] = append(o.growth[k.name], float64(peak)/float64(resident)-1)
		o.p99[k.name] = append(o.p99[k.name], during.p99/before.p99)
		o.before[k.name] = append(o.before[k.name], before.p99)
		o.ops[k.name] = append(o.ops[k.name], during.opsPerSecond/before.opsPerSecond)
	}
	return nil
}

// whileSaving runs a load while one snapshot follows the other, and returns the most memory that was resident.
func (s *session) whileSaving(ctx context.Context, srv *server, load func() (sample, error)) (got sample, peak int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	saved, watched := make(chan error, 1), make(chan error, 1)
	go func() { saved <- saveOn(ctx, srv.addr) }()
	go func() { watched <- watchFamily(ctx, srv.pid(), &peak) }()
	got, err = load()
	cancel()
	return got, peak, errors.Join(err, <-saved, <-watched)
}

// saveOn begins a snapshot whenever none is under way, until ctx ends; then it waits for the last one.
func saveOn(ctx context.Context, addr string) error {
	whole := context.WithoutCancel(ctx)
	for {
		text, err := ask(whole, addr, "INFO", "persistence")
		if err != nil {
			return err
		}
		busy := strings.Contains(text, "rdb_bgsave_in_progress:1")
		if strings.Contains(text, "rdb_last_bgsave_status:err") {
			return fmt.Errorf("a snapshot of %s has failed", addr)
		}
		if ctx.Err() != nil && !busy {
			return nil
		}
		if !busy {
			if _, err := ask(whole, addr, "BGSAVE"); err != nil {
				return err
			}
		}
		if err := wait(whole, snapPoll); err != nil {
			return err
		}
	}
}

// watchFamily keeps the largest resident memory of a process and its children in *peak, until ctx ends.
func watchFamily(ctx context.Context, pid int, peak *int64) error {
	for {
		n, err := familyBytes(pid)
		if err != nil {
			return err
		}
		*peak = max(*peak, n)
		if wait(ctx, snapWatch) != nil {
			return nil
		}
	}
}

// familyBytes is the resident memory of a process, and of its children what they don't share with it.
func familyBytes(pid int) (int64, error) {
	sum, err := residentBytes(pid)
	if err != nil {
		return 0, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for _, word := range strings.Fields(string(children)) {
		text, err := os.ReadFile("/proc/" + word + "/smaps_rollup")
		if err != nil {
			continue // it has ended
		}
		own, err := parseKiB(text, "Private_Dirty:", word)
		if err != nil {
			continue // likewise: the file is empty then
		}
		sum += own
	}
	return sum, nil
}

// ---- rate and size -----------------------------------------------------------------------------

// snapRateRow compares uncompressed snapshots with dd writing as many bytes.
func snapRateRow(ctx context.Context, s *session) (res result, err error) {
	ours, _, kinds, remove, err := s.savers("--snapshot-compression", "none")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	srv, err := s.start(ctx, kinds[1], anyCPU)
	if err != nil {
		return result{}, err
	}
	defer s.stop(srv)
	l, err := newLoader(ctx, srv.kind.wire, srv.addr, s.cfg.manyKeys)
	if err != nil {
		return result{}, err
	}
	if err := errors.Join(l.fill(ctx, s.cfg.valueSize), l.close()); err != nil {
		return result{}, err
	}
	var saves, dd []float64
	for range s.cfg.rounds {
		began := time.Now()
		if err := saveNow(ctx, srv.addr); err != nil {
			return result{}, err
		}
		took := time.Since(began)
		size, err := snapshotSize(ours)
		if err != nil {
			return result{}, err
		}
		saves = append(saves, float64(size)/1e6/took.Seconds())
		mib := int(size >> 20)
		copied, err := s.copyZeros(ctx, mib)
		if err != nil {
			return result{}, err
		}
		dd = append(dd, float64(mib<<20)/1e6/copied.Seconds())
	}
	return result{value: median(saves) / median(dd), series: []series{{nitroTarget, "MB/s", saves}, {"dd", "MB/s", dd}}}, nil
}

// snapshotSize is the size of the newest snapshot in a data folder.
func snapshotSize(dir string) (int64, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.snap"))
	if err != nil || len(names) == 0 {
		return 0, errors.Join(err, fmt.Errorf("%s holds no snapshot", dir))
	}
	info, err := os.Stat(names[len(names)-1])
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// snapSizeRow compares the files of both for values that look like text.
func snapSizeRow(ctx context.Context, s *session) (res result, err error) {
	ours, theirs, kinds, remove, err := s.savers()
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	for _, k := range kinds {
		if err := s.saveText(ctx, k); err != nil {
			return result{}, fmt.Errorf("save text on %s: %w", k.name, err)
		}
	}
	size, err := snapshotSize(ours)
	if err != nil {
		return result{}, err
	}
	rdb, err := os.Stat(filepath.Join(theirs, "dump.rdb"))
	if err != nil {
		return result{}, err
	}
	return result{value: float64(size) / float64(rdb.Size()), series: []series{
		{redisTarget, "bytes", []float64{float64(rdb.Size())}}, {nitroTarget, "bytes", []float64{float64(size)}}},
		notes: []string{fmt.Sprintf("%d keys, JSON of about %d bytes, random words", s.cfg.keys, textValues)}}, nil
}

func (s *session) saveText(ctx context.Context, k kind) error {
	srv, err := s.start(ctx, k, anyCPU)
	if err != nil {
		return err
	}
	defer s.stop(srv)
	l, err := newLoader(ctx, k.wire, srv.addr, s.cfg.keys)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range s.cfg.keys {
		l.key = appendKey(l.key[:0], i)
		l.out = l.wire.appendSet(l.out, l.key, textValue(rng, i))
		if err := l.expect(ctx, l.wire.setReply); err != nil {
			return errors.Join(err, l.close())
		}
	}
	return errors.Join(l.flush(ctx), l.close(), saveNow(ctx, srv.addr))
}

var textWords = strings.Fields(`account active address amount answer april basket bottle branch carrier category circle client
	coffee colour comment company copper country credit customer delivery detail district double email engine evening
	family finger garden gentle harbour history island january journey kitchen ladder language letter little market
	message middle monday mountain number object october orange order paper payment pending people person picture planet
	pocket product purple quarter reason region report river school season second shipped silver simple station street
	summer sunday supplier table thunder ticket travel triangle unit valley village warehouse weather window winter yellow`)

// textValue is what an application might store: a small JSON object.
func textValue(rng *rand.Rand, i int) []byte {
	word := func() string { return textWords[rng.IntN(len(textWords))] }
	v := fmt.Appendf(nil, `{"id":%d,"user":"%s.%s%d","status":"%s","total":%d.%02d,"tags":["%s","%s"],"note":"`,
		i, word(), word(), rng.IntN(1000), word(), rng.IntN(10000), rng.IntN(100), word(), word())
	for len(v) < textValues-len("\"}") {
		v = append(append(v, word()...), ' ')
	}
	return append(v, `"}`...)
}

// ---- waiting -----------------------------------------------------------------------------------

// snapWaitRow is the longest call that a request may have to wait for, in thread CPU time, beyond what an empty call is
// charged with on this machine.
func snapWaitRow(ctx context.Context, s *session) (result, error) {
	var worst, empty []float64
	longest := map[string][]float64{}
	names := []string{"begin", "walk", "set", "expire", "reclaim", "free"}
	for range s.cfg.rounds {
		folder, err := s.folder("steps")
		if err != nil {
			return result{}, err
		}
		got, err := s.tools.runFresh(ctx, "snapshot_steps", "", filepath.Join(folder, "data"), strconv.Itoa(s.cfg.keys))
		if err := errors.Join(err, os.RemoveAll(folder)); err != nil {
			return result{}, err
		}
		round := 0.0
		for _, name := range names {
			v, err := got.pick("max_us_" + name)
			if err != nil {
				return result{}, err
			}
			longest[name] = append(longest[name], v[0]...)
			round = max(round, v[0][0])
		}
		v, err := got.pick("max_us_empty")
		if err != nil {
			return result{}, err
		}
		worst, empty = append(worst, round/1e3), append(empty, v[0]...)
	}
	res := result{value: median(worst), series: []series{{"longest call", "ms", worst}, {"empty call", "µs", empty}}}
	for _, name := range names {
		res.series = append(res.series, series{name, "µs", longest[name]})
	}
	return res, nil
}
