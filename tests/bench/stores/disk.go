package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// cheapestSync is what a sync costs at least on something that keeps data when the power fails.
	cheapestSync = 20 * time.Microsecond
	syncSamples  = 100
	// freeReserve stays free on the disk whatever a row writes.
	freeReserve = 2 << 30
)

// A disk is where the stores keep their data.
type disk struct {
	dir  string
	sync time.Duration // median of a raw fdatasync
}

// makeDisk makes the run's folder, and refuses where a sync is no sync.
func makeDisk(parent string) (disk, error) {
	dir, err := os.MkdirTemp(parent, "nitrokv-stores-*")
	if err != nil {
		return disk{}, refusef("a folder for the data of the stores: %v", err)
	}
	d, err := inspect(dir)
	if err != nil {
		return disk{}, errors.Join(err, os.RemoveAll(dir))
	}
	return d, nil
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

// syncCost is the median of a small write's fdatasync.
func syncCost(dir string) (cost time.Duration, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	costs := make([]float64, syncSamples)
	for i := range costs {
		if _, err := f.WriteAt(make([]byte, 64), int64(64*i)); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("fdatasync in %s: %w", dir, err)
		}
		costs[i] = float64(time.Since(began))
	}
	return time.Duration(median(costs)), nil
}

// room refuses to write more than the disk has.
func (d disk) room(need int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err != nil {
		return fmt.Errorf("how much is free in %s: %w", d.dir, err)
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < need+freeReserve {
		return refusef("%s has %d MiB free; this row needs up to %d and leaves %d: name another folder with -data, or measure fewer keys",
			d.dir, free>>20, need>>20, int64(freeReserve)>>20)
	}
	return nil
}
