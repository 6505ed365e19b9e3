package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// layoutBytes is the size of the raw loop's file: that of a log file.
const layoutBytes = 64 << 20

// runSyncs is the subcommand: a loop of write and fdatasync, without anything else, into a file that is laid out as a log
// file is. It prints "syncs_per_second N".
func runSyncs(args []string, stdout io.Writer) error {
	fs := newFlagSet("peers syncs")
	dir := fs.String("dir", "", "folder for the file")
	size := fs.Int("bytes", 67, "of one write")
	duration := fs.Duration("duration", time.Second, "how long")
	if err := fs.Parse(args); err != nil {
		return refusef("%v", err)
	}
	if *size < 1 || *size > layoutBytes {
		return refusef("peers syncs: -bytes %d: it must be 1 to %d", *size, layoutBytes)
	}
	rate, err := syncLoop(*dir, *size, *duration)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "syncs_per_second %.1f\n", rate)
	return err
}

// syncLoop returns how often it could write and sync in a second.
func syncLoop(dir string, size int, duration time.Duration) (rate float64, err error) {
	f, err := openLayout(dir, layoutBytes)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fd, block := int(f.Fd()), make([]byte, size)
	for i := range block {
		block[i] = byte(i)
	}
	began, n, at := time.Now(), 0, int64(0)
	for ; time.Since(began) < duration; n++ {
		if _, err := unix.Pwrite(fd, block, at); err != nil {
			return 0, fmt.Errorf("write %s: %w", f.Name(), err)
		}
		if err := unix.Fdatasync(fd); err != nil {
			return 0, fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
		if at += int64(size); at+int64(size) > layoutBytes {
			at = 0
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// syncsRow compares the syncs of a server under load with those of the raw loop, whose writes have the size that the
// server's have had on average.
func syncsRow(ctx context.Context, s *session) (res result, err error) {
	ours, err := s.folder("nitrokv")
	if err != nil {
		return result{}, err
	}
	targets, stop, err := s.contest(ctx, []kind{loggedKind("always", ours, "--log-file-size", strconv.Itoa(logBytesSize))}, ours)
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var server, raw, sizes []float64
	for range s.cfg.rounds {
		got, err := undisturbed(s.bench, func() (syncing, error) { return s.serverSyncs(ctx, targets[0], ours) })
		if err != nil {
			return result{}, err
		}
		loop, err := undisturbed(s.bench, func() (float64, error) { return s.rawSyncs(ctx, int(got.size)) })
		if err != nil {
			return result{}, err
		}
		server, raw, sizes = append(server, got.rate), append(raw, loop), append(sizes, got.size)
	}
	return result{value: median(server) / median(raw), series: []series{
		{nitroTarget, "syncs/s", server}, {"raw loop", "syncs/s", raw}, {"written between two", "B", sizes}}}, nil
}

// rawSyncs runs the loop of runSyncs in a process of its own.
func (s *session) rawSyncs(ctx context.Context, size int) (rate float64, err error) {
	text, err := output(ctx, s.dir, anyCPU, s.self, "syncs", "-dir", s.disk.dir, "-bytes", strconv.Itoa(size),
		"-duration", s.cfg.duration.String())
	if err != nil {
		return 0, err
	}
	got, err := parseMetrics(text)
	if err != nil {
		return 0, err
	}
	v, err := got.pick("syncs_per_second")
	if err != nil {
		return 0, err
	}
	return v[0][0], nil
}

// syncing is how often a server syncs in a second, and how many bytes it writes in between.
type syncing struct{ rate, size float64 }

// serverSyncs measures that under load.
func (s *session) serverSyncs(ctx context.Context, t target, dir string) (syncing, error) {
	before, err := readLog(dir)
	if err != nil {
		return syncing{}, err
	}
	load, err := s.load(ctx, t, plan{mix: onlyWrites, pipeline: 1, length: s.cfg.duration, cpu: anyCPU})
	if err != nil {
		return syncing{}, err
	}
	after, err := readLog(dir)
	if err != nil {
		return syncing{}, err
	}
	syncs := float64(after.syncs - before.syncs)
	if syncs <= 0 || load.Seconds <= 0 {
		return syncing{}, fmt.Errorf("%v syncs in %v seconds", syncs, load.Seconds)
	}
	return syncing{syncs / load.Seconds, float64(after.bytes-before.bytes) / syncs}, nil
}
