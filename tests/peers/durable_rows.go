package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	offTarget    = "nitrokv --dir off"
	streamValue  = 1 << 10
	logBytesSets = 20_000 // per measurement of dur-logbytes
	logBytesSize = 1 << 30
)

// alwaysRow compares SETs on both servers at level always.
func alwaysRow(clients, pipeline int) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (res result, err error) {
		targets, stop, err := s.pair(ctx, "always")
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		got, err := s.speed.rounds(targets, []quantity{opsPerSecond}, func(t target) (sample, error) {
			return s.measure(ctx, t, plan{mix: onlyWrites, clients: clients, pipeline: pipeline, length: s.cfg.duration, cpu: anyCPU})
		})
		if err != nil {
			return result{}, err
		}
		res = got.result("req/s", opsPerSecond, s.cfg.spreadMax)
		res.notes = append(res.notes, fmt.Sprintf("a raw fdatasync takes %v here", s.disk.sync))
		return res, nil
	}
}

// readsRow loads with two generators at once: 25 clients only write, 25 only read, and these are measured. Of a million
// keys the few that are not durable at a moment are hardly ever asked for.
func readsRow(q quantity, unit string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		if s.reads == nil {
			got, err := s.measureReads(ctx)
			if err != nil {
				return result{}, err
			}
			s.reads = got
		}
		return s.reads.result(unit, q, s.cfg.spreadMax), nil
	}
}

func (s *session) measureReads(ctx context.Context) (got *samples, err error) {
	targets, stop, err := s.pair(ctx, "always")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return s.speed.rounds(onlyRESP(targets), []quantity{opsPerSecond}, func(t target) (sample, error) {
		half := plan{clients: s.cfg.clients / 2, pipeline: 1, length: s.cfg.duration, cpu: anyCPU}
		reading, writing := half, half
		reading.mix, writing.mix = onlyReads, onlyWrites
		// The writers begin before and end after the readers.
		writing.length += 2 * time.Second
		return s.beside(ctx, t, reading, writing)
	})
}

// beside measures one load while another runs.
func (s *session) beside(ctx context.Context, t target, measured, other plan) (sample, error) {
	p, err := start(s.dir, "writers", other.cpu, s.generator(t, other)...)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	got, err := s.measure(ctx, t, measured)
	if err != nil {
		return sample{}, err
	}
	if err := p.ended(); err != nil {
		return sample{}, fmt.Errorf("the writers have ended before the readers: %w", err)
	}
	return got, nil
}

// everysecRow compares SETs at level everysec with Redis's, or with nitrokv's own without a log. All three are measured in
// one go, for both rows.
func everysecRow(base string) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (result, error) {
		if s.everysec == nil {
			got, err := s.measureEverysec(ctx)
			if err != nil {
				return result{}, err
			}
			s.everysec = got
		}
		return s.everysec.resultVs(base, "req/s", opsPerSecond, s.cfg.spreadMax), nil
	}
}

func (s *session) measureEverysec(ctx context.Context) (got *samples, err error) {
	targets, stop, err := s.pair(ctx, "everysec")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	off := nitrokvKind
	off.name = offTarget
	more, err := s.speed.launch(ctx, []kind{off}, anyCPU)
	if err != nil {
		return nil, err
	}
	return s.speed.rounds(onlyRESP(append(targets, more...)), []quantity{opsPerSecond}, func(t target) (sample, error) {
		return s.measure(ctx, t, plan{mix: onlyWrites, pipeline: 16, length: s.cfg.duration, cpu: anyCPU})
	})
}

// streamRow compares the bytes of log that a stream of values makes, up to a last sync, with dd writing as many. It is the
// log that is measured, so the values come from the same process: through a socket the client would be the limit.
func streamRow(ctx context.Context, s *session) (result, error) {
	mib := s.cfg.stream * streamValue >> 20
	var log, dd []float64
	for range s.cfg.rounds {
		got, err := undisturbed(s.bench, func() (report, error) { return s.streamLog(ctx, mib) })
		if err != nil {
			return result{}, err
		}
		v, err := got.pick("stream_mb_per_s")
		if err != nil {
			return result{}, err
		}
		log = append(log, v[0]...)
		took, err := undisturbed(s.bench, func() (time.Duration, error) { return s.copyZeros(ctx, mib) })
		if err != nil {
			return result{}, err
		}
		dd = append(dd, float64(mib<<20)/1e6/took.Seconds())
	}
	return result{value: median(log) / median(dd), series: []series{{nitroTarget, "MB/s", log}, {"dd", "MB/s", dd}},
		notes: []string{fmt.Sprintf("%d MiB in values of %d bytes, in one process", mib, streamValue)}}, nil
}

// streamLog runs log_stream in a new folder, which is removed afterwards.
func (s *session) streamLog(ctx context.Context, mib int) (report, error) {
	folder, err := s.folder("stream")
	if err != nil {
		return nil, err
	}
	got, err := s.tools.runUnpinned(ctx, "log_stream", filepath.Join(folder, "data"), strconv.Itoa(mib), strconv.Itoa(streamValue))
	return got, errors.Join(err, os.RemoveAll(folder))
}

// copyZeros is dd: what the disk takes in one long stream.
func (s *session) copyZeros(ctx context.Context, mib int) (time.Duration, error) {
	name := filepath.Join(s.disk.dir, "dd")
	began := time.Now()
	_, err := output(ctx, s.dir, anyCPU, "dd", "if=/dev/zero", "of="+name, "bs=1M", "count="+strconv.Itoa(mib),
		"conv=fdatasync", "status=none")
	took := time.Since(began)
	return took, errors.Join(err, os.Remove(name))
}

// replayRow starts both servers on a log of the same writes and measures until they answer requests about data.
func replayRow(ctx context.Context, s *session) (res result, err error) {
	ours, err1 := s.folder("nitrokv")
	theirs, err2 := s.folder("redis")
	if err := errors.Join(err1, err2); err != nil {
		return result{}, err
	}
	kinds := []kind{aofKind("everysec", theirs, "--aof-use-rdb-preamble", "no"), loggedKind("everysec", ours)}
	defer func() { err = errors.Join(err, os.RemoveAll(ours), os.RemoveAll(theirs)) }()
	for _, k := range kinds {
		if err := s.writeLog(ctx, k); err != nil {
			return result{}, err
		}
	}
	values := map[string][]float64{}
	for range s.cfg.rounds {
		for _, k := range kinds {
			took, err := undisturbed(s.bench, func() (time.Duration, error) { return s.startLoaded(ctx, k, s.cfg.replay) })
			if err != nil {
				return result{}, fmt.Errorf("replay by %s: %w", k.name, err)
			}
			values[k.name] = append(values[k.name], float64(s.cfg.replay)/took.Seconds())
		}
	}
	return result{value: median(values[nitroTarget]) / median(values[redisTarget]), series: []series{
		{redisTarget, "keys/s", values[redisTarget]}, {nitroTarget, "keys/s", values[nitroTarget]}},
		notes: []string{fmt.Sprintf("%d SETs of different keys, %d bytes each; all CPUs", s.cfg.replay, s.cfg.valueSize)}}, nil
}

// writeLog lets a server make the log that is replayed, and end.
func (s *session) writeLog(ctx context.Context, k kind) error {
	srv, err := s.start(ctx, k, anyCPU)
	if err != nil {
		return err
	}
	defer s.stop(srv)
	l, err := newLoader(ctx, k.wire, srv.addr, s.cfg.replay)
	if err != nil {
		return err
	}
	return errors.Join(l.fill(ctx, s.cfg.valueSize), l.close())
}

// logBytesRow counts what SETs of 16 + 64 bytes add to the log beyond these 80.
func logBytesRow(clients int) func(context.Context, *session) (result, error) {
	return func(ctx context.Context, s *session) (res result, err error) {
		ours, err := s.folder("nitrokv")
		if err != nil {
			return result{}, err
		}
		// One file, so that what a change of files costs isn't counted: that is little, and rare.
		targets, stop, err := s.contest(ctx, []kind{loggedKind("always", ours, "--log-file-size", strconv.Itoa(logBytesSize))}, ours)
		if err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		var values []float64
		for range s.cfg.rounds {
			before, err := readLog(ours)
			if err != nil {
				return result{}, err
			}
			got, err := s.load(ctx, targets[0], plan{mix: onlyWrites, clients: clients, pipeline: 1, requests: logBytesSets, cpu: anyCPU})
			if err != nil {
				return result{}, err
			}
			after, err := readLog(ours)
			if err != nil {
				return result{}, err
			}
			values = append(values, float64(after.bytes-before.bytes)/got.Requests-float64(keySize+s.cfg.valueSize))
		}
		return result{value: median(values), series: []series{{nitroTarget, "B/SET", values}}}, nil
	}
}
