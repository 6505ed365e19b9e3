package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The rows about durability compare servers that keep a log, nitrokv's and Redis's append-only file, on one disk. Each
// measurement has servers of its own, in new folders, which are removed afterwards.

// cheapestSync is what a sync costs at least on something that keeps data when the power fails. Where it costs less, the
// disk only says that it has done it, and the rows would say nothing about disks.
const cheapestSync = 20 * time.Microsecond

// needDisk says whether one of the rows writes data to a disk.
func needDisk(todo []row) bool {
	return slices.ContainsFunc(todo, func(r row) bool {
		return strings.HasPrefix(r.id, "dur-") || strings.HasPrefix(r.id, "snap-")
	})
}

// A disk is where the servers of these rows keep their data.
type disk struct {
	dir  string
	sync time.Duration // median of a raw fdatasync
}

// dataDisk makes the folder and refuses where a sync is no sync.
func (s *session) dataDisk() (disk, error) {
	if s.disk.dir != "" {
		return s.disk, nil
	}
	parent := s.cfg.data
	if parent == "" {
		parent = s.dir
	}
	dir, err := os.MkdirTemp(parent, "nitrokv-data-*")
	if err != nil {
		return disk{}, refusef("a folder for the data of the servers: %v", err)
	}
	s.cleanup = append(s.cleanup, func() error { return os.RemoveAll(dir) })
	d, err := inspect(dir)
	if err == nil {
		s.disk = d
	}
	return d, err
}

// inspect measures a folder's disk, or says why it is none.
func inspect(dir string) (disk, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return disk{}, fmt.Errorf("what %s lies on: %w", dir, err)
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		return disk{}, refusef("%s lies in memory (tmpfs): nothing there is durable; name a folder on a disk with -data", dir)
	}
	cost, err := syncCost(dir)
	if err != nil {
		return disk{}, err
	}
	if cost < cheapestSync {
		return disk{}, refusef("an fdatasync in %s takes %v, less than %v: it doesn't reach a disk; name another folder with -data",
			dir, cost, cheapestSync)
	}
	return disk{dir, cost}, nil
}

// syncCost is the median of a small write's fdatasync into space that is allocated and written.
func syncCost(dir string) (time.Duration, error) {
	const samples = 100
	f, err := openLayout(dir, 1<<20)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var costs []float64
	for i := range samples {
		if _, err := f.WriteAt(make([]byte, 67), int64(67*i)); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync in %s: %w", dir, err)
		}
		costs = append(costs, float64(time.Since(began)))
	}
	return time.Duration(median(costs)), nil
}

// loggedKind is nitrokv with its log in a folder.
func loggedKind(level, dir string, args ...string) kind {
	return kind{nitroTarget, respWire, true, func(b *bench, port int) []string {
		return append([]string{b.cfg.nitrokv, "serve", "--port", strconv.Itoa(port), "--http", "off", "--dir", dir, "--sync", level}, args...)
	}}
}

// aofKind is Redis with its append-only file in a folder, without rewrites of it.
func aofKind(level, dir string, args ...string) kind {
	return kind{redisTarget, respWire, true, func(_ *bench, port int) []string {
		return append([]string{"redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no",
			"--dir", dir, "--appendonly", "yes", "--appendfsync", level, "--auto-aof-rewrite-percentage", "0"}, args...)
	}}
}

// folder makes a new one for one server.
func (s *session) folder(name string) (string, error) {
	d, err := s.dataDisk()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(d.dir, name+"-*")
}

// pair starts nitrokv and Redis at a level, filled, on the servers' CPU. stop ends both and removes their data.
func (s *session) pair(ctx context.Context, level string) (targets []target, stop func() error, err error) {
	ours, err1 := s.folder("nitrokv")
	theirs, err2 := s.folder("redis")
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	return s.contest(ctx, []kind{aofKind(level, theirs), loggedKind(level, ours)}, ours, theirs)
}

// contest starts servers whose data lies in the folders.
func (s *session) contest(ctx context.Context, kinds []kind, folders ...string) ([]target, func() error, error) {
	running := len(s.servers)
	stop := func() error {
		for len(s.servers) > running {
			s.stop(s.servers[running])
		}
		var errs []error
		for _, f := range folders {
			errs = append(errs, os.RemoveAll(f))
		}
		return errors.Join(errs...)
	}
	targets, err := s.speed.launch(ctx, kinds, anyCPU)
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return targets, stop, nil
}

// onlyRESP leaves out the targets that have another protocol: these rows compare the same byte streams.
func onlyRESP(targets []target) []target {
	var out []target
	for _, t := range targets {
		if t.protocol == respWire.name {
			out = append(out, t)
		}
	}
	return out
}

// openLayout makes a file as the log's window has it: of its full size, written with zeros, and synced.
func openLayout(dir string, size int) (*os.File, error) {
	f, err := os.Create(filepath.Join(dir, "layout"))
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for at := 0; at < size && err == nil; at += len(zeros) {
		_, err = f.WriteAt(zeros[:min(len(zeros), size-at)], int64(at))
	}
	if err = errors.Join(err, f.Sync()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
